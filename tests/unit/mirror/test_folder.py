from __future__ import annotations

import os
from pathlib import Path

import pytest

from continue_exec.mirror.filter import Filter, IgnoreRules, Verdict
from continue_exec.mirror.folder import Gone, SafeFolder
from continue_exec.mirror.state import digest
from continue_exec.mirror.walk import LeftOut


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Folder `upper/work`, as a sandbox's, and a secret outside."""
    (tmp_path / "upper" / "work" / "d").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    (tmp_path / "upper" / "work" / "d" / "f").write_text("text")
    return tmp_path / "upper"


def test_links_on_the_way_lead_nowhere(top: Path) -> None:
    work = top / "work"
    (work / "way").symlink_to(top.parent / "outside")
    (work / "file").symlink_to(top.parent / "outside" / "secret")
    files = SafeFolder(top, "work")
    for path in ("way/secret", "file", "gone", "d/f/x"):
        with pytest.raises(Gone):
            files.read(path, 100)
    assert files.look("way/secret") is None and files.stat("way/secret") is None
    found = files.look("file")
    assert found is not None and found.kind == "l"
    assert files.target("file") == str(top.parent / "outside" / "secret")
    (top / "swapped").symlink_to("work")
    assert SafeFolder(top, "swapped").look("d/f") is None, "nor do the folders above the tree"
    assert SafeFolder(top, "work/way").look("secret") is None


def test_what_is_no_file_is_not_waited_for(top: Path) -> None:
    os.mkfifo(top / "work" / "pipe")
    files = SafeFolder(top, "work")
    with pytest.raises(Gone):
        files.read("pipe", 100)
    with pytest.raises(Gone):
        files.digest("d", "f")
    found = files.look("pipe")
    assert found is not None and found.kind == "o"


def test_reading(top: Path) -> None:
    files = SafeFolder(top, "work")
    assert files.read("d/f", 100) == b"text" and files.read("d/f", 2) == b"tex", "one more tells that there is more"
    assert files.digest("d/f", "f") == digest(b"text")
    (top / "work" / "l").symlink_to("x")
    assert files.digest("l", "l") == digest(b"x")
    with pytest.raises(Gone):
        files.target("d/f")


def test_a_scan_goes_by_the_hosts_rules(top: Path, tmp_path: Path) -> None:
    host = tmp_path / "host"
    host.mkdir()
    (host / ".gitignore").write_text("ignored/\n*.log\n")
    work = top / "work"
    (work / ".gitignore").write_text("d/\n")
    (work / "ignored").mkdir()
    (work / "ignored" / "x").write_text("")
    (work / "a.log").write_text("")
    (work / ".env").write_text("")
    (work / "way").symlink_to("/")
    left_out = LeftOut()
    found = SafeFolder(top, "work").scan(Filter(str(host), IgnoreRules()), left_out)
    assert sorted(found) == [".env", ".gitignore", "d", "d/f", "way"] and not left_out
    assert found[".env"].verdict is Verdict.SECRET and found["way"].kind == "l"


def test_a_scan_of_nothing_says_so_and_one_can_be_stopped(top: Path, tmp_path: Path) -> None:
    rules = Filter(str(tmp_path), IgnoreRules())
    left_out = LeftOut()
    assert SafeFolder(top, "nothing").scan(rules, left_out) == {} and "." in left_out, "not known is not gone"
    with pytest.raises(Gone):
        SafeFolder(top, "work").scan(rules, LeftOut(), lambda: True)
