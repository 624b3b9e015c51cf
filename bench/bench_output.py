"""Output from a run to a client: how fast, and what memory it takes on the way

`dd` of /dev/zero inside, in blocks of 128 KiB (as `cat` writes), read to the end by one reader on the host: through the
engine's socket as frames, through the command line into /dev/null and into a pipe, through `docker exec`, and as the
floor from a bare `runsc run` that writes straight into a FIFO of the host. Pipes are as large as the kernel makes
them. Speeds are of the bytes between the first read and the last.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import alternatives, machines, report
from continue_exec.client import Client
from continue_exec.protocol.frames import Kind

READ = 256 << 10
MEMORY_GROWTH = 1.5
"""Peak of the engine during the flood against its memory before: flat, but for a few buffers."""


def command(size: int) -> list[str]:
    """What writes `size` bytes."""
    return ["/bin/dd", "if=/dev/zero", "bs=128K", f"count={size >> 17}", "status=none"]


def drain(fd: int, size: int) -> float:
    """MB/s."""
    buffer = bytearray(READ)
    left, began = size, 0.0
    while left > 0:
        count = os.readv(fd, [buffer])
        if count == 0:
            raise RuntimeError(f"the output ended {left} bytes early")
        began = began or time.perf_counter()
        left -= count
    return size / 1e6 / (time.perf_counter() - began)


def piped(argv: Sequence[str], size: int) -> float:
    """MB/s of a program on the host whose standard output is a pipe."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        return drain(process.stdout.fileno(), size)


def fifo(runsc: alternatives.BareRunsc, size: int) -> float:
    """MB/s of a bare sandbox whose standard output is a FIFO of the host."""
    path = runsc.folder / "out"
    os.mkfifo(path)
    ours, theirs = os.open(path, os.O_RDONLY | os.O_NONBLOCK), os.open(path, os.O_RDWR)
    os.set_blocking(ours, True)
    try:
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(runsc.run(command(size)), stdin=subprocess.DEVNULL, stdout=theirs, stderr=errors),
        ):
            return drain(ours, size)
    finally:
        os.close(ours)
        os.close(theirs)
        path.unlink()


async def framed(client: Client, workspace: Path, size: int) -> float:
    """MB/s of the engine's socket, every frame taken apart."""
    got, began = 0, 0.0
    params = {"workspace": {"path": str(workspace)}, "argv": command(size)}
    async for kind, _, payload in client.frames("run.stream", params):
        if kind == Kind.STDOUT:
            began = began or time.perf_counter()
            got += len(payload)
    assert got == size, f"{size - got} bytes are missing"
    return size / 1e6 / (time.perf_counter() - began)


def cli(workspace: Path, *argv: str) -> list[str]:
    """The command line of our own command line."""
    return [str(Path(sys.executable).parent / "continue-exec"), "run", "--cwd", str(workspace), "--", *argv]


def into_null(argv: Sequence[str]) -> tuple[float, float]:
    """Seconds and peak memory (MB) of a program whose output is thrown away."""
    began = time.perf_counter()
    peak = 0.0
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        # Asked again and again, as wait4(2) would count the memory of this process, from which it was forked.
        while process.poll() is None:
            peak = max(peak, memory(process.pid, "VmHWM"))
            time.sleep(0.02)
    if process.returncode != 0:
        raise RuntimeError(f"{argv[0]} ended with {process.returncode}")
    return time.perf_counter() - began, peak


def memory(pid: int, what: str) -> float:
    """MB of a process: `VmRSS` now, `VmHWM` at its peak."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / 1024
    return 0.0  # a process that has just ended


def forget_peak(pid: int) -> None:
    """Let VmHWM begin anew (proc(5))."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


async def compare(rounds: int, size: int) -> Iterable[report.Row]:
    ways: dict[str, Callable[[], float]] = {}
    missing: list[report.Row] = []
    with ExitStack() as stack:
        folder = stack.enter_context(machines.workspace({}))
        try:
            runsc = stack.enter_context(alternatives.bare_runsc())
            ways["bare FIFO"] = lambda: fifo(runsc, size)
        except alternatives.Missing as why:
            missing.append(report.unmeasured("bare FIFO", why))
        try:
            docker = stack.enter_context(alternatives.docker())
            for runtime in ("runc", "runsc"):
                execs = stack.enter_context(docker.up(runtime))
                ways[f"docker exec ({runtime})"] = lambda execs=execs: piped([*execs, *command(size)], size)
        except alternatives.Missing as why:
            missing.append(report.unmeasured("docker exec (runsc)", why))
        ways["continue-exec run, into a pipe"] = lambda: piped(cli(folder, *command(size)), size)
        found: dict[str, list[float]] = {name: [] for name in ways}
        ours: list[float] = []
        null: list[float] = []
        client_peak: list[float] = []
        client_idle: list[float] = []
        async with Client(name="bench") as client:
            engine = (await client.engine_status()).pid
            for _ in range(2):
                await framed(client, folder, 1 << 20)
            before = memory(engine, "VmRSS")
            forget_peak(engine)
            for _ in range(rounds):
                ours.append(await framed(client, folder, size))
                for name, way in ways.items():
                    found[name].append(await asyncio.to_thread(way))
                start, idle = into_null(cli(folder, "/bin/echo"))
                took, peak = into_null(cli(folder, *command(size)))
                null.append(size / 1e6 / max(took - start, 1e-3))
                client_idle.append(idle)
                client_peak.append(peak)
            engine_peak = memory(engine, "VmHWM")
            await client.sandbox_remove(workspace={"path": str(folder)})
    return (
        *(report.Row(name, samples, "MB/s", against="bare FIFO") for name, samples in found.items()),
        *missing,
        report.Row("continue-exec run, into /dev/null", null, "MB/s", against="bare FIFO", note="its start deducted"),
        report.Row("engine's socket, frames", ours, "MB/s", against="bare FIFO", at_least=0.5),
        report.Row("engine's memory before", [before], "MB"),
        report.Row("its peak meanwhile", [engine_peak], "MB", against="engine's memory before", at_most=MEMORY_GROWTH),
        report.Row("command line's memory, one line", client_idle, "MB"),
        report.Row(
            "its peak in the flood", client_peak, "MB", against="command line's memory, one line", at_most=MEMORY_GROWTH
        ),
    )


def measure(quick: bool) -> Iterable[report.Row]:
    return asyncio.run(compare(*((3, 128 << 20) if quick else (5, 1 << 30))))


if __name__ == "__main__":
    report.main(__doc__, measure)
