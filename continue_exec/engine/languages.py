"""Languages that snippets and files can be written in: finding one, and planning how it runs.

    language_types    LanguageSpec and Way; the recipe for adding a language stands there
    language_table    LANGUAGES
    language_wrap     bare statements become a whole program
    language_guess    which language an untagged snippet is in

A plan is data: files to write and one argv. No value ever becomes part of a shell's text: where two steps are
needed, a fixed script refers to its arguments by number.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..errors import InvalidRequest, ToolchainMissing
from .language_guess import guess
from .language_table import LANGUAGES
from .language_types import LanguageSpec, Version, Way

__all__ = ["LANGUAGES", "LanguageSpec", "SnippetPlan", "Way", "by_name", "by_path", "guess", "plan"]

_BY_NAME = {name: spec for spec in LANGUAGES for name in (spec.id, *spec.aliases)}
_BY_EXTENSION = {extension: spec for spec in LANGUAGES for extension in spec.extensions}
_BY_FILENAME = {name: spec for spec in LANGUAGES for name in spec.filenames}
_SHEBANG = re.compile(r"#!\s*(\S+)(?:[ \t]+(.*))?")


@dataclass(frozen=True)
class SnippetPlan:
    """How a snippet or a file runs."""

    language: LanguageSpec
    steps: tuple[tuple[str, ...], ...]
    """What happens, in order: perhaps a build, then the program itself. For people and tests."""
    argv: tuple[str, ...]
    """The same as one command: this is what runs."""
    files: dict[str, bytes] = field(default_factory=dict)
    """Absolute path inside → content, to be written first. Empty when a file of the workspace runs."""
    env: dict[str, str] = field(default_factory=dict)
    """Variables to set where the run does not set them itself: the workspace's own modules can be imported."""


def by_name(name: str) -> LanguageSpec:
    """The language of that id or alias, in any case.

    Raises:
        InvalidRequest: there is none.
    """
    spec = _BY_NAME.get(name.strip().lower())
    if spec is None:
        known = ", ".join(spec.id for spec in LANGUAGES)
        raise InvalidRequest(f"No language is called {name!r}.", hint=f"Known are: {known}.")
    return spec


def by_path(path: str, head: str = "") -> LanguageSpec:
    """The language of a file: by its first line (`#!`) if `head` is given, else by its name.

    Raises:
        InvalidRequest: neither says.
    """
    if (spec := _by_shebang(head)) is not None:
        return spec
    name = os.path.basename(path)
    spec = _BY_FILENAME.get(name) or _BY_EXTENSION.get(os.path.splitext(name)[1].lower())
    # R's files end in .R, and .C is C++ to compilers: a capital is tried as it is, too.
    spec = _BY_EXTENSION.get(os.path.splitext(name)[1]) or spec
    if spec is None:
        raise InvalidRequest(
            f"The language of {name!r} is not known.",
            hint="Name the language, or run it as a command: `continue-exec run -- PROGRAM FILE`.",
        )
    return spec


def _by_shebang(head: str) -> LanguageSpec | None:
    match = _SHEBANG.match(head)
    if match is None:
        return None
    program = os.path.basename(match[1])
    if program == "env":
        words = [word for word in (match[2] or "").split() if not word.startswith("-") and "=" not in word]
        program = os.path.basename(words[0]) if words else ""
    # python3.12 → python3 → python
    for name in (program, re.sub(r"\.\d+$", "", program), re.sub(r"[\d.]+$", "", program)):
        for spec in LANGUAGES:
            if name and (name in spec.interpreters or (name in _BY_NAME and _BY_NAME[name] is spec)):
                return spec
    return None


def plan(
    language: LanguageSpec | str,
    *,
    which: Callable[[str], str | None],
    folder: str,
    code: str | None = None,
    file: str | None = None,
    args: Sequence[str] = (),
    cwd: str = "",
    version: Callable[[str], Version | None] = lambda program: None,
) -> SnippetPlan:
    """Plan a snippet (`code`) or a file of the workspace (`file`, absolute inside).

    Args:
        language: the language, its id or an alias.
        which: the absolute path inside of a program, or None. `LanguageSpec.programs` lists all it is asked for.
        folder: a folder inside that belongs to this one plan: `/tmp/continue-exec/snippets/<id>`.
        code: the snippet's text.
        file: the file to run instead.
        args: arguments of the program.
        cwd: where it will run.
        version: of a program at an absolute path, as numbers; None when not known, which counts as new enough.

    Raises:
        InvalidRequest: no such language, or not exactly one of `code` and `file`.
        ToolchainMissing: the sandbox has none of its programs; the hint says how to get one.
    """
    spec = by_name(language) if isinstance(language, str) else language
    if (code is None) == (file is None):
        raise InvalidRequest("A snippet needs either its code or a file.")
    way, programs = _choose(spec, which, version)
    files: dict[str, bytes] = {}
    if code is not None:
        code = code.replace("\r\n", "\n")
        text = spec.wrap(textwrap.dedent(code)) if spec.wrap else code
        source = f"{folder}/{spec.file_name(text)}"
        files[source] = text.encode("utf-8", "surrogateescape")
    else:
        source = file or ""
    values = {"file": source, "folder": folder, "out": f"{folder}/a.out", "cwd": cwd or ".", **programs}
    values["stem"] = os.path.splitext(os.path.basename(source))[0]
    build = _fill(way.build, values)
    run = (*_fill(way.run, values), *args)
    env = {name: template.format(cwd=cwd) for name, template in spec.env.items()} if code is not None and cwd else {}
    steps = (build, run) if build else (run,)
    return SnippetPlan(spec, steps, _joined(build, run, folder, source if way.stdin else ""), files, env)


def _choose(
    spec: LanguageSpec, which: Callable[[str], str | None], version: Callable[[str], Version | None]
) -> tuple[Way, dict[str, str]]:
    """The first way whose programs are all there and new enough, with their paths."""
    too_old: list[str] = []
    for way in spec.ways:
        paths: dict[str, str] = {}
        for number, program in enumerate(way.programs):
            if (path := which(program)) is None:
                break
            paths[f"program{number}"] = path
        else:
            found = version(paths["program0"]) if way.minimum else None
            if found is None or found >= way.minimum:
                return way, paths
            too_old.append(f"{way.programs[0]} is {_dotted(found)}, needs {_dotted(way.minimum)}")
    ways = ", or ".join(" with ".join(f"`{program}`" for program in way.programs) for way in spec.ways)
    detail = f" ({'; '.join(too_old)})" if too_old else ""
    raise ToolchainMissing(
        f"{spec.title} cannot run in this sandbox: it needs {ways}{detail}.",
        hint=f"{spec.install} The sandbox uses the host's own toolchains: install it there, then run again.",
        data={"language": spec.id, "programs": list(spec.programs)},
    )


def _dotted(numbers: Version) -> str:
    return ".".join(map(str, numbers))


def _fill(template: tuple[str, ...], values: dict[str, str]) -> tuple[str, ...]:
    """Each argument with its fields replaced; an argument stays one argument whatever the values hold."""
    return tuple(argument.format(**values) for argument in template)


def _joined(build: tuple[str, ...], run: tuple[str, ...], folder: str, stdin: str) -> tuple[str, ...]:
    """One argv. The shell's text depends on how many arguments there are, never on what they are."""
    if not build and not stdin:
        return run
    values: list[str] = []

    def refer(arguments: Sequence[str]) -> str:
        start = len(values)
        values.extend(arguments)
        return " ".join(f'"${{{number}}}"' for number in range(start + 1, len(values) + 1))

    script = f"mkdir -p -- {refer([folder])} && {refer(build)} && exec {refer(run)}" if build else f"exec {refer(run)}"
    if stdin:
        script += f" < {refer([stdin])}"
    return ("/bin/sh", "-c", script, "sh", *values)
