from __future__ import annotations

import os
from pathlib import Path

import pytest

from continue_exec.mirror.git import process
from tests.support.repositories import repository


def test_it_answers(tmp_path: Path) -> None:
    repository(tmp_path)

    assert process.run(str(tmp_path), "rev-parse", "--abbrev-ref", "HEAD") == b"main\n"
    assert process.run(str(tmp_path), "config", "no.such", ok=(0, 1)) == b""
    with (tmp_path / "main.py").open("rb") as file:
        oid = process.run(str(tmp_path), "hash-object", "--stdin", input=file)
    assert oid == process.run(str(tmp_path), "hash-object", "--stdin", input=b"print(0)\n")


def test_what_fails_is_said_in_gits_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(process.GitFailed, match="not a git repository"):
        process.run(str(tmp_path), "rev-parse", "HEAD")
    with pytest.raises(process.GitFailed, match="is gone"):
        process.run(str(tmp_path / "nowhere"), "version")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(process.GitMissing):
        process.run(str(tmp_path), "version")


def test_the_callers_variables_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository(tmp_path / "r")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere")

    assert process.run(str(tmp_path / "r"), "ls-files") == b"main.py\n"


def test_limits_hold(tmp_path: Path) -> None:
    repository(tmp_path)
    (tmp_path / "big").write_bytes(os.urandom(1 << 20))
    with pytest.raises(process.GitFailed):
        process.run(str(tmp_path), "hash-object", "-w", "big", limits=(10, 1 << 20, 100))
    with pytest.raises(process.GitFailed):
        process.run(str(tmp_path), "hash-object", "-w", "big", limits=(10, 1 << 10, 1 << 20))
    process.run(str(tmp_path), "hash-object", "-w", "big", limits=(10, 1 << 20, 1 << 20))
