from __future__ import annotations

from pathlib import Path

import pytest

from continue_exec import config
from continue_exec.errors import InvalidRequest


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    monkeypatch.setenv("CONTINUE_EXEC_CONFIG", str(path))
    return path


def test_defaults_need_no_file() -> None:
    assert config.load().egress == "allowlist"


def test_variables_win_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('egress = "none"\nallow = ["example.com"]\n')
    assert config.load().egress == "none"
    monkeypatch.setenv("CONTINUE_EXEC_EGRESS", "open")
    assert config.load().egress == "open"
    assert config.load().allow == ("example.com",)


@pytest.mark.parametrize(
    ("text", "named"),
    [("egress = 'all'", "egress"), ("colour = 1", "colour"), ("cpus = -1", "cpus"), ("= =", "TOML")],
)
def test_what_is_wrong_is_named(file: Path, text: str, named: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidRequest, match=named) as caught:
        config.load()
    assert caught.value.hint
