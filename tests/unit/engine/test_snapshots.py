"""Names, records and refusals; saving and going back on the real driver: tests/e2e/test_snapshots.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from continue_exec.engine import snapshots
from continue_exec.engine.snapshots import Snapshots
from continue_exec.errors import Conflict, InvalidRequest, NotFound, NotSupported
from continue_exec.model import Snapshot
from continue_exec.protocol.refs import WorkspaceRef
from continue_exec.protocol.snapshots import SnapshotCreate, SnapshotQuery, SnapshotRef, SnapshotRename

from .conftest import World


@pytest.fixture
def made(world: World) -> Snapshots:
    return Snapshots(world.sandboxes)


def write(made: Snapshots, workspace: Path, name: str, at: float, digits: str) -> Snapshot:
    snapshot = Snapshot(
        id=f"snap_{digits}", sandbox_id="sb_1", workspace=str(workspace), name=name, size_bytes=1, created_at=at
    )
    place = made.folder / snapshot.id
    place.mkdir(parents=True)
    snapshots._write(place, snapshot)
    return snapshot


async def test_they_are_found_by_name_and_by_id(made: Snapshots, workspace: Path, tmp_path: Path) -> None:
    here = WorkspaceRef(path=str(workspace), root=True)
    old = write(made, workspace, "old", 1.0, "aa1111111111")
    new = write(made, workspace, "new", 2.0, "aa2222222222")
    other = write(made, tmp_path, "old", 3.0, "bb3333333333")
    assert made.all(SnapshotQuery()) == [other, new, old]
    assert made.all(SnapshotQuery(workspace=here)) == [new, old]
    assert made.get(SnapshotRef(snapshot="old", workspace=here)) == old
    assert made.get(SnapshotRef(snapshot="snap_bb")) == other
    assert made.get(SnapshotRef(snapshot="bb3333333333")) == other
    with pytest.raises(InvalidRequest, match="fits 2"):
        made.get(SnapshotRef(snapshot="snap_aa"))
    for nothing in ("", "nobody"):
        with pytest.raises(NotFound):
            made.get(SnapshotRef(snapshot=nothing, workspace=here))


async def test_names_are_unique_in_their_workspace(made: Snapshots, workspace: Path) -> None:
    here = WorkspaceRef(path=str(workspace), root=True)
    old = write(made, workspace, "old", 1.0, "aa1111111111")
    write(made, workspace, "new", 2.0, "aa2222222222")
    with pytest.raises(Conflict, match="There is a snapshot new"):
        await made.rename(SnapshotRename(snapshot="old", workspace=here, name="new"))
    renamed = await made.rename(SnapshotRename(snapshot="old", workspace=here, name="older"))
    assert renamed == old.model_copy(update={"name": "older"}) == made.get(SnapshotRef(snapshot=old.id))
    await made.remove(SnapshotRef(snapshot=old.id))
    assert not (made.folder / old.id).exists() and len(made.all(SnapshotQuery())) == 1


async def test_what_was_never_finished_is_swept(made: Snapshots, workspace: Path) -> None:
    kept = write(made, workspace, "kept", 1.0, "aa1111111111")
    (made.folder / "snap_half" / "files").mkdir(parents=True)
    write(made, workspace, "torn", 2.0, "bb2222222222")
    (made.folder / "snap_bb2222222222" / snapshots.RECORD).write_text('{"id": ')
    await made.sweep()
    assert made.all(SnapshotQuery()) == [kept]
    assert not (made.folder / "snap_half").exists()


async def test_a_driver_that_cannot_refuses(made: Snapshots, workspace: Path) -> None:
    here = WorkspaceRef(path=str(workspace), root=True)
    for memory in (False, True):
        with pytest.raises(NotSupported):
            await made.create(SnapshotCreate(workspace=here, memory=memory))
    assert not made.folder.exists()
    write(made, workspace, "old", 1.0, "aa1111111111")
    with pytest.raises(NotSupported):
        await made.restore(SnapshotRef(snapshot="old", workspace=here))
