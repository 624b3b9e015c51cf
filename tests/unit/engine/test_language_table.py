from __future__ import annotations

import string

import pytest

from continue_exec.engine.language_table import LANGUAGES
from continue_exec.engine.language_types import LanguageSpec

FIELDS = {"program0", "program1", "file", "stem", "folder", "out", "cwd"}


@pytest.mark.parametrize("spec", LANGUAGES, ids=lambda spec: spec.id)
def test_rows_are_whole(spec: LanguageSpec) -> None:
    assert spec.ways and spec.extensions and spec.install.endswith(".")
    assert all(extension.startswith(".") for extension in spec.extensions)
    assert spec.id == spec.id.lower() and all(alias == alias.lower() for alias in spec.aliases)
    for way in spec.ways:
        assert way.programs
        used = {name for part in (*way.build, *way.run) for _, name, _, _ in string.Formatter().parse(part) if name}
        assert used <= FIELDS
        assert {f"program{number}" for number in range(len(way.programs))} >= {
            n for n in used if n.startswith("program")
        }
        assert "file" in used or way.stdin, "the source must be named somewhere"


EDITOR_IDS = [
    "python",
    "javascript",
    "typescript",
    "shellscript",
    "go",
    "rust",
    "c",
    "cpp",
    "java",
    "ruby",
    "perl",
    "perl6",
    "php",
    "lua",
    "r",
    "julia",
    "swift",
    "kotlin",
    "scala",
    "groovy",
    "clojure",
    "csharp",
    "fsharp",
    "haskell",
    "elixir",
    "erlang",
    "dart",
    "powershell",
    "sql",
    "awk",
    "makefile",
    "nim",
    "zig",
    "ocaml",
    "d",
    "fish",
    "crystal",
    "tcl",
]


@pytest.mark.parametrize("name", EDITOR_IDS)
def test_editors_ids_are_known(name: str) -> None:
    assert any(name == spec.id or name in spec.aliases for spec in LANGUAGES)
