"""The real agent behind each driver that can be had, and a sink that keeps what it hears.

To run the agent's suite in one more place: a row in PLACES.
"""

from __future__ import annotations

import asyncio
import hashlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from continue_exec import app
from continue_exec.agent.connection import AgentConnection
from continue_exec.drivers.base import Driver, Machine, SandboxSpec
from continue_exec.drivers.fake import FakeDriver
from continue_exec.drivers.runsc import RunscDriver
from continue_exec.model import TerminalSize
from continue_exec.protocol.agent import Exec, Exited, PushEntry, PushItem
from continue_exec.protocol.frames import Kind
from tests.support.homes import Home

PLACES: dict[str, Callable[[Path], Driver]] = {
    "process": lambda home: FakeDriver(),
    "runsc": lambda home: RunscDriver(home=home),
}


class Keeper:
    """A sink. Keeps the bytes, or with `keep=False` only their number and hash."""

    def __init__(self, keep: bool = True, stop_at: int | None = None) -> None:
        self.keep = keep
        self.pid = 0
        self.size = 0
        self.hash = hashlib.sha256()
        self.kept: dict[int, bytearray] = {int(Kind.STDOUT): bytearray(), int(Kind.STDERR): bytearray()}
        self.note: Exited | None = None
        self.losses = 0
        self._changed = asyncio.Event()

    @property
    def stdout(self) -> bytes:
        return bytes(self.kept[Kind.STDOUT])

    @property
    def stderr(self) -> bytes:
        return bytes(self.kept[Kind.STDERR])

    def started(self, pid: int) -> None:
        assert self.size == 0
        self.pid = pid

    def output(self, kind: int, data: memoryview) -> None:
        assert self.note is None, "output after exit"
        self.size += len(data)
        self.hash.update(data)
        if self.keep:
            self.kept[kind] += data
        self._changed.set()

    def exited(self, note: Exited) -> None:
        assert self.note is None, "a second exit"
        self.note = note
        self._changed.set()

    def lost(self) -> None:
        self.losses += 1
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is looked at whenever something arrives."""
        while not condition():
            assert not self.losses or condition(), "the connection was lost"
            self._changed.clear()
            await self._changed.wait()

    async def exit(self) -> Exited:
        await self.until(lambda: self.note is not None)
        assert self.note is not None
        return self.note


@dataclass
class Agent:
    """A started agent: its machine, a connection, and short ways to use them."""

    machine: Machine
    spec: SandboxSpec
    connection: AgentConnection
    others: list[AgentConnection] = field(default_factory=list)

    async def start(
        self,
        *argv: str,
        sink: Keeper | None = None,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        tty: TerminalSize | None = None,
        stdin: bool = False,
    ) -> tuple[int, Keeper]:
        """Start a command; its stream and its sink."""
        sink = sink or Keeper()
        stream = self.connection.new_stream()
        params = Exec(
            stream=stream,
            run_id=f"run_{stream}",
            argv=argv,
            cwd=cwd or str(self.spec.workspace),
            env={**self.machine.env, **(env or {})},
            tty=tty,
            stdin=stdin,
        )
        result = await self.connection.exec(params, sink)
        assert result.pid == sink.pid > 0
        return stream, sink

    async def run(self, *argv: str, **options: Any) -> Keeper:
        """Run a command to its end and forget it."""
        stream, sink = await self.start(*argv, **options)
        await sink.exit()
        await self.connection.forget(stream)
        return sink

    async def reconnect(self) -> AgentConnection:
        """As the next engine does; `connection` is the new one."""
        self.others.append(self.connection)
        self.connection = await AgentConnection.open(self.machine.doorbell, self.spec.sockets)
        return self.connection


@dataclass
class Started:
    """One sandbox in a place, kept for the whole run of the tests: starting one takes longer than most tests."""

    home: Home
    spec: SandboxSpec
    driver: Callable[[], Driver]  # a new one for every event loop


@pytest.fixture(scope="session")
def sandboxes(run_folder: Path) -> Iterator[Callable[[str], Started]]:
    """Makes, once per place, a sandbox that is not yet started."""
    kept: dict[str, Started] = {}

    def of(place: str) -> Started:
        if place not in kept:
            binary = app.agent_binary()
            assert binary.is_file(), "build the agent first: scripts/build-agent"
            home = Home.make("cxa-")
            folder = home.folder
            spec = SandboxSpec("sb_contract", folder / "sandbox", folder / "run", folder / "project", binary)
            kept[place] = Started(home, spec, lambda: PLACES[place](folder / "home"))
        return kept[place]

    yield of
    for started in kept.values():
        asyncio.run(started.driver().destroy(started.spec))
        started.home.remove()


async def tidy(agent: Agent) -> None:
    """Nothing of a test is left for the next: no run, no file."""
    connection = await agent.reconnect()
    for status in connection.hello.streams:
        while await connection.signal(status.stream, signal.SIGKILL):  # noqa: ASYNC110 - the protocol has no event
            await asyncio.sleep(0.01)
        await connection.forget(status.stream)
    root = str(agent.spec.workspace)
    left = [entry.path.removeprefix(f"{root}/") for entry in await connection.list(root)]
    items = [PushItem(PushEntry(path=name, kind="delete")) for name in left]
    assert (await connection.push(root, items)).failed == ()


@pytest.fixture(params=list(PLACES))
async def agent(request: pytest.FixtureRequest, sandboxes: Callable[[str], Started]) -> AsyncIterator[Agent]:
    started = sandboxes(request.param)
    driver, spec = started.driver(), started.spec
    machine = await driver.connect(spec) or await driver.start(spec)
    agent = Agent(machine, spec, await AgentConnection.open(machine.doorbell, spec.sockets))
    try:
        yield agent
        if await driver.connect(spec):
            await tidy(agent)
    finally:
        for connection in [agent.connection, *agent.others]:
            await connection.close()


@pytest.fixture
def keeper() -> type[Keeper]:
    return Keeper
