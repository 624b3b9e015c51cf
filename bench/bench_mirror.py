"""A first mirror of 10,000 files, and one saved file → inside

By the mirror alone (no engine): into a folder of the host, as for a sandbox that has never run, and through the agent
of a real one. Compared with `tar | tar`, and `rsync -a` where there is one, from folder to folder on the host. A save
counts as inside when the agent has confirmed it. Nothing is deleted meanwhile: bench_save.py says why.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from bench import machines, report
from continue_exec.agent.connection import AgentConnection
from continue_exec.app import agent_binary
from continue_exec.mirror.filter import IgnoreRules
from continue_exec.mirror.mirror import Mirror
from continue_exec.mirror.state import MirrorState
from continue_exec.protocol.agent import PushItem, PushResult


def make_tree(folder: Path, files: int) -> None:
    """A tree like a project's: 10 files a folder, most of 1 to 8 KB, a few large."""
    numbers = random.Random(1)
    for number in range(files):
        place = folder / f"p{number // 500}" / f"m{number // 10}"
        if number % 10 == 0:
            place.mkdir(parents=True, exist_ok=True)
        size = 200_000 if number % 500 == 0 else numbers.randint(1000, 8000)
        (place / f"f{number}.py").write_bytes(numbers.randbytes(size // 2).hex().encode())
    subprocess.run(["git", "init", "-q", str(folder)], check=True)


class Inside:
    """The agent as a target; each has a root of its own, so that a first mirror can be repeated."""

    def __init__(self, agent: AgentConnection, root: str) -> None:
        self.agent, self.root = agent, root
        self.confirmed = asyncio.Event()

    async def push(self, root: str, items: Iterable[PushItem]) -> PushResult:
        result = await self.agent.push(self.root, items)
        self.confirmed.set()
        return result


@asynccontextmanager
async def mirrored(host: Path, state: Path) -> AsyncIterator[Mirror]:
    mirror = Mirror(host, IgnoreRules(), MirrorState(state))
    await mirror.start()
    yield mirror
    await mirror.stop()


def milliseconds(since: float) -> float:
    return (time.perf_counter() - since) * 1e3


def copies(host: Path, base: Path) -> dict[str, list[str]]:
    """Ways to copy the tree on the host: name → argv, to which the new folder is appended."""
    ways = {"tar | tar": ["bash", "-c", f'tar -C "{host}" -cf - . | tar -C "$0" -xf -']}
    if shutil.which("rsync"):
        ways["rsync -a"] = ["rsync", "-a", f"{host}/"]
    return ways


async def first(host: Path, base: Path, bare: machines.Bare, rounds: int) -> list[report.Row]:
    """In turn, so that a busy moment hits all alike."""
    ways = copies(host, base)
    found: dict[str, list[float]] = {name: [] for name in (*ways, "first mirror", "by the agent")}
    for turn in range(rounds):
        for name, argv in ways.items():
            await asyncio.to_thread(os.sync)
            copy = Path(tempfile.mkdtemp(dir=base))
            began = time.perf_counter()
            done = await asyncio.create_subprocess_exec(*argv, str(copy))
            assert await done.wait() == 0
            found[name].append(milliseconds(began))
        await asyncio.to_thread(os.sync)
        began = time.perf_counter()
        async with mirrored(host, base / f"seeded{turn}") as mirror:
            await mirror.seed(agent_binary(), Path(tempfile.mkdtemp(dir=base)))
            found["first mirror"].append(milliseconds(began))
        began = time.perf_counter()
        async with mirrored(host, base / f"state{turn}") as mirror:
            await mirror.flush(Inside(bare.agent, f"/var/tmp/copy{turn}"))
            found["by the agent"].append(milliseconds(began))
    goals = {"first mirror": 1.5}
    return [report.Row(name, samples, against="tar | tar", at_most=goals.get(name)) for name, samples in found.items()]


async def saves(host: Path, base: Path, bare: machines.Bare, count: int) -> list[report.Row]:
    """A flush with nothing to do, a flush of one save, a save by `live`, and a look at everything after a restart."""
    found: dict[str, list[float]] = {
        name: [] for name in ("flush, nothing new", "save, flush", "save, live", "restart")
    }
    target = Inside(bare.agent, "/var/tmp/saves")
    file = host / "p0" / "m0" / "f1.py"
    async with mirrored(host, base / "state") as mirror:
        await mirror.flush(target)
        for number in range(count):
            began = time.perf_counter()
            await mirror.flush(target)
            found["flush, nothing new"].append(milliseconds(began))
            began = time.perf_counter()
            file.write_text(f"print({number})")
            await mirror.flush(target)
            found["save, flush"].append(milliseconds(began))
        async with asyncio.TaskGroup() as group:
            live = group.create_task(mirror.live(target))
            for number in range(count):
                target.confirmed.clear()
                began = time.perf_counter()
                file.write_text(f"print({number}, 'live')")
                await target.confirmed.wait()
                found["save, live"].append(milliseconds(began))
            live.cancel()
    for _ in range(3):
        began = time.perf_counter()
        async with mirrored(host, base / "state") as mirror:
            await mirror.flush(target)
            found["restart"].append(milliseconds(began))
    notes = {"flush, nothing new": "target 0.3 ms", "save, live": "target 10 ms"}
    return [report.Row(name, samples, note=notes.get(name, "")) for name, samples in found.items()]


async def compare(files: int, rounds: int, count: int) -> list[report.Row]:
    base = Path(tempfile.mkdtemp(prefix="cx-bench-", dir="/var/tmp"))
    try:
        host = base / "host"
        make_tree(host, files)
        os.sync()
        async with machines.bare(host) as bare:
            return [*await first(host, base, bare, rounds), *await saves(host, base, bare, count)]
    finally:
        shutil.rmtree(base, ignore_errors=True)


def measure(quick: bool) -> Iterable[report.Row]:
    return asyncio.run(compare(1000, 2, 20) if quick else compare(10_000, 5, 200))


if __name__ == "__main__":
    report.main(__doc__, measure)
