"""The repository's own files, for the suites that look at them."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "continue_exec"


@cache
def files() -> tuple[str, ...]:
    """Every file that is or will be tracked, relative to the root: what Git knows, and what it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout.split("\0")
    return tuple(sorted(name for name in listed if name and (ROOT / name).is_file()))


def modules() -> list[str]:
    """The package's Python files, relative to the root."""
    return [name for name in files() if name.startswith("continue_exec/") and name.endswith(".py")]


@cache
def tree(name: str) -> ast.Module:
    """The parsed source of a file."""
    return ast.parse((ROOT / name).read_text(), name)


def imports(name: str) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything of the package that a module imports, also lazily or for types."""
    parts = name.removesuffix(".py").split("/")
    package = parts[:-1]
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.startswith("continue_exec"))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module.split(".")[0] == "continue_exec":
                yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
