from __future__ import annotations

import os
from pathlib import Path

import pytest

from continue_exec.mirror.home import Home
from continue_exec.mirror.homecoming import NOT_MADE, TAKEN, Journal, NoJournal, Note
from continue_exec.mirror.state import digest
from continue_exec.mirror.swap import ASIDE

TEMPORARY = ".continue-exec-abc.tmp"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "state" / "homecoming")


@pytest.fixture
def home(tmp_path: Path, journal: Journal) -> Home:
    (tmp_path / "work" / "d").mkdir(parents=True)
    return Home(str(tmp_path / "work"), journal)


def crashed(journal: Journal, inode: int, reviewed: bytes | None) -> None:
    """As an engine that died on the way to `d/f`."""
    kind, hashed = ("", b"") if reviewed is None else ("f", digest(reviewed))
    journal.note(Note("d/f", TEMPORARY, inode, kind, hashed.hex()))


def names(home: Home) -> dict[str, str]:
    return {path.name: path.read_text() for path in (Path(home.root) / "d").iterdir()}


def write(home: Home, name: str, text: str) -> int:
    path = Path(home.root) / "d" / name
    path.write_text(text)
    return path.stat().st_ino


def test_a_note_is_read_back_and_written_over(journal: Journal) -> None:
    assert journal.read() is None
    journal.note(Note("a/very/long/path" * 20, TEMPORARY, 5, "f", "00"))
    short = Note(os.fsdecode(b"\xff"), TEMPORARY, TAKEN, "", "")
    journal.note(short)
    assert Journal(journal.path).read() == short
    journal.clear()
    assert journal.read() is None and not journal.path.exists()
    journal.note(short)
    assert journal.read() == short, "it begins anew"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", '["a", "../x", 1, "f", ""]', '["a", ".continue-exec-/x", 1, "f", ""]', '["a","b",1,"f","zz"]'],
)
def test_what_makes_no_sense_is_no_note(journal: Journal, text: str) -> None:
    journal.path.parent.mkdir()
    journal.path.write_text(text)
    assert journal.read() is None


def test_one_that_keeps_nothing() -> None:
    NoJournal().note(Note("a", "b", 1, "f", ""))
    NoJournal().clear()
    assert Path("/dev/null").exists()


@pytest.mark.parametrize("known", [True, False])
def test_ours_that_was_not_in_place_yet_goes(home: Home, journal: Journal, known: bool) -> None:
    write(home, "f", "reviewed")
    ours = write(home, TEMPORARY, "half of what was to co")
    crashed(journal, ours if known else NOT_MADE, b"reviewed")
    assert home.recover() == ""
    assert names(home) == {"f": "reviewed"} and journal.read() is None


def test_what_was_replaced_goes_if_it_was_reviewed(home: Home, journal: Journal) -> None:
    ours = write(home, "f", "new")
    write(home, TEMPORARY, "reviewed")
    crashed(journal, ours, b"reviewed")
    assert home.recover() == "" and names(home) == {"f": "new"}


def test_what_was_replaced_and_never_seen_comes_back(home: Home, journal: Journal) -> None:
    ours = write(home, "f", "new")
    write(home, TEMPORARY, "saved by the user in that moment")
    crashed(journal, ours, b"reviewed")
    assert home.recover() == "" and names(home) == {"f": "saved by the user in that moment"}


def test_and_beside_it_if_the_user_saved_again(home: Home, journal: Journal) -> None:
    write(home, "f", "saved again")
    write(home, TEMPORARY, "saved before")
    crashed(journal, 1, b"reviewed")
    kept = home.recover()
    assert kept.startswith("f.kept-") and names(home) == {"f": "saved again", kept: "saved before"}


@pytest.mark.parametrize(("text", "expected"), [("reviewed", {}), ("saved", {"f": "saved"})])
def test_a_deletion(home: Home, journal: Journal, text: str, expected: dict[str, str]) -> None:
    write(home, TEMPORARY, text)
    crashed(journal, TAKEN, b"reviewed")
    assert home.recover() == "" and names(home) == expected


def test_between_the_three_renames_of_a_file_system_that_cannot_exchange(home: Home, journal: Journal) -> None:
    ours = write(home, TEMPORARY, "new")
    write(home, TEMPORARY + ASIDE, "reviewed")
    crashed(journal, ours, b"reviewed")
    assert home.recover() == "" and names(home) == {"f": "reviewed"}, "the place was empty for a moment"


def test_a_folder_that_is_gone_needs_nothing(home: Home, journal: Journal) -> None:
    crashed(journal, 1, None)
    (Path(home.root) / "d").rmdir()
    assert home.recover() == "" and journal.read() is None


def test_nothing_was_under_way(home: Home) -> None:
    write(home, TEMPORARY, "of somebody else")
    assert home.recover() == "" and TEMPORARY in names(home)


def test_every_way_home_is_noted(home: Home, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[tuple[str, int]] = []
    monkeypatch.setattr(journal, "note", lambda note: noted.append((note.path, min(note.inode, 1))))
    home.put_file("d/f", lambda fd: None, 0o644, ("", b""))
    home.put_link("d/l", "f", ("", b""))
    home.remove("d/f", ("f", digest(b"")))
    assert noted == [("d/f", NOT_MADE), ("d/f", 1), ("d/l", NOT_MADE), ("d/l", 1), ("d/f", TAKEN)]
