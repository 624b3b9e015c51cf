"""What came out of the sandbox is checked again as it is written: here it changes after it was looked at."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from continue_exec.engine import changes_home
from continue_exec.engine.review import Review
from continue_exec.errors import Conflict, ContinueExecError, Refused
from continue_exec.mirror.changes import ABSENT, Delta, Version
from continue_exec.mirror.folder import SafeFolder
from continue_exec.mirror.home import Home
from continue_exec.mirror.state import digest
from continue_exec.protocol.changes import Change, Pick


class Sides:
    """Both trees, and a review of them."""

    def __init__(self, folder: Path) -> None:
        self.host, self.inside = folder / "host", folder / "inside"
        for side in (self.host, self.inside):
            side.mkdir()
        (folder / "outside").mkdir()
        (folder / "outside/f").write_text("new")
        self.outside = folder / "outside"
        files, home = SafeFolder(self.inside), Home(str(self.host))
        keeps = SimpleNamespace(files=files, home=home, keep_base=lambda path, version: None)
        self.review = cast(Review, keeps)

    def version(self, side: Path, path: str) -> Version:
        full = side / path
        if full.is_symlink():
            return Version("l", 0, digest(os.fsencode(os.readlink(full))))
        if full.is_dir():
            return Version("d", full.stat().st_mode & 0o777)
        if not full.exists():
            return ABSENT
        data = full.read_bytes()
        return Version("f", full.stat().st_mode & 0o7777, digest(data), len(data))

    def delta(self, path: str) -> Delta:
        host = self.version(self.host, path)
        return Delta(path, host, self.version(self.inside, path), host, secret=False)

    def bring(self, *deltas: Delta) -> None:
        change = Change(path=deltas[0].path, kind="modified", type="file", version="")
        changes_home.bring(self.review, change, Pick(path=deltas[0].path), deltas)


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    return Sides(tmp_path)


Act = Callable[[Sides], Any]


def to_link(sides: Sides) -> None:
    (sides.inside / "d/f").unlink()
    (sides.inside / "d/f").symlink_to(sides.outside / "f")


def above_to_link(sides: Sides) -> None:
    os.rename(sides.inside / "d", sides.inside / "aside")
    (sides.inside / "d").symlink_to(sides.outside)


def to_pipe(sides: Sides) -> None:
    (sides.inside / "d/f").unlink()
    os.mkfifo(sides.inside / "d/f")


def to_folder(sides: Sides) -> None:
    (sides.inside / "d/f").unlink()
    (sides.inside / "d/f").mkdir()


def to_other_text(sides: Sides) -> None:
    (sides.inside / "d/f").write_text("NEW")


def longer(sides: Sides) -> None:
    (sides.inside / "d/f").write_text("new and more")


def gone(sides: Sides) -> None:
    (sides.inside / "d/f").unlink()


@pytest.mark.parametrize("meanwhile", [to_link, above_to_link, to_pipe, to_folder, to_other_text, longer, gone])
@pytest.mark.parametrize("before", ["old", None])
def test_a_file_that_became_something_else(sides: Sides, meanwhile: Act, before: str | None) -> None:
    """Also a link to the very bytes that were reviewed."""
    (sides.inside / "d").mkdir()
    (sides.inside / "d/f").write_text("new")
    if before is not None:
        (sides.host / "d").mkdir()
        (sides.host / "d/f").write_text(before)
    delta = sides.delta("d/f")
    meanwhile(sides)
    with pytest.raises(Conflict):
        sides.bring(delta)
    found = {path.name: path.read_text() for path in sides.host.rglob("*") if path.is_file()}
    assert found == ({"f": before} if before is not None else {})


def test_what_was_away_for_a_moment_is_not_deleted(sides: Sides) -> None:
    for side in (sides.host, sides.inside):
        (side / "d").mkdir()
    (sides.host / "d/f").write_text("mine")
    delta = sides.delta("d/f")
    assert not delta.inside.kind
    (sides.inside / "d/f").write_text("mine")
    with pytest.raises(Conflict):
        sides.bring(delta)
    assert (sides.host / "d/f").read_text() == "mine"
    (sides.inside / "d/f").unlink()
    sides.bring(delta)
    assert os.listdir(sides.host / "d") == [], "the folder is there inside, and stays"
    (sides.inside / "d").rmdir()
    (sides.host / "d/f").write_text("mine")
    sides.bring(sides.delta("d/f"))
    assert os.listdir(sides.host) == []


def test_a_link_that_changed_its_target(sides: Sides) -> None:
    (sides.inside / "l").symlink_to("fine")
    delta = sides.delta("l")
    (sides.inside / "l").unlink()
    (sides.inside / "l").symlink_to("/etc/passwd")
    with pytest.raises(Conflict):
        sides.bring(delta)
    with pytest.raises(Refused):
        sides.bring(sides.delta("l"))
    (sides.host / "out").symlink_to(sides.outside)
    (sides.inside / "l").unlink()
    (sides.inside / "l").symlink_to("out/f")
    with pytest.raises(Refused):
        sides.bring(sides.delta("l"))
    assert os.listdir(sides.host) == ["out"]


def test_a_pipe_does_not_come(sides: Sides) -> None:
    os.mkfifo(sides.inside / "p")
    with pytest.raises(Refused):
        sides.bring(Delta("p", ABSENT, Version("o", 0o644), ABSENT, secret=False))
    assert os.listdir(sides.host) == []


def test_a_file_in_a_folders_place_and_the_reverse(sides: Sides) -> None:
    (sides.inside / "a").mkdir()
    (sides.host / "a").write_text("mine")
    (sides.inside / "b").write_text("new")
    (sides.host / "b").mkdir()
    delta = sides.delta("a")
    (sides.host / "a").write_text("changed")
    with pytest.raises(Conflict):
        sides.bring(delta)
    assert (sides.host / "a").read_text() == "changed"
    sides.bring(sides.delta("a"))
    (sides.host / "b/mine").write_text("mine")
    with pytest.raises(ContinueExecError):
        sides.bring(sides.delta("b"))
    assert (sides.host / "b/mine").read_text() == "mine"
    (sides.host / "b/mine").unlink()
    sides.bring(sides.delta("b"))
    assert (sides.host / "a").is_dir() and (sides.host / "b").read_text() == "new"


def test_a_renamed_file_is_at_both_places_rather_than_at_none(sides: Sides) -> None:
    (sides.host / "old").write_text("text")
    (sides.inside / "new").write_text("text")
    deltas = sides.delta("new"), sides.delta("old")
    (sides.host / "old").write_text("text and more")
    with pytest.raises(Conflict):
        sides.bring(*deltas)
    assert (sides.host / "old").read_text() == "text and more"


def test_bits(sides: Sides) -> None:
    """The host's own stay unless the sandbox changed them; none that would give rights come."""
    (sides.host / "f").write_text("old")
    os.chmod(sides.host / "f", 0o640)
    (sides.inside / "f").write_text("new")
    os.chmod(sides.inside / "f", 0o644)
    delta = sides.delta("f")
    sides.bring(delta._replace(base=delta.host._replace(mode=0o644)))
    assert (sides.host / "f").stat().st_mode & 0o7777 == 0o640
    os.chmod(sides.inside / "f", 0o4755)
    sides.bring(sides.delta("f"))
    assert (sides.host / "f").stat().st_mode & 0o7777 == 0o755
