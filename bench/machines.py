"""Sandboxes for benchmarks, without the engine: a driver, an agent, nothing else. A library, not a benchmark."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from continue_exec.agent.connection import AgentConnection
from continue_exec.app import agent_binary
from continue_exec.drivers.base import Machine, SandboxSpec
from continue_exec.drivers.runsc import RunscDriver
from continue_exec.protocol.agent import Exec, Exited


@contextmanager
def workspace(files: Mapping[str, str]) -> Iterator[Path]:
    """A folder with these files."""
    folder = Path(tempfile.mkdtemp(prefix="cx-bench-", dir="/var/tmp"))
    for name, text in files.items():
        (folder / name).write_text(text)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Watched:
    """A sink that notes times and counts bytes."""

    def __init__(self) -> None:
        self.first: float | None = None
        self.bytes = 0
        self.ended = asyncio.Event()

    def started(self, pid: int) -> None:
        """Nothing to note."""

    def output(self, kind: int, data: memoryview) -> None:
        if self.first is None:
            self.first = time.perf_counter()
        self.bytes += len(data)

    def exited(self, note: Exited) -> None:
        self.ended.set()

    def lost(self) -> None:
        self.ended.set()


class Bare:
    """One sandbox's agent."""

    def __init__(self, machine: Machine, agent: AgentConnection, spec: SandboxSpec) -> None:
        self.machine = machine
        self.spec = spec
        self.agent = agent

    async def run(self, argv: tuple[str, ...]) -> tuple[Watched, float]:
        """Run to the end; what was noted, and when it was asked for."""
        sink, stream = Watched(), self.agent.new_stream()
        asked = time.perf_counter()
        await self.agent.exec(
            Exec(stream=stream, run_id=f"bench-{stream}", argv=argv, cwd="/", env=self.machine.env), sink
        )
        await sink.ended.wait()
        await self.agent.forget(stream)
        return sink, asked

    async def first_byte(self, argv: tuple[str, ...]) -> float:
        """Milliseconds."""
        sink, asked = await self.run(argv)
        assert sink.first is not None
        return (sink.first - asked) * 1e3


@asynccontextmanager
async def bare(folder: Path) -> AsyncIterator[Bare]:
    """A sandbox of its own for `folder`."""
    home = Path(tempfile.mkdtemp(prefix="cx-b", dir="/var/tmp"))
    spec = SandboxSpec(f"sb_{home.name[-6:]}", home / "sandbox", home / "run", folder, agent_binary())
    spec.folder.mkdir()
    spec.sockets.mkdir()
    driver = RunscDriver(home=home)
    try:
        machine = await driver.start(spec)
        agent = await AgentConnection.open(machine.doorbell, spec.sockets)
        yield Bare(machine, agent, spec)
        await agent.close()
    finally:
        await driver.destroy(spec)
        shutil.rmtree(home, ignore_errors=True)
