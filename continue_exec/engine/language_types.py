"""What a language is, to us.

To add a language: an entry in language_table.py with a `Way` for each toolchain that can run it, best first; if bare
statements are no program in it, a function in language_wrap.py; a snippet that prints 42 in
tests/unit/engine/test_languages.py; a row in docs/reference/languages.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Version = tuple[int, ...]


@dataclass(frozen=True)
class Way:
    """One toolchain that can run a language.

    In the arguments of `build` and `run`: `{program0}`, `{program1}` are the paths of `programs`, `{file}` the
    source, `{stem}` its name without extension, `{folder}` the plan's own folder, `{out}` a file in it, `{cwd}` where
    it runs. Each argument stays one argument.
    """

    programs: tuple[str, ...]
    """All of them are needed."""
    run: tuple[str, ...] = ("{program0}", "{file}")
    build: tuple[str, ...] = ()
    """Runs first; if it fails, its exit code is the run's."""
    minimum: Version = ()
    """Oldest version of the first program that can do it; empty: any."""
    stdin: bool = False
    """The program reads its source from standard input."""


@dataclass(frozen=True)
class LanguageSpec:
    """One row of the table."""

    id: str
    title: str
    """As a person writes it."""
    extensions: tuple[str, ...]
    """With the dot. The first is the snippet file's."""
    ways: tuple[Way, ...]
    install: str
    """One sentence: how to get a toolchain."""
    aliases: tuple[str, ...] = ()
    """Other names: of Markdown fences, of editors. The editors' language ids must be among them."""
    interpreters: tuple[str, ...] = ()
    """Programs that a `#!` line may name, besides id and aliases."""
    filenames: tuple[str, ...] = ()
    """Whole file names."""
    wrap: Callable[[str], str] | None = None
    """Makes a whole program of a snippet that is only statements."""
    name: Callable[[str], str] | None = None
    """The snippet's file name, where the language cares; default `main` and the first extension."""
    env: Mapping[str, str] = field(default_factory=dict)
    """For snippets: `{cwd}` in them is where it runs."""

    @property
    def programs(self) -> tuple[str, ...]:
        """Every program that any way needs, best first."""
        return tuple(dict.fromkeys(program for way in self.ways for program in way.programs))

    @property
    def versioned(self) -> tuple[str, ...]:
        """The programs whose version matters."""
        return tuple(dict.fromkeys(way.programs[0] for way in self.ways if way.minimum))

    def file_name(self, code: str) -> str:
        """What a snippet's file is called."""
        return self.name(code) if self.name else f"main{self.extensions[0]}"
