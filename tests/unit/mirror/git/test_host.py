from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from continue_exec.mirror.git import host
from tests.support.repositories import commit, git, repository


def inside(path: str) -> bool:
    """Nothing is missing."""
    return False


def test_a_plain_repository(tmp_path: Path) -> None:
    folder = repository(tmp_path / "r", commits=2)
    git(folder, "tag", "v1")
    git(folder, "update-ref", "refs/stash", "HEAD")
    git(folder, "update-ref", "refs/continue-exec/sb_2/main", "HEAD")
    git(folder, "symbolic-ref", "refs/remotes/o/HEAD", "refs/remotes/o/main")
    git(folder, "update-ref", "refs/remotes/o/main", "HEAD~1")

    place = host.locate(str(folder), str(folder))
    found = host.read(place, inside)

    head = git(folder, "rev-parse", "HEAD")
    assert place.objects == (f"{folder}/.git/objects",)
    assert found.refs == {
        "refs/heads/main": head, "refs/tags/v1": head, "refs/remotes/o/main": git(folder, "rev-parse", "HEAD~1")
    }  # fmt: skip
    assert found.links == {"refs/remotes/o/HEAD": "refs/remotes/o/main"}
    assert (found.head, found.skipped) == ("ref: refs/heads/main", ())
    assert found.index == (folder / ".git/index").read_bytes()


def test_linked_work_trees_and_submodules_prove_themselves(tmp_path: Path) -> None:
    top = repository(tmp_path / "top")
    library = repository(tmp_path / "library")
    git(top, "submodule", "--quiet", "add", str(library), "sub")
    git(top, "worktree", "add", "-q", str(tmp_path / "tree"))

    linked = host.locate(str(tmp_path / "tree"), str(tmp_path / "tree"))
    below = host.locate(str(top), str(top / "sub"))
    alone = host.locate(str(top / "sub"), str(top / "sub"))

    assert linked.objects == (f"{top}/.git/objects",)
    assert host.read(linked, inside).head == "ref: refs/heads/tree"
    assert below.objects == alone.objects == (f"{top}/.git/modules/sub/objects",)
    assert host.submodule_objects(host.locate(str(top), str(top))) == list(below.objects)


def test_objects_that_are_borrowed_from_outside_must_be_named(tmp_path: Path) -> None:
    origin = repository(tmp_path / "origin")
    git(tmp_path, "clone", "-q", "--shared", str(origin), "clone")
    clone = tmp_path / "clone"

    with pytest.raises(host.Unfit, match="git_folders"):
        host.locate(str(clone), str(clone))

    assert host.locate(str(clone), str(clone), [origin]).objects == (
        f"{clone}/.git/objects", f"{origin}/.git/objects"
    )  # fmt: skip


def test_a_separate_git_dir_must_be_named(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--separate-git-dir", str(tmp_path / "elsewhere"), "r")

    with pytest.raises(host.Unfit, match="elsewhere"):
        host.locate(str(tmp_path / "r"), str(tmp_path / "r"))

    found = host.locate(str(tmp_path / "r"), str(tmp_path / "r"), [tmp_path / "elsewhere"])
    assert found.common == str(tmp_path / "elsewhere")


BORROWED = ".git/objects/info/alternates"
HOSTILE: dict[str, Callable[[Path, Path], object]] = {
    "a .git that names another": lambda r, p: (r / ".git").write_text(f"gitdir: {p}/.git"),
    "a .git that is a link": lambda r, p: (r / ".git").symlink_to(p / ".git"),
    "another's work tree": lambda r, p: (r / ".git").write_text(f"gitdir: {p}/.git/worktrees/w"),
    "objects that are a link": lambda r, p: (_made(r), _moved(r / ".git/objects"), (r / ".git/objects").symlink_to(p)),
    "a common folder elsewhere": lambda r, p: (_made(r), (r / ".git/commondir").write_text(f"{p}/.git\n")),
    "alternates": lambda r, p: (_made(r), (r / BORROWED).write_text(f"{p}/.git/objects\n")),
    "alternates that lead up": lambda r, p: (_made(r), (r / BORROWED).write_text("../../../private/.git/objects\n")),
    "nothing at all": lambda r, p: (r / ".git").write_text("gitdir: nowhere"),
    "no text of git's": lambda r, p: (r / ".git").write_text("x"),
    "a pipe": lambda r, p: os.mkfifo(r / ".git"),
}  # fmt: skip


def _made(folder: Path) -> None:
    repository(folder)


def _moved(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


@pytest.mark.parametrize("how", HOSTILE)
def test_what_is_not_its_own_is_refused(tmp_path: Path, how: str) -> None:
    private = repository(tmp_path / "private")
    git(private, "worktree", "add", "-q", str(tmp_path / "w"))
    folder = tmp_path / "r"
    folder.mkdir()
    HOSTILE[how](folder, private)

    with pytest.raises(host.Unfit):
        host.locate(str(folder), str(folder))


def test_files_that_lead_out_are_not_read(tmp_path: Path) -> None:
    folder = repository(tmp_path / "r")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "info").mkdir()
    (tmp_path / "info/exclude").write_text("secret")
    (folder / ".git/shallow").symlink_to(tmp_path / "secret")
    (folder / ".git/info").rename(folder / ".git/info.old")
    (folder / ".git/info").symlink_to(tmp_path / "info")
    (folder / ".git/index").unlink()
    (folder / ".git/index").symlink_to(tmp_path / "secret")

    place = host.locate(str(folder), str(folder))

    assert place.read("shallow") == place.read("info/exclude") == b""
    assert host._index(place) == (None, 0)


def test_what_changes_a_repository_changes_a_signature(tmp_path: Path) -> None:
    folder = repository(tmp_path / "r", commits=2)
    place = host.locate(str(folder), str(folder))

    def after(act: Callable[[], object]) -> bool:
        for path in (folder / ".git").rglob("*"):
            os.utime(path, (1, 1))
        before = host.signatures(place)
        act()
        return host.signatures(place) != before

    assert not after(lambda: git(folder, "log"))
    assert after(lambda: git(folder, "branch", "one"))
    assert after(lambda: git(folder, "branch", "deep/er/two"))
    assert after(lambda: git(folder, "branch", "-f", "deep/er/two", "HEAD~1"))
    assert after(lambda: git(folder, "pack-refs", "--all"))
    assert after(lambda: commit(folder, "x"))
    assert after(lambda: git(folder, "switch", "-q", "one"))
    assert after(lambda: git(folder, "config", "a.b", "c"))
    assert after(lambda: ((folder / "y").write_text("y"), git(folder, "add", "y")))


def test_names_of_binds_are_stable_and_differ() -> None:
    assert host.bind_name("/a") == host.bind_name("/a") != host.bind_name("/b")
    assert len(host.bind_name("/a")) == 12
