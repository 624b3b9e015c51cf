from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from continue_exec.errors import Conflict
from continue_exec.mirror import swap
from continue_exec.mirror.state import digest

OLD = ("f", digest(b"old"))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "name").write_text("old")
    (tmp_path / "made").write_text("new")
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture(params=["renameat2", "without"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the file system has no exchange."""
    if request.param == "without":
        monkeypatch.setattr(swap, "_libc", object())


def there(folder: Path) -> dict[str, str]:
    return {path.name: os.readlink(path) if path.is_symlink() else path.read_text() for path in folder.iterdir()}


@pytest.mark.usefixtures("system")
def test_over_what_was_expected(folder: int, tmp_path: Path) -> None:
    swap.put(folder, "made", "name", "name", OLD)
    swap.discard(folder, "made")
    assert there(tmp_path) == {"name": "new"}


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("expected", [swap.ABSENT, ("f", digest(b"other")), ("l", digest(b"old")), ("d", b"")])
def test_not_over_anything_else(folder: int, tmp_path: Path, expected: swap.Standing) -> None:
    with pytest.raises(Conflict):
        swap.put(folder, "made", "name", "name", expected)
    swap.discard(folder, "made")
    with pytest.raises(Conflict):
        swap.take(folder, "name", "taken.tmp", "name", expected if expected != swap.ABSENT else ("o", b""))
    assert there(tmp_path) == {"name": "old"}


@pytest.mark.usefixtures("system")
def test_what_is_gone(folder: int, tmp_path: Path) -> None:
    with pytest.raises(Conflict):
        swap.put(folder, "made", "gone", "gone", OLD)
    swap.take(folder, "gone", "taken.tmp", "gone", OLD)
    assert there(tmp_path) == {"name": "old", "made": "new"}
    swap.put(folder, "made", "fresh", "fresh", swap.ABSENT)
    swap.take(folder, "name", "taken.tmp", "name", OLD)
    assert there(tmp_path) == {"fresh": "new"}


@pytest.mark.usefixtures("system")
def test_links_are_neither_followed_nor_mistaken(folder: int, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("name")
    assert swap.standing(folder, "link") == ("l", digest(b"name"))
    with pytest.raises(Conflict):
        swap.put(folder, "made", "link", "link", OLD)
    swap.put(folder, "made", "link", "link", ("l", digest(b"name")))
    swap.discard(folder, "made")
    assert there(tmp_path) == {"name": "old", "link": "new"} and not (tmp_path / "link").is_symlink()


def test_folders(folder: int, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").write_text("")
    (tmp_path / "empty").mkdir()
    for act in (
        lambda: swap.put(folder, "made", "full", "full", ("d", b"")),
        lambda: swap.take(folder, "full", "taken.tmp", "full", ("d", b"")),
    ):
        with pytest.raises(Conflict):
            act()
    swap.put(folder, "made", "empty", "empty", ("d", b""))
    assert (tmp_path / "empty").read_text() == "new" and (tmp_path / "full/x").exists()


Meanwhile = Callable[[Path], None]


def saved_by_rename(folder: Path) -> None:
    (folder / "editor").write_text("saved meanwhile")
    os.replace(folder / "editor", folder / "name")


def deleted(folder: Path) -> None:
    (folder / "name").unlink()


def unreadable(folder: Path) -> None:
    raise PermissionError


@pytest.mark.parametrize(
    ("meanwhile", "expected"),
    [
        (saved_by_rename, {"name": "saved meanwhile", "kept": "changed before"}),
        (deleted, {"kept": "changed before"}),
    ],
)
def test_nothing_of_the_users_is_lost_while_it_is_looked_at(
    folder: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: Meanwhile, expected: dict[str, str]
) -> None:
    """The user changes the file before the exchange, and again between the exchange and the way back."""
    (tmp_path / "name").write_text("changed before")
    look = swap.standing

    def standing(fd: int, name: str) -> swap.Standing:
        found = look(fd, name)
        meanwhile(tmp_path)
        return found

    monkeypatch.setattr(swap, "standing", standing)
    with pytest.raises(Conflict) as caught:
        swap.put(folder, "made", "name", "name", OLD)
    swap.discard(folder, "made")
    left = {"kept" if name.endswith("-kept.tmp") else name: text for name, text in there(tmp_path).items()}
    assert left == expected
    assert "-kept.tmp" in caught.value.hint


def test_a_deletion_that_meets_a_save(folder: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "name").write_text("changed before")
    look = swap.standing

    def standing(fd: int, name: str) -> swap.Standing:
        saved_by_rename(tmp_path)
        return look(fd, name)

    monkeypatch.setattr(swap, "standing", standing)
    with pytest.raises(Conflict):
        swap.take(folder, "name", "taken.tmp", "name", OLD)
    assert sorted(there(tmp_path).values()) == ["changed before", "new", "saved meanwhile"]
    assert there(tmp_path)["name"] == "saved meanwhile"


def test_what_cannot_be_read_or_grows_is_never_what_was_expected(
    folder: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(fd: int) -> bytes:
        raise PermissionError

    monkeypatch.setattr(swap, "digest_of", unreadable)
    with pytest.raises(Conflict):
        swap.put(folder, "made", "name", "name", OLD)
    swap.discard(folder, "made")
    with pytest.raises(Conflict):
        swap.take(folder, "name", "taken.tmp", "name", OLD)
    assert there(tmp_path) == {"name": "old"}


def test_pipes_are_not_waited_for(folder: int, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert swap.standing(folder, "pipe") == ("o", b"")
    assert swap.standing(folder, "nothing") == swap.ABSENT
