from __future__ import annotations

from pathlib import Path

from .conftest import World


async def test_programs_are_found_by_the_runs_own_path(world: World, workspace: Path) -> None:
    live = await world.ensure(workspace)
    folder = world.folders.home / "bin"
    folder.mkdir()
    live.env["PATH"] = f"{folder}:/usr/bin:/bin"
    assert (await live.which("sh") or "").endswith("/sh")
    assert await live.which("own-tool") is None
    (folder / "own-tool").write_text("#!/bin/sh\n")
    assert await live.which("own-tool") is None, "a file that cannot be executed is no program"
    (folder / "own-tool").chmod(0o755)
    assert await live.which("own-tool") == f"{folder}/own-tool", "installed meanwhile: it is looked for again"


async def test_a_request_marks_it_as_used(world: World, workspace: Path) -> None:
    live = await world.ensure(workspace)
    before = live.sandbox.used_at
    live.touch()
    assert live.sandbox.used_at > before
