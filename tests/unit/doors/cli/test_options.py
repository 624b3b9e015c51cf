from __future__ import annotations

import argparse
import os
from argparse import Namespace
from pathlib import Path

import pytest

from continue_exec.doors.cli import options
from continue_exec.errors import InvalidRequest, NotFound


def test_what_follows_the_dashes_is_untouched() -> None:
    parsed = options.parse("x", lambda parser: parser.add_argument("-a"), ["-a", "1", "--", "-a", "--", "2"])
    assert (parsed.a, parsed.argv) == ("1", ["-a", "--", "2"])
    assert options.parse("x", lambda parser: None, []).argv is None


def test_what_is_wrong_is_an_invalid_request() -> None:
    with pytest.raises(InvalidRequest) as caught:
        options.parse("x", lambda parser: None, ["--nonsense"])
    assert "--nonsense" in caught.value.message
    assert "continue-exec x --help" in caught.value.hint


def test_no_abbreviations() -> None:
    with pytest.raises(InvalidRequest):
        options.parse("x", options.json_option, ["--js"])


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5s", 1.5), ("250ms", 0.25), ("10m", 600), ("2h", 7200), ("1d", 86400)]
)
def test_seconds(text: str, seconds: float) -> None:
    assert options.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1", "1w", "1 h", "nan", "inf", "1e3"])
def test_not_seconds(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        options.seconds(text)


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "x=y")
    assert options.environment(["A=1", "B=", "C=a=b", "OURS"]) == {"A": "1", "B": "", "C": "a=b", "OURS": "x=y"}
    for wrong in ("=1", "NOT_SET_HERE"):
        with pytest.raises(InvalidRequest):
            options.environment([wrong])


def test_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    a, b = str(tmp_path / "a"), str(tmp_path / "a" / "b")
    monkeypatch.chdir(tmp_path / "a" / "b")

    def place(cwd: str | None, workspace: str | None) -> tuple[str, str, bool]:
        found = options.place(Namespace(cwd=cwd, workspace=workspace))
        return found["cwd"], found["workspace"], found["workspace_root"]

    assert place(None, None) == (b, b, False)
    assert place("..", None) == (a, a, False)
    assert place(None, a) == (b, a, True)
    assert place(None, b) == (b, b, True)
    monkeypatch.chdir(tmp_path)
    assert place(None, "a") == (a, a, True)  # from outside it: its root


def test_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    assert options.folder(str(tmp_path / "link")) == str(tmp_path)
    with pytest.raises(NotFound):
        options.folder(str(tmp_path / "none"))
    with pytest.raises(InvalidRequest):
        options.folder(str(tmp_path / "file"))


def test_a_current_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    os.rmdir(tmp_path / "gone")
    with pytest.raises(NotFound):
        options.here()
