from __future__ import annotations

from pathlib import Path

from continue_exec.engine import leftovers

from .conftest import World


async def test_only_what_nobody_knows_goes(world: World, workspace: Path) -> None:
    live = await world.ensure(workspace)
    copy = world.folders.sandbox("sb_0123456789ab")
    (copy / "upper").mkdir(parents=True)
    state = world.folders.mirror_state(copy.name)
    state.parent.mkdir(exist_ok=True)
    state.touch()
    await leftovers.sweep(world.sandboxes)
    assert not copy.exists() and not state.exists()
    assert world.folders.sandbox(live.sandbox.id).exists()
