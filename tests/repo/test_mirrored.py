"""Unit tests mirror sources: continue_exec/a/b.py is tested by tests/unit/a/test_b.py."""

from __future__ import annotations

import ast

from tests.support import sources

# Module -> why it has no unit tests of its own, and which suite exercises it for real.
WITHOUT: dict[str, str] = {}


def has_logic(name: str) -> bool:
    """Whether a module has a function or method with a body: declarations alone have nothing to test."""
    for node in ast.walk(sources.tree(name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = [
                part for part in node.body if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
            ]
            if body:
                return True
    return False


def expected(name: str) -> str:
    folder, _, module = name.removeprefix("continue_exec/").rpartition("/")
    return "/".join(part for part in ("tests/unit", folder, f"test_{module}") if part)


def test_every_module_with_logic_has_its_tests() -> None:
    files = set(sources.files())
    missing = [
        f"{name} (expected {expected(name)})"
        for name in sources.modules()
        if not name.endswith("__init__.py") and has_logic(name) and expected(name) not in files and name not in WITHOUT
    ]
    assert not missing, "\n".join(["write them, or name the suite that covers the module in WITHOUT:", *missing])


def test_every_unit_test_has_its_module() -> None:
    known = {expected(name) for name in sources.modules()}
    known |= {f"tests/unit/{name.split('/', 1)[1].removesuffix('/__init__.py')}" for name in sources.modules()}
    stray = []
    for name in sources.files():
        if name.startswith("tests/unit/") and name.rpartition("/")[2].startswith("test_") and name not in known:
            # A package's own __init__ is tested by test_<package>.py beside the package's folder of tests.
            folder, _, file = name.rpartition("/")
            if f"{folder}/{file.removeprefix('test_').removesuffix('.py')}" not in known:
                stray.append(name)
    assert not stray, f"no module of that name: {stray}"


def test_exceptions_are_needed() -> None:
    files = set(sources.files())
    stale = [name for name in WITHOUT if name not in files or expected(name) in files]
    assert not stale, f"these need no exception any more: {stale}"
