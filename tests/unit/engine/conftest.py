from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from continue_exec import config
from continue_exec.app import agent_binary
from continue_exec.drivers.base import Driver
from continue_exec.drivers.fake import FakeDriver
from continue_exec.engine import workspaces
from continue_exec.engine.folders import Folders
from continue_exec.engine.live import Live
from continue_exec.engine.networks import Networks
from continue_exec.engine.runs import Runs
from continue_exec.engine.sandboxes import Sandboxes
from continue_exec.engine.streams import ActiveRun
from continue_exec.model import Run, RunState
from continue_exec.network.carry import Carried
from continue_exec.protocol.agent import Exited
from continue_exec.protocol.frames import Kind, Parser
from continue_exec.protocol.methods import RunStart, SandboxRef, WorkspaceRef
from continue_exec.store.ballast import Ballast
from continue_exec.store.runlog import RunLog
from continue_exec.store.state import State

MIB = 1 << 20


@pytest.fixture
def make_active(tmp_path: Path) -> Iterator[Callable[..., ActiveRun]]:
    """An active run whose log is real and whose end only sets its event."""
    made: list[ActiveRun] = []

    def ended(active: ActiveRun, note: Exited) -> None:
        active.log.final("exited", exit_code=note.exit_code, duration_ms=note.duration_ms)
        active.ended.set()

    def make(run_id: str = "run_0") -> ActiveRun:
        run = Run(id=run_id, sandbox_id="sb", argv=("x",), cwd="/w", state=RunState.STARTING, created_at=1.0)
        active = ActiveRun(run, 1, RunLog.create(tmp_path / run_id, MIB, MIB), ended)
        made.append(active)
        return active

    yield make
    for active in made:
        active.log.close()


class NoNetwork:
    """Stands for `Networks`: no way out, nothing carried inside (with the fake driver, inside is this host)."""

    async def open(self, path: Path, on_refusal: Callable[..., None]) -> NoNetwork:
        self.on_refusal = on_refusal
        return self

    async def carried(self) -> Carried:
        return Carried()

    async def close(self) -> None:
        """Nothing to end."""


class World:
    """Sandboxes and runs on the fake driver: the agent is real, isolation is not."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folders = Folders(home=folder / "home", runtime=folder / "run", agent=agent_binary())
        for made in (self.folders.home, self.folders.runtime):
            made.mkdir(exist_ok=True)
        self.settings = config.load(**settings)
        self.driver = FakeDriver()
        self.network = NoNetwork()
        self.open()

    def open(self) -> None:
        """As a new engine does."""
        self.state = State(self.folders.state)
        self.runs = Runs(
            settings=self.settings, folders=self.folders, state=self.state, ballast=Ballast(self.folders.ballast)
        )
        self.sandboxes = Sandboxes(
            settings=self.settings,
            folders=self.folders,
            driver=cast(Driver, self.driver),
            state=self.state,
            networks=cast(Networks, self.network),
            runs=self.runs,
        )

    async def close(self) -> None:
        """As an engine ends: sandboxes go on."""
        await self.runs.close()
        await self.sandboxes.close()
        await asyncio.to_thread(self.state.close)

    async def remove(self) -> None:
        for sandbox in self.sandboxes.all():
            await self.sandboxes.remove(SandboxRef(sandbox_id=sandbox.id))
        await self.close()

    async def ensure(self, folder: Path) -> Live:
        return await self.sandboxes.ensure(workspaces.resolve(WorkspaceRef(path=str(folder))))

    async def start(self, folder: Path, *argv: str, **fields: Any) -> ActiveRun:
        request = RunStart(workspace=WorkspaceRef(path=str(folder)), argv=argv, **fields)
        return await self.runs.start(await self.ensure(folder), request)

    async def output(self, run_id: str) -> bytes:
        parser = Parser()
        frames = [f async for piece in self.runs.follow(run_id, 0) for f in parser.feed(bytes(piece))]
        return b"".join(payload for kind, _, payload in frames if kind in (Kind.STDOUT, Kind.STDERR))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="cx-") as folder:
        made = World(Path(folder), kill_grace_s=0.3, sandbox_idle_s=0.2, sandbox_pause_s=0.1)
        yield made
        await made.remove()
