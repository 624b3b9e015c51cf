from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from continue_exec.mirror import folder as module
from continue_exec.mirror.filter import Filter, IgnoreRules
from continue_exec.mirror.folder import Found, Gone, SafeFolder, digest_of
from continue_exec.mirror.state import digest
from continue_exec.mirror.walk import LeftOut


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "d").mkdir(parents=True)
    (folder / "d/f").write_text("text")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/f").write_text("secret")
    return folder


def scan(tree: Path, **more: int) -> tuple[dict[str, Found], LeftOut]:
    left_out = LeftOut()
    return SafeFolder(tree).scan(Filter(str(tree), IgnoreRules()), left_out, **more), left_out


def test_links_are_seen_and_not_followed(tree: Path) -> None:
    (tree / "link").symlink_to(tree.parent / "outside")
    os.mkfifo(tree / "pipe")
    found, left_out = scan(tree)
    assert {path: one.kind for path, one in found.items()} == {"d": "d", "d/f": "f", "link": "l", "pipe": "o"}
    files = SafeFolder(tree)
    assert files.look("link/f") is None and files.look("d/f/x") is None and files.names("link") == []
    assert files.target("link") == str(tree.parent / "outside")
    for path in ("link/f", "link", "pipe", "d", "gone", "gone/f"):
        with pytest.raises(Gone):
            files.read(path, 9)
    for path in ("link/f", "d", "d/f", "gone"):
        with pytest.raises(Gone):
            files.target(path)
    assert files.digest("link", "l") == digest(os.fsencode(tree.parent / "outside"))
    assert not left_out
    assert SafeFolder(tree, "link").look("f") is None, "nor on the way to the tree"


def test_a_folder_that_becomes_a_link_is_not_read_and_not_called_empty(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = module._Scan.folder

    def swapped(self: module._Scan, rel: str, fd: int) -> list[str]:
        found = folder(self, rel, fd)
        if not rel:
            os.rename(tree / "d", tree / "aside")
            (tree / "d").symlink_to(tree.parent / "outside")
        return found

    monkeypatch.setattr(module._Scan, "folder", swapped)
    found, left_out = scan(tree)
    assert found.keys() == {"d"} and left_out == {"d": "it is changing"}


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + module.DEEPEST + 20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("few_descriptors")
def test_neither_depth_nor_width_uses_up_descriptors(tree: Path) -> None:
    for each in range(500):
        (tree / f"wide{each}").mkdir()
    place = os.getcwd()
    try:
        os.chdir(tree)
        for _ in range(module.DEEPEST + 50):
            os.mkdir("deep")
            os.chdir("deep")
    finally:
        os.chdir(place)
    before = descriptors()
    found, left_out = scan(tree)
    assert descriptors() == before
    assert sum(path.startswith("wide") for path in found) == 500
    ((deepest, why),) = left_out.items()
    assert deepest.count("/") == module.DEEPEST and "folders deep" in why


def test_no_more_files_than_the_limit(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 20)
    for each in range(30):
        (tree / f"d/{each}").write_text("")
    found, left_out = scan(tree)
    assert len(found) == 20 and left_out == {".": "more than 20 files: not all were looked at"}
    assert len(scan(tree, known=20)[0]) == 32
    (tree / ".gitignore").write_text("[0-9]*\n")
    for each in range(200):
        (tree / f"d/{each}").write_text("")
    assert "." in scan(tree)[1], "names that are ignored cost time as well"


def test_a_tree_that_is_not_there_is_not_empty(tree: Path) -> None:
    found, left_out = scan(tree / "gone")
    assert not found and list(left_out) == ["."]


def test_a_file_that_grows_is_not_read_for_ever(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes is as fast as we are: each read finds more."""
    path = tree / "d/f"
    path.write_bytes(bytes(3 << 20))
    read, reads = os.read, []

    def faster(fd: int, size: int) -> bytes:
        reads.append(size)
        assert len(reads) < 10
        with path.open("ab") as file:
            file.write(bytes(1 << 20))
        return read(fd, size)

    monkeypatch.setattr(module.os, "read", faster)
    with pytest.raises(Gone):
        SafeFolder(tree).digest("d/f", "f")
    monkeypatch.undo()
    with path.open("rb") as file:
        assert digest_of(file.fileno()) == digest(path.read_bytes())


def test_rules_of_what_lies_behind_the_hosts_links_are_not_read(tree: Path) -> None:
    """The sandbox made a folder where the host has a link: an ignore file behind that is none of ours."""
    (tree.parent / "outside/.gitignore").write_text("*\n")
    host = tree.parent / "host"
    host.mkdir()
    (host / "d").symlink_to(tree.parent / "outside")
    left_out = LeftOut()
    found = SafeFolder(tree).scan(Filter(str(host), IgnoreRules()), left_out)
    assert found.keys() == {"d", "d/f"}
