from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from continue_exec.mirror.repository import Repository, find_top, read_rules


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


def test_top(tmp_path: Path) -> None:
    (tmp_path / "r" / "d").mkdir(parents=True)
    (tmp_path / "r" / ".git").write_text("gitdir: x")
    assert find_top(str(tmp_path / "r" / "d")) == str(tmp_path / "r")
    assert find_top(str(tmp_path)) is None


def test_it_starts_nothing_that_the_repository_names(tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / "f").write_text("")
    git(tmp_path, "add", "f")
    proof = tmp_path / "ran"
    script = tmp_path / "evil"
    script.write_text(f"#!/bin/sh\ntouch {proof}\n")
    script.chmod(0o755)
    for setting in ("core.fsmonitor", "core.pager", "core.sshCommand", "core.editor", "filter.x.clean"):
        git(tmp_path, "config", setting, str(script))
    git(tmp_path, "config", "core.hooksPath", str(tmp_path))
    git(tmp_path, "config", "alias.ls-files", f"!{script}")
    for hook in ("post-index-change", "fsmonitor-watchman"):
        (tmp_path / hook).symlink_to("evil")
    (tmp_path / ".gitattributes").write_text("* filter=x\n")
    assert Repository.open(str(tmp_path)).note == ""
    assert not proof.exists()


def test_the_callers_variables_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init")
    (tmp_path / ".gitignore").write_text("x\n")
    (tmp_path / "x").write_text("")
    git(tmp_path, "add", "-f", "x")
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nonexistent")
    found = Repository.open(str(tmp_path))
    assert found.forced == {"x"} and found.note == ""


def test_users_excludes_and_a_linked_work_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main, linked = tmp_path / "main", tmp_path / "linked"
    main.mkdir()
    git(main, "init")
    git(main, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--allow-empty", "-m", "x")
    git(main, "worktree", "add", str(linked))
    (main / ".git" / "info" / "exclude").write_text("shared\n")
    (tmp_path / "excludes").write_text("mine\n")
    git(main, "config", "core.excludesFile", str(tmp_path / "excludes"))
    found = Repository.open(str(linked))
    assert [patterns.match(b"shared", b"shared", False) for patterns in found.lists] == [True, None]
    assert [patterns.match(b"mine", b"mine", False) for patterns in found.lists] == [None, True]
    assert not found.rules_changed()
    (tmp_path / "excludes").write_text("others\n")
    assert found.rules_changed()


def test_a_new_index_is_noticed(tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / ".gitignore").write_text("x\n")
    (tmp_path / "x").write_text("")
    found = Repository.open(str(tmp_path))
    assert found.forced == frozenset() and not found.index_changed()
    git(tmp_path, "add", "-f", "x")
    assert found.index_changed() and found.refresh() and found.forced == {"x"}
    (tmp_path / "y").write_text("")
    git(tmp_path, "add", "y")
    assert found.index_changed() and not found.refresh()


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "not installed" in Repository.open(str(tmp_path)).note


def test_a_repository_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init")
    (tmp_path / "f").write_text("")
    git(tmp_path, "add", "f")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # dropped, as every GIT_*
    assert Repository.open(str(tmp_path)).note == ""
    if os.getuid() == 0:
        for folder in (tmp_path, tmp_path / ".git"):
            os.chown(folder, 12345, 12345)
        assert "refused" in Repository.open(str(tmp_path)).note


def test_ignore_files_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("x")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert read_rules(str(tmp_path / "real")) == b"x"
    assert read_rules(str(tmp_path / "link"), follow=True) == b"x"
    assert [read_rules(str(tmp_path / name)) for name in ("link", "folder", "pipe", "missing")] == [b""] * 4
