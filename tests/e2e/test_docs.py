"""What the documentation shows is what happens: its snippets run, in order, in a workspace of the page's own.

    ```console    lines with `$ ` are typed into bash, what follows each is its standard output
    ```python     a whole program; a ```text block right after it is its standard output

`...` in expected output stands for anything, alone on a line for any lines. A block in any other language is not run.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.engines import RealEngine, cli_argv
from tests.support.sources import ROOT, files

PAGES = [name for name in files() if name.endswith(".md")]
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Step:
    """Something to run, and what it should print; None: whatever it likes."""

    argv: list[str]
    expected: str | None


def steps(text: str) -> Iterator[Step]:
    """The steps of a page, in order."""
    for language, body, output in BLOCK.findall(text):
        if language == "python":
            yield Step([sys.executable, "-c", body], output or None)
            continue
        assert body.startswith("$ "), f"a console block begins with a command: {body!r}"
        for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            yield Step(["bash", "-c", command], expected)


def pattern(expected: str) -> str:
    """Expected output as a regular expression."""
    lines = expected.splitlines(keepends=True)
    return "".join(
        r"(?:.*\n)*?" if line == "...\n" else ".*".join(re.escape(p) for p in line.split("...")) for line in lines
    )


RUNNABLE = [name for name in PAGES if any(steps((ROOT / name).read_text()))]


@pytest.mark.parametrize("page", RUNNABLE)
def test_snippets_do_what_the_page_says(page: str, engine: RealEngine, tmp_path: Path) -> None:
    workspace = tmp_path / "project"
    workspace.mkdir()
    variables = {**engine.variables, "PATH": f"{Path(cli_argv()[0]).parent}:{engine.variables['PATH']}"}
    for step in steps((ROOT / page).read_text()):
        done = subprocess.run(step.argv, cwd=workspace, env=variables, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{page}: {step.argv[-1]}\n{done.stdout}{done.stderr}"
        if step.expected is not None:
            assert re.fullmatch(pattern(step.expected), done.stdout), (
                f"{page}: {step.argv[-1]}\nprinted\n{done.stdout}{done.stderr}\nwhere the page says\n{step.expected}"
            )


def test_the_tutorial_and_the_client_are_among_them() -> None:
    assert {"docs/tutorial/first-run.md", "docs/how-to/use-from-python.md"} <= set(RUNNABLE)


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("", "", True),
        ("", "x\n", False),
        ("a ... c\n", "a b c\n", True),
        ("a ... c\n", "a b\nc\n", False),
        ("...\nend\n", "one\ntwo\nend\n", True),
        ("...\n", "", True),
        ("a.c\n", "abc\n", False),
    ],
)
def test_what_counts_as_the_same(expected: str, printed: str, same: bool) -> None:
    assert bool(re.fullmatch(pattern(expected), printed)) is same
