from __future__ import annotations

from pathlib import Path

import pytest

from continue_exec.doors.cli import review
from continue_exec.errors import InvalidRequest, NotFound


def changes(root: Path, *paths: str) -> review.Changes:
    listed = [{"path": path, "hunks": [{"id": f"abcdef{n:02}"}]} for n, path in enumerate(paths)]
    return review.Changes({"workspace": str(root), "changes": listed})


def test_names_are_relative_to_where_they_are_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "alias").symlink_to(root)
    (root / "link").symlink_to("/etc/passwd")
    monkeypatch.chdir(root / "sub")
    for name, expected in {
        "a": "sub/a",
        "../a": "a",
        "..": ".",
        ".": "sub",
        "../link": "link",
        str(tmp_path / "alias/x"): "x",
        str(root / "y"): "y",
        "gone/deep": "sub/gone/deep",
    }.items():
        assert review.relative(str(root), name) == expected
    for name in ("../..", "/etc/passwd", str(tmp_path / "rooted")):
        with pytest.raises(InvalidRequest):
            review.relative(str(root), name)


def test_which_changes_are_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = changes(tmp_path, "a", "ab/c", "ab/d")
    found.all[0]["old_path"] = "was"  # type: ignore[index]
    (tmp_path / "here").write_text("")

    def paths(name: str) -> list[str]:
        return [change["path"] for change in found.at(name)]

    assert (paths("."), paths("a"), paths("ab"), paths("here")) == (["a", "ab/c", "ab/d"], ["a"], ["ab/c", "ab/d"], [])
    assert paths("was") == ["a"]
    with pytest.raises(NotFound):
        found.at("b")
    assert found.one("ab/c")["path"] == "ab/c"
    with pytest.raises(InvalidRequest):
        found.one("ab")
    with pytest.raises(NotFound):
        found.one("here")


def test_hunks_by_the_beginning_of_their_id(tmp_path: Path) -> None:
    found = changes(tmp_path, "a", "b")
    assert found.of_hunk("ABCDEF01")[1] == "abcdef01"
    assert found.of_hunk("abcdef00")[0]["path"] == "a"
    for wrong, error in (("abcd", InvalidRequest), ("abc", InvalidRequest), ("", InvalidRequest), ("ffff", NotFound)):
        with pytest.raises(error):
            found.of_hunk(wrong)


def test_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert review.report({"applied": ["a\x1b"]}, "Applied") == 0
    left = [{"path": "b", "code": "conflict", "message": "Both.", "hint": "Look."}]
    assert review.report({"applied": [], "left": left}, "Applied", dry_run=True) == 1
    assert capsys.readouterr().out == "Applied:\n  a^[\nLeft:\n  b: Both.\n    → Look.\n"
    assert [review.count(n, "file") for n in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
