"""A new sandbox: request at the door → first byte of its output

A workspace that the engine has never seen, each time a new one, and a stopped sandbox that is woken; compared, in
turn, with a bare `runsc run` of the same program with the same flags, and with `docker run`. The workspaces are empty:
what mirroring costs is measured by bench_mirror.py.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack

from bench import alternatives, machines, report
from bench.bench_run import PROGRAM, first_byte
from continue_exec.client import Client

Way = Callable[[], Awaitable[float]]
"""Milliseconds to the first byte."""


def program(argv: Callable[[], list[str]]) -> Way:
    """A program on the host."""

    async def way() -> float:
        return await asyncio.to_thread(alternatives.first_byte, argv())

    return way


def others(stack: ExitStack) -> tuple[dict[str, Way], list[report.Row]]:
    """What else makes a sandbox; and rows for what cannot be measured here."""
    ways: dict[str, Way] = {}
    missing: list[report.Row] = []
    try:
        runsc = stack.enter_context(alternatives.bare_runsc())
        ways["runsc run"] = program(lambda: runsc.run(PROGRAM, cgroup=True))
        ways["runsc run, no cgroup"] = program(lambda: runsc.run(PROGRAM))
    except alternatives.Missing as why:
        missing.append(report.unmeasured("runsc run", why))
    try:
        docker = stack.enter_context(alternatives.docker())
        ways["docker run (runc)"] = program(lambda: docker.run("runc", PROGRAM))
        ways["docker run (runsc)"] = program(lambda: docker.run("runsc", PROGRAM))
    except alternatives.Missing as why:
        missing.append(report.unmeasured("docker run (runsc)", why))
    return ways, missing


async def compare(count: int) -> Iterable[report.Row]:
    with ExitStack() as stack:
        ways, missing = others(stack)
        kept = stack.enter_context(machines.workspace({}))
        async with Client(name="bench") as client:

            async def new() -> float:
                with machines.workspace({}) as folder:
                    took = await first_byte(client, folder)
                    await client.sandbox_remove(workspace={"path": str(folder)})
                return took

            async def woken() -> float:
                await client.sandbox_stop(workspace={"path": str(kept)})
                return await first_byte(client, kept)

            await first_byte(client, kept)  # the engine is up, the template's layer made
            ways |= {"new sandbox": new, "stopped sandbox, woken": woken}
            found: dict[str, list[float]] = {name: [] for name in ways}
            order = random.Random(1)
            for _ in range(count):
                # In another order each time: what one leaves to be cleaned up would always hold up the same other.
                for name in order.sample(list(ways), len(ways)):
                    found[name].append(await ways[name]())
            await client.sandbox_remove(workspace={"path": str(kept)})
    goals = {"new sandbox": 1.2}
    rows = [report.Row(name, samples, against="runsc run", at_most=goals.get(name)) for name, samples in found.items()]
    return (*missing, *rows)


def measure(quick: bool) -> Iterable[report.Row]:
    return asyncio.run(compare(4 if quick else 15))


if __name__ == "__main__":
    report.main(__doc__, measure)
