from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from continue_exec.errors import Conflict, DiskFull, HostUnready, Refused
from continue_exec.mirror import home as module
from continue_exec.mirror.home import Home
from continue_exec.mirror.state import digest
from continue_exec.mirror.swap import ABSENT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/f").write_text("outside")
    (folder / "out").symlink_to(tmp_path / "outside")
    (folder / "file").write_text("old")
    return folder


@pytest.fixture
def home(root: Path) -> Home:
    return Home(str(root))


def text(data: bytes) -> Callable[[int], None]:
    return lambda fd: [os.write(fd, data), None][1]


OLD = ("f", digest(b"old"))


def test_files_come_whole_or_not_at_all(home: Home, root: Path) -> None:
    home.put_file("file", text(b"new"), 0o640, OLD)
    home.put_file("a/b/c", text(b"deep"), 0o755, ABSENT)
    assert ((root / "file").read_text(), (root / "a/b/c").read_text()) == ("new", "deep")
    assert [stat.S_IMODE((root / name).stat().st_mode) for name in ("file", "a", "a/b/c")] == [0o640, 0o755, 0o755]

    def broken(fd: int) -> None:
        os.write(fd, b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskFull):
        home.put_file("file", broken, 0o644, ("f", digest(b"new")))
    assert (root / "file").read_text() == "new"
    assert sorted(os.listdir(root)) == ["a", "file", "out"]


@pytest.mark.parametrize("path", ["out/f", "out/new", "out/deep/new"])
def test_nothing_is_done_behind_a_link(home: Home, root: Path, path: str) -> None:
    for act in (
        lambda: home.put_file(path, text(b"new"), 0o644, ABSENT),
        lambda: home.put_link(path, "x", ABSENT),
        lambda: home.put_folder(path, 0o755, ABSENT),
        lambda: home.set_mode(path, 0o777, ("f", digest(b"outside"))),
        lambda: home.remove(path, ("f", digest(b"outside"))),
    ):
        with pytest.raises(Refused, match=r"is a link on the host|leads through out"):
            act()
    with pytest.raises(Refused, match="is a link on the host"):
        home.check_links(path)
    home.check_links("out")
    home.check_links("gone/deep/file")
    assert home.prune("out/f", lambda folder: False) == []
    assert [path.read_text() for path in (root.parent / "outside").iterdir()] == ["outside"]
    assert stat.S_IMODE((root.parent / "outside/f").stat().st_mode) == 0o644


@pytest.mark.parametrize(
    "path", ["../outside/f", "a/../../outside/f", ".git/config", "a/.GIT/x", "/etc/x", "a//b", "."]
)
def test_paths_that_are_never_written(home: Home, root: Path, path: str) -> None:
    """Whoever asks: the review has refused them before."""
    for act in (
        lambda: home.put_file(path, text(b"new"), 0o644, ABSENT),
        lambda: home.remove(path, ("f", digest(b"outside"))),
    ):
        with pytest.raises(Refused):
            act()
    assert sorted(os.listdir(root)) == ["file", "out"]


def test_a_folder_that_becomes_a_link_on_the_way(home: Home, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two components of the path: what was opened is what is used."""
    (root / "a/b").mkdir(parents=True)
    step = Home._step

    def swapped(self: Home, fd: int, part: str, path: str, make: bool) -> int:
        found = step(self, fd, part, path, make)
        if part == "a":
            os.rename(root / "a", root / "aside")
            (root / "a").symlink_to(root.parent / "outside")
        return found

    monkeypatch.setattr(Home, "_step", swapped)
    home.put_file("a/b/f", text(b"new"), 0o644, ABSENT)
    assert (root / "aside/b/f").read_text() == "new"
    assert sorted(os.listdir(root.parent / "outside")) == ["f"]


def test_links(home: Home, root: Path) -> None:
    (root / "sub").mkdir()
    (root / "loop").symlink_to("loop")
    (root / "over").symlink_to("out")
    (root / "into").symlink_to("sub")
    (root / "deep").symlink_to("sub/../file")
    for target in ("out", "out/f", "over/f", "sub/../out/f", "/etc", "../outside", "loop/x", "deep"):
        with pytest.raises(Refused):
            home.put_link("link", target, ABSENT)
    assert not (root / "link").is_symlink()
    for name, target in (
        ("link", "file"),
        ("sub/l", "../file"),
        ("l2", "into/l"),
        ("l3", "nowhere/x"),
        ("sub/up", ".."),
    ):
        home.put_link(name, target, ABSENT)
        assert os.readlink(root / name) == target
    home.put_link("file", "link", OLD)
    assert os.readlink(root / "file") == "link"


def test_folders(home: Home, root: Path) -> None:
    (root / "shared").mkdir()
    os.chmod(root / "shared", 0o3775)
    home.put_folder("new", 0o700, ABSENT)
    home.put_folder("file", 0o750, OLD)
    home.put_folder("shared", 0o755, ("d", b""))
    home.put_file("shared/made/f", text(b""), 0o644, ABSENT)
    modes = {name: stat.S_IMODE((root / name).stat().st_mode) for name in ("new", "file", "shared", "shared/made")}
    assert modes == {"new": 0o700, "file": 0o750, "shared": 0o3755, "shared/made": 0o2755}
    with pytest.raises(Conflict):
        home.put_folder("new", 0o700, ABSENT)
    with pytest.raises(Conflict):
        home.put_folder("gone", 0o700, ("d", b""))
    home.put_file("new", text(b"x"), 0o644, ("d", b""))
    assert (root / "new").read_text() == "x"


def test_modes_never_give_a_files_content_somebody_elses_rights(home: Home, root: Path) -> None:
    home.set_mode("file", 0o4755, OLD)
    home.put_file("new", text(b""), 0o6777, ABSENT)
    assert {stat.S_IMODE((root / name).stat().st_mode) for name in ("file", "new")} == {0o755, 0o777}
    with pytest.raises(Conflict):
        home.set_mode("file", 0o600, ("f", digest(b"other")))
    with pytest.raises(Conflict):
        home.set_mode("gone/x", 0o600, OLD)
    os.mkfifo(root / "pipe")
    with pytest.raises(Conflict):
        home.set_mode("pipe", 0o600, OLD)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_as_root_files_stay_their_owners(home: Home, root: Path) -> None:
    os.chown(root, 12345, 23456)
    os.chown(root / "file", 34567, 45678)
    home.put_file("file", text(b"new"), 0o644, OLD)
    home.put_file("a/b", text(b"new"), 0o644, ABSENT)
    home.put_link("link", "file", ABSENT)
    owners = {name: (root / name).lstat()[stat.ST_UID : stat.ST_GID + 1] for name in ("file", "a", "a/b", "link")}
    assert owners == {"file": (34567, 45678), **dict.fromkeys(("a", "a/b", "link"), (12345, 23456))}


def test_names_that_clash(home: Home, root: Path) -> None:
    for path in ("FILE", "File/x", "file."):
        with pytest.raises(Refused, match="one name to some file systems"):
            home.put_file(path, text(b""), 0o644, ABSENT)
    home.put_file("other", text(b""), 0o644, ABSENT)
    with pytest.raises(Refused):
        home.put_file("OTHER", text(b""), 0o644, ABSENT)
    (root / "users").write_text("")  # beside our back
    with pytest.raises(Refused):
        home.put_file("Users", text(b""), 0o644, ABSENT)


def test_a_thousand_new_files_list_their_folder_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = []
    listdir = os.listdir
    monkeypatch.setattr(module.os, "listdir", lambda folder: listed.append(folder) or listdir(folder))
    for each in range(50):
        home.put_file(f"sub/{each}", text(b""), 0o644, ABSENT)
    assert len(listed) <= 3


def test_the_longest_name(home: Home, root: Path) -> None:
    home.put_file("n" * 255, text(b"x"), 0o644, ABSENT)
    assert (root / ("n" * 255)).read_text() == "x"
    with pytest.raises(HostUnready):
        home.put_file("n" * 256, text(b"x"), 0o644, ABSENT)


def test_deleting(home: Home, root: Path) -> None:
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/c").write_text("old")
    (root / "a/mine").mkdir()
    with pytest.raises(Conflict):
        home.remove("a/b/c", ("f", digest(b"other")))
    with pytest.raises(Conflict):
        home.remove("a", ("d", b""))
    home.remove("a/b/c", OLD)
    home.remove("a/b/c", OLD)
    home.remove("gone/x", OLD)
    assert home.prune("a/b/c", lambda folder: False) == ["a/b"]
    assert (root / "a/mine").is_dir()
    assert home.prune("a/mine/x", lambda folder: folder == "a") == ["a/mine"]
    assert (root / "a").is_dir()


def test_a_workspace_that_is_gone(tmp_path: Path) -> None:
    home = Home(str(tmp_path / "gone"))
    with pytest.raises(HostUnready):
        home.put_file("x", text(b""), 0o644, ABSENT)
    home.remove("x", OLD)
    assert not (tmp_path / "gone").exists()
