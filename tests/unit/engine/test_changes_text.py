from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from continue_exec.engine.changes_text import Contents, renames, short
from continue_exec.engine.history import Step
from continue_exec.mirror.changes import ABSENT, Delta, Version
from continue_exec.protocol import changes as c
from tests.support.both_sides import SIX, Both, opened

pytestmark = pytest.mark.may_block("writes small files itself")


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    async with opened(tmp_path) as made:
        yield made


def one(name: bytes) -> Version:
    return Version("f", 0o644, name, 1)


def delta(path: str, host: Version, inside: Version) -> Delta:
    return Delta(path, host, inside, host, False)


def test_renames_are_the_same_bytes_elsewhere() -> None:
    gone = [delta("a/x", one(b"1"), ABSENT), delta("b/x", one(b"1"), ABSENT), delta("z", one(b"2"), ABSENT)]
    come = [delta("c/x", ABSENT, one(b"1")), delta("y", ABSENT, one(b"1")), delta("w", ABSENT, one(b"3"))]
    assert renames([*gone, *come]) == {"c/x": "a/x", "y": "b/x"}
    assert renames([delta("a", Version("f", 0o644, b"1", 0), ABSENT), come[0]]) == {}, "empty files are all alike"


def test_a_runs_changes_leave_out_folders_that_follow_from_them() -> None:
    folder = Version("d", 0o755)
    steps = {"d": Step(ABSENT, folder, True), "d/f": Step(ABSENT, one(b"1"), True), "e": Step(ABSENT, folder, True)}
    assert [(change.path, change.kind) for change in short(steps)] == [("d/f", "added"), ("e", "added")]


async def test_kinds_of_changes(both: Both) -> None:
    (both.inside / "a").write_bytes(b"\0\1")
    (both.inside / "latin").write_bytes(b"caf\xe9\n")
    (both.inside / "link").unlink()
    (both.inside / "link").write_text("now a file")
    (both.inside / "big").write_text("x\n" * 600_000)
    found = {change.path: change for change in await both.list(hunks=True)}
    assert found["a"].binary and not found["a"].hunks
    assert found["latin"].insertions == 1 and not found["latin"].hunks, "JSON cannot carry it"
    assert (found["link"].old_type, found["link"].type) == ("symlink", "file")
    assert found["big"].binary and found["big"].size == 1_200_000, "too long to be shown by lines"


async def test_names_that_are_one_to_some_file_systems(both: Both) -> None:
    (both.inside / "A").write_text("")
    (both.inside / "ne\u0301").write_text("")
    (both.inside / "n\u00e9").write_text("")
    refused = {change.path: bool(change.refused) for change in await both.list()}
    assert refused == {"A": True, "ne\u0301": True, "n\u00e9": True}


async def test_a_host_that_has_a_secret_of_the_name(both: Both) -> None:
    (both.host / ".env").write_text("KEY=1")
    (both.inside / ".env").write_text("made inside")
    (change,) = await both.list()
    assert "secret" in change.refused
    (both.host / ".env").unlink()
    (change,) = await both.list()
    assert not change.refused and change.needs_yes


async def test_edits_for_an_editor_make_the_sandboxs_text(both: Both) -> None:
    (both.inside / "a").write_text(SIX.replace("two", "2").replace("six\n", "") + "seven")
    deltas = await both.review.deltas()
    contents = Contents(both.review)
    (change,) = contents.changes(deltas, hunks=True)
    proposal = contents.proposal(change, c.Pick(path="a"), deltas[0])
    lines = SIX.splitlines(keepends=True)
    for edit in proposal.edits:
        lines[edit.start - 1 : edit.start - 1 + edit.lines] = [edit.text]
    assert "".join(lines) == (both.inside / "a").read_text() == proposal.text


async def test_only_what_is_asked_for_is_read(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    (both.inside / "a").write_text("1")
    (both.inside / "d" / "b").write_text("2")
    deltas = await both.review.deltas()
    contents = Contents(both.review)
    monkeypatch.setattr(contents, "_lines", None)
    assert [change.path for change in contents.changes(deltas, hunks=False, counts=False, only={"a"})] == ["a"]


async def test_a_folder_and_a_device(both: Both) -> None:
    (both.inside / "empty").mkdir()
    os.mkfifo(both.inside / "pipe")
    found = {change.path: change for change in await both.list()}
    assert found["empty"].type == "folder" and not found["empty"].refused
    assert "pipe" in found["pipe"].refused
