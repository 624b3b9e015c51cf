"""Where "Run in Sandbox" stands in a document. Pure: a text in, commands and lines out.

To add one for a language: a function of the text that yields lenses, an entry in BY_LANGUAGE.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .languages import Languages
from .text import line_starts

TITLE = "▶ Run in Sandbox"
TEST_TITLE = "▶ Test in Sandbox"

LIMIT = 500
"""Lenses in one document: beyond it an editor slows down, and nobody reads them."""


@dataclass(frozen=True)
class Lens:
    """One command above one line (from 0)."""

    line: int
    title: str
    command: str
    argument: dict[str, Any]


@dataclass(frozen=True)
class Source:
    """What a finder gets to see.

    Attributes:
        folder: the workspace's folder; commands of tests run there.
    """

    uri: str
    path: str
    folder: str
    lines: list[str]

    @property
    def relative(self) -> str:
        """Path from the folder, never mistaken for an option."""
        return os.path.join(".", os.path.relpath(self.path, self.folder))


def run_file(source: Source, line: int) -> Lens:
    """A lens that runs the whole file."""
    return Lens(line, TITLE, "continue-exec.runFile", {"uri": source.uri})


def run_test(source: Source, line: int, argv: list[str], title: str) -> Lens:
    """A lens that runs one test, in the workspace's folder."""
    argument = {"argv": argv, "cwd": source.folder, "uri": source.uri, "title": title}
    return Lens(line, TEST_TITLE, "continue-exec.run", argument)


_PYTHON = re.compile(
    r"(?P<indent>[ \t]*)(?:(?:async[ \t]+)?def[ \t]+(?P<test>test\w*)|class[ \t]+(?P<suite>Test\w*))\b"
)
_PYTHON_MAIN = re.compile(r"if[ \t]+__name__[ \t]*==[ \t]*[\"']__main__[\"']")


def python(source: Source) -> Iterator[Lens]:
    """pytest's tests, and `if __name__ == "__main__"`."""
    suite: tuple[int, str] | None = None
    for number, line in enumerate(source.lines):
        if _PYTHON_MAIN.match(line):
            yield run_file(source, number)
        if line.strip() and suite is not None and not line.startswith((" ", "\t", "#", ")")):
            suite = None
        found = _PYTHON.match(line)
        if found is None:
            continue
        indent = len(found["indent"].expandtabs())
        if found["suite"]:
            if indent == 0:
                suite = (number, found["suite"])
                yield run_test(source, number, *_pytest(source, found["suite"]))
        elif indent == 0:
            yield run_test(source, number, *_pytest(source, found["test"]))
        elif suite is not None:
            yield run_test(source, number, *_pytest(source, suite[1], found["test"]))


def _pytest(source: Source, *names: str) -> tuple[list[str], str]:
    target = "::".join((os.path.relpath(source.path, source.folder), *names))
    return ["python3", "-m", "pytest", "./" + target], target


_GO_TEST = re.compile(r"func[ \t]+(?P<name>Test[A-Z_0-9]\w*|Test)[ \t]*\([ \t]*\w+[ \t]+\*testing\.T[ \t]*\)")


def go(source: Source) -> Iterator[Lens]:
    """Go's tests. The package is the file's folder, where `go` is started: it may be a module of its own."""
    if not source.path.endswith("_test.go"):
        return
    for number, line in enumerate(source.lines):
        if found := _GO_TEST.match(line):
            argument = {
                "argv": ["go", "test", "-run", f"^{found['name']}$", "."],
                "cwd": os.path.dirname(source.path),
                "uri": source.uri,
                "title": found["name"],
            }
            yield Lens(number, TEST_TITLE, "continue-exec.run", argument)


_FENCE = re.compile(r"(?P<indent> {0,3})(?P<mark>`{3,}|~{3,})(?P<info>.*)")


def markdown(source: Source, languages: Languages) -> Iterator[Lens]:
    """Fenced blocks in a language that can be run (CommonMark 0.31, "Fenced code blocks")."""
    opened: tuple[int, str, str, int] | None = None
    block: list[str] = []
    for number, line in enumerate(source.lines):
        found = _FENCE.fullmatch(line)
        if opened is None:
            if found and not (found["mark"].startswith("`") and "`" in found["info"]):
                word = found["info"].strip().split(maxsplit=1)[:1]
                opened, block = (number, found["mark"], word[0] if word else "", len(found["indent"])), []
        elif found and found["mark"].startswith(opened[1]) and not found["info"].strip():
            language = languages.named(opened[2].strip("{}.,")) if opened[2] else None
            if language is not None and any(part.strip() for part in block):
                argument = {"language": language, "code": "".join(part + "\n" for part in block), "uri": source.uri}
                yield Lens(opened[0], TITLE, "continue-exec.runSnippet", argument)
            opened = None
        else:
            strip = opened[3]
            block.append(line[min(strip, len(line) - len(line.lstrip(" "))) :])


BY_LANGUAGE: dict[str, Callable[[Source], Iterator[Lens]]] = {"python": python, "go": go}

# A file in these languages is a part of a program: running it alone does not mean anything.
_NOT_ALONE = re.compile(r"(_test\.go|\.h|\.hpp|\.d\.ts)$")


def find(uri: str, path: str, language_id: str, folder: str, text: str, languages: Languages) -> list[Lens]:
    """Every lens of a document, by line."""
    starts = line_starts(text)
    ends = [*starts[1:], len(text)]
    lines = [text[start:end].rstrip("\r\n") for start, end in zip(starts, ends, strict=True)]
    source = Source(uri, path, folder, lines)
    found: list[Lens] = []
    if language_id == "markdown" or path.endswith((".md", ".markdown")):
        found.extend(markdown(source, languages))
    elif (language := languages.of_file(path, language_id)) is not None:
        if not _NOT_ALONE.search(path):
            found.append(run_file(source, 0))
        if finder := BY_LANGUAGE.get(language):
            found.extend(finder(source))
    unique = {(lens.line, lens.command, shlex.join(lens.argument.get("argv", []))): lens for lens in found}
    return sorted(unique.values(), key=lambda lens: lens.line)[:LIMIT]
