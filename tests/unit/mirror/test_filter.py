from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from continue_exec.mirror.filter import Filter, IgnoreRules, Verdict


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


def verdicts(rules: Filter, *paths: str) -> dict[str, str]:
    """A trailing slash: a folder."""
    return {path: rules.decide_path(path.rstrip("/"), path.endswith("/")).name for path in paths}


def test_plain_folder(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.log\nbuild/\n")
    (tmp_path / ".continueexecignore").write_text("data/\n")
    rules = Filter(str(tmp_path), IgnoreRules())
    assert verdicts(
        rules, "a.py", "a.log", "build/", "build", "data/", "data/x", "build/x", ".git/", ".env", ".ssh/"
    ) == {
        "a.py": "IN",
        "a.log": "OUT",
        "build/": "OUT",
        "build": "IN",
        "data/": "OUT",
        "data/x": "OUT",
        "build/x": "OUT",
        ".git/": "OUT",
        ".env": "SECRET",
        ".ssh/": "SECRET",
    }


def test_nearer_files_and_later_lines_win(tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / ".git/info/exclude").write_text("*.tmp\n*.log\n")
    (tmp_path / ".gitignore").write_text("!keep.log\n*.pyc\n")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / ".gitignore").write_text("!*.pyc\nkeep.log\n")
    rules = Filter(str(tmp_path), IgnoreRules())
    assert verdicts(rules, "a.tmp", "a.log", "keep.log", "x.pyc", "d/x.pyc", "d/keep.log", "d/a.tmp") == {
        "a.tmp": "OUT",
        "a.log": "OUT",
        "keep.log": "IN",
        "x.pyc": "OUT",
        "d/x.pyc": "IN",
        "d/keep.log": "OUT",
        "d/a.tmp": "OUT",
    }


def test_tracked_comes_in_with_the_folders_that_lead_there(tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / ".gitignore").write_text("build/\n")
    (tmp_path / "build" / "d").mkdir(parents=True)
    (tmp_path / "build" / "d" / "t").write_text("")
    rules = Filter(str(tmp_path), IgnoreRules())
    assert rules.decide_path("build/d/t", False) is Verdict.OUT and not rules.may_be_stale()
    git(tmp_path, "add", "-f", "build/d/t")
    assert rules.may_be_stale() and rules.stale() and not rules.may_be_stale()
    assert verdicts(rules, "build/", "build/d/", "build/d/t", "build/d/other", "build/e/") == {
        "build/": "IN",
        "build/d/": "IN",
        "build/d/t": "IN",
        "build/d/other": "OUT",
        "build/e/": "OUT",
    }
    (tmp_path / ".continueexecignore").write_text("build/\n")
    rules.drop("")
    assert verdicts(rules, "build/", "build/d/t") == {"build/": "OUT", "build/d/t": "OUT"}


def test_a_workspace_inside_a_work_tree(tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / ".gitignore").write_text("*.log\n/w/top\nsub/secretless\n")
    (tmp_path / "w" / "sub").mkdir(parents=True)
    (tmp_path / "w" / "t.log").write_text("")
    git(tmp_path, "add", "-f", "w/t.log")
    rules = Filter(str(tmp_path / "w"), IgnoreRules())
    assert verdicts(rules, "a.log", "t.log", "top", "sub/top", "sub/x") == {
        "a.log": "OUT",
        "t.log": "IN",
        "top": "OUT",
        "sub/top": "IN",
        "sub/x": "IN",
    }


def test_a_repository_inside_has_its_own_rules(tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / ".gitignore").write_text("*.log\n")
    (tmp_path / "lib").mkdir()
    git(tmp_path / "lib", "init")
    (tmp_path / "lib" / ".gitignore").write_text("*.py\n")
    (tmp_path / "lib" / "t.py").write_text("")
    git(tmp_path / "lib", "add", "-f", "t.py")
    rules = Filter(str(tmp_path), IgnoreRules())
    assert verdicts(rules, "lib/a.log", "lib/a.py", "lib/t.py", "a.py", "lib/.git/") == {
        "lib/a.log": "IN",
        "lib/a.py": "OUT",
        "lib/t.py": "IN",
        "a.py": "IN",
        "lib/.git/": "OUT",
    }


def test_includes(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("build/\nvendor/\n*.log\n")
    rules = Filter(str(tmp_path), IgnoreRules(("build/*/out.bin", "vendor/", "*.log", "conf/.env")))
    found = verdicts(rules, "build/", "build/a/", "build/a/b/", "build/a/out.bin", "build/x", "vendor/", "vendor/d/f")
    assert list(found.values()) == ["THROUGH", "THROUGH", "OUT", "IN", "OUT", "IN", "IN"]
    assert list(verdicts(rules, "a.log", "conf/.env", ".env", "vendor/.env", "vendor/.git/").values()) == [
        "IN",
        "IN",
        "SECRET",
        "SECRET",
        "OUT",
    ]


@pytest.mark.parametrize("pattern", ["*", "conf/", "conf/*", "**"])
def test_no_broad_pattern_brings_a_secret_in(tmp_path: Path, pattern: str) -> None:
    assert Filter(str(tmp_path), IgnoreRules((pattern,))).decide_path("conf/.env", False) is Verdict.SECRET


def test_what_is_dropped_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    rules = Filter(str(tmp_path), IgnoreRules())
    assert rules.decide_path("d/x", False) is Verdict.IN and rules.visited("d")
    (tmp_path / "d" / ".gitignore").write_text("x\n")
    rules.drop("d")
    assert not rules.visited("d") and rules.decide_path("d/x", False) is Verdict.OUT
