from __future__ import annotations

import pytest

from continue_exec.doors.lsp.languages import LSP_IDS, Languages
from continue_exec.engine.languages import LANGUAGES

TABLE = Languages(
    {
        "languages": [
            {"id": one.id, "aliases": list(one.aliases), "extensions": list(one.extensions)} for one in LANGUAGES
        ]
    }
)


@pytest.mark.parametrize(("name", "found"), [("python", "python"), ("PY", "python"), ("nonsense", None), ("", None)])
def test_names(name: str, found: str | None) -> None:
    assert TABLE.named(name) == found


@pytest.mark.parametrize("name", LSP_IDS)
def test_every_name_of_lsp_is_one_of_the_real_table(name: str) -> None:
    assert TABLE.named(name) is not None


def test_a_file_is_known_by_its_extension_before_the_editors_word() -> None:
    assert TABLE.of_file("/w/a.py", "plaintext") == "python"
    assert TABLE.of_file("/w/A.PY") == "python"
    assert TABLE.of_file("/w/tool", "python") == "python"
    assert TABLE.of_file("/w/tool", "plaintext") is None
    assert Languages({}).of_file("/w/a.py", "python") is None
