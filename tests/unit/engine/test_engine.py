from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from continue_exec.drivers.base import Driver
from continue_exec.engine.engine import Engine
from continue_exec.errors import Conflict, InvalidRequest
from continue_exec.model import Run, Sandbox
from continue_exec.protocol import methods as m
from continue_exec.protocol.methods import METHODS

from .conftest import World


@pytest.fixture
async def engine(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Engine]:
    """On the world's sandboxes: what is left of them goes with the world."""
    made = Engine(
        settings=world.settings,
        folders=world.folders,
        driver=cast(Driver, world.driver),
        state=world.state,
        ballast=world.runs.ballast,
        socket="s",
    )
    made.runs, made.sandboxes = world.runs, world.sandboxes
    yield made
    await made.networks.close()


def test_every_method_of_the_table_is_handled(engine: Engine) -> None:
    assert {name for name, method in METHODS.items() if not method.stream} == set(engine._handlers)


async def test_status_counts_and_stop_asks_first(engine: Engine, workspace: Path) -> None:
    ref = m.WorkspaceRef(path=str(workspace))
    run = cast(Run, await engine.call("run.start", m.RunStart(workspace=ref, argv=("sleep", "1000"))))
    status = cast(m.EngineStatus, await engine.call("engine.status", m.Nothing()))
    assert (status.sandboxes, status.active_runs) == (1, 1)
    stops: list[bool] = []
    engine.on_stop = lambda: stops.append(True)
    with pytest.raises(Conflict):
        await engine.call("engine.stop", m.EngineStop())
    await engine.call("run.cancel", m.RunCancel(run_id=run.id, grace_s=0))
    await engine.call("engine.stop", m.EngineStop())
    assert stops == [True]


async def test_a_request_names_one_thing_to_run(engine: Engine, workspace: Path) -> None:
    ref = m.WorkspaceRef(path=str(workspace))
    for wrong in (m.RunStart(workspace=ref), m.RunStart(workspace=ref, code="x", file="y")):
        with pytest.raises(InvalidRequest):
            await engine.call("run.start", wrong)


async def test_buffers_reach_a_sandbox_that_is_up(engine: Engine, workspace: Path) -> None:
    ref = m.WorkspaceRef(path=str(workspace))
    sandbox = cast(Sandbox, await engine.call("sandbox.ensure", ref))
    first = cast(m.SyncResult, await engine.call("workspace.sync", ref))
    assert sandbox.workspace.path == str(workspace) and first.deleted == 0
    buffer = m.Buffer(path=str(workspace / "unsaved.py"), text="new")
    await engine.call("workspace.buffers", m.BuffersSet(client="c", buffers=(buffer,)))
    await engine.call("workspace.sync", ref)
    assert (workspace / "unsaved.py").read_text() == "new"


async def test_runs_and_languages_are_listed(engine: Engine, workspace: Path) -> None:
    ref = m.WorkspaceRef(path=str(workspace))
    run, pieces = await engine.stream("run.stream", m.RunStart(workspace=ref, argv=("true",)))
    assert b"exited" in b"".join([piece async for piece in pieces])
    listed = cast(m.RunList, await engine.call("run.list", m.RunListQuery(workspace=ref)))
    assert [r.id for r in listed.runs] == [run.id]
    languages = cast(m.LanguageList, await engine.call("language.list", m.Nothing()))
    assert "python" in {language.id for language in languages.languages}
