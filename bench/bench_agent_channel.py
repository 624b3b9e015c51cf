"""The channel to the agent: round trips, start of a program, output, files

Beside each, the same thing bare: a raw Unix socket between two processes, a plain spawn, tar. The agent runs as a
plain process of the host and, where runsc is to be had, inside gVisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

from bench import report
from continue_exec import app
from continue_exec.agent.connection import AgentConnection
from continue_exec.drivers.base import Driver, SandboxSpec
from continue_exec.drivers.fake import FakeDriver
from continue_exec.drivers.runsc import RunscDriver
from continue_exec.protocol.agent import Exec, Exited, PushEntry, PushItem

MEBIBYTE = 1 << 20
FILES = 10_000
BODY = b"x" * 800

# Answers pings of one byte; on `!` it sends as fast as it can.
PEER = """
import socket
s = socket.socket(fileno=0)
while (b := s.recv(1)) == b"?":
    s.sendall(b)
z = bytes(131072)
try:
    while b: s.sendall(z)
except OSError: pass
"""


class Sink:
    """Counts, and knows when the first byte came."""

    def __init__(self) -> None:
        self.first = 0.0
        self.size = 0
        self.ended = asyncio.Event()

    def started(self, pid: int) -> None: ...

    def output(self, kind: int, data: memoryview) -> None:
        self.first = self.first or time.perf_counter()
        self.size += len(data)

    def exited(self, note: Exited) -> None:
        self.ended.set()

    def lost(self) -> None:
        self.ended.set()


@contextlib.contextmanager
def bare_peer() -> Iterator[socket.socket]:
    """One end of a Unix socket whose other end is another process."""
    ours, theirs = socket.socketpair()
    with subprocess.Popen(["/usr/bin/python3", "-Sc", PEER], stdin=theirs) as process:
        theirs.close()
        try:
            yield ours
        finally:
            ours.close()
            process.wait(10)


def bare_round_trips(count: int) -> list[float]:
    """Microseconds."""
    with bare_peer() as peer:
        samples = []
        for _ in range(count):
            began = time.perf_counter()
            peer.sendall(b"?")
            peer.recv(1)
            samples.append((time.perf_counter() - began) * 1e6)
        return samples


def bare_rate(size: int) -> float:
    """MB/s."""
    with bare_peer() as peer:
        buffer = bytearray(MEBIBYTE)
        peer.sendall(b"!")
        began, got = time.perf_counter(), 0
        while got < size:
            got += peer.recv_into(buffer)
        return got / (time.perf_counter() - began) / 1e6


def bare_start() -> float:
    """Milliseconds from a spawn to its first byte."""
    began = time.perf_counter()
    with subprocess.Popen(["/bin/echo", "x"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        return (time.perf_counter() - began) * 1000


def bare_untar(folder: Path) -> float:
    """Milliseconds to unpack the same files with tar."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for number in range(FILES):
            info = tarfile.TarInfo(f"d{number % 100}/f{number}")
            info.size = len(BODY)
            archive.addfile(info, io.BytesIO(BODY))
    folder.mkdir()
    began = time.perf_counter()
    subprocess.run(["tar", "-x", "-C", folder], input=packed.getvalue(), check=True)
    return (time.perf_counter() - began) * 1000


@contextlib.asynccontextmanager
async def agent(driver: Driver, folder: Path) -> AsyncIterator[tuple[AgentConnection, dict[str, str], str]]:
    """A connection, the base environment of runs, the workspace."""
    spec = SandboxSpec("sb_bench", folder / "sandbox", folder / "run", folder / "project", app.agent_binary())
    spec.sockets.mkdir(parents=True, exist_ok=True)
    machine = await driver.start(spec)
    try:
        connection = await AgentConnection.open(machine.doorbell, spec.sockets)
        yield connection, machine.env, str(spec.workspace)
        await connection.close()
    finally:
        await driver.destroy(spec)


async def measured(driver: Driver, folder: Path, place: str, quick: bool) -> list[report.Row]:
    async with agent(driver, folder) as (connection, env, root):

        async def run(*argv: str) -> tuple[float, Sink]:
            stream, sink = connection.new_stream(), Sink()
            began = time.perf_counter()
            await connection.exec(Exec(stream=stream, run_id="r", argv=argv, cwd="/", env=env), sink)
            await sink.ended.wait()
            await connection.forget(stream)
            return began, sink

        trips: list[float] = []
        for _ in range(200 if quick else 3000):
            began = time.perf_counter()
            await connection.stat("/")
            trips.append((time.perf_counter() - began) * 1e6)
        starts = []
        for _ in range(10 if quick else 200):
            began, sink = await run("/bin/echo", "x")
            starts.append((sink.first - began) * 1000)
        rates = []
        size = (50 if quick else 500) * MEBIBYTE
        for _ in range(1 if quick else 5):
            # Large blocks: with small ones it is the system calls of the program inside that are measured.
            began, sink = await run("dd", "if=/dev/zero", "bs=128k", f"count={size >> 17}", "status=none")
            rates.append(sink.size / (time.perf_counter() - began) / 1e6)
        pushes = []
        for turn in range(1 if quick else 3):
            entries = [PushEntry(path=f"{turn}/d{n % 100}/f{n}", kind="file", size=len(BODY)) for n in range(FILES)]
            began = time.perf_counter()
            result = await connection.push(root, [PushItem(entry, BODY) for entry in entries])
            pushes.append((time.perf_counter() - began) * 1000)
            assert result.written == FILES, result.failed[:3]
    return [
        report.Row(f"stat, {place}", trips, "us", against="bare round trip"),
        report.Row(f"first byte of echo, {place}", starts, against="bare first byte of echo"),
        report.Row(f"output, {place}", rates, "MB/s", against="bare socket"),
        report.Row(f"push of {FILES} files, {place}", pushes, against="bare tar -x"),
    ]


def measure(quick: bool) -> Iterable[report.Row]:
    folder = Path(tempfile.mkdtemp(prefix="cxb-", dir="/tmp"))  # short: sockets stand in it
    try:
        yield report.Row("bare round trip", bare_round_trips(200 if quick else 3000), "us")
        yield report.Row("bare first byte of echo", [bare_start() for _ in range(10 if quick else 200)])
        yield report.Row(
            "bare socket", [bare_rate((50 if quick else 500) * MEBIBYTE) for _ in range(1 if quick else 5)], "MB/s"
        )
        yield report.Row("bare tar -x", [bare_untar(folder / f"tar{n}") for n in range(1 if quick else 3)])
        yield from asyncio.run(measured(FakeDriver(), folder / "process", "process", quick))
        if shutil.which("runsc"):
            yield from asyncio.run(measured(RunscDriver(home=folder / "home"), folder / "runsc", "gVisor", quick))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    os.umask(0o077)
    report.main(__doc__, measure)
