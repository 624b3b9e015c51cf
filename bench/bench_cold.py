"""A new sandbox: request at the door → first byte of its output

A workspace that the engine has never seen, each time a new one, and a stopped sandbox that is woken; compared, in
turn, with a bare `runsc run` of the same program with the same flags, and with `docker run`. The workspaces are empty:
what mirroring costs is measured by bench_mirror.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import ExitStack

from bench import alternatives, machines, report
from bench.bench_run import PROGRAM, first_byte
from continue_exec.client import Client


async def compare(count: int) -> Iterable[report.Row]:
    made: list[float] = []
    woken: list[float] = []
    missing: list[report.Row] = []
    with ExitStack() as stack:
        ways = {}
        try:
            runsc = stack.enter_context(alternatives.bare_runsc())
            ways["runsc run"] = lambda: runsc.run(PROGRAM)
        except alternatives.Missing as why:
            missing.append(report.unmeasured("runsc run", why))
        try:
            docker = stack.enter_context(alternatives.docker())
            ways["docker run (runc)"] = lambda: docker.run("runc", PROGRAM)
            ways["docker run (runsc)"] = lambda: docker.run("runsc", PROGRAM)
        except alternatives.Missing as why:
            missing.append(report.unmeasured("docker run (runsc)", why))
        found: dict[str, list[float]] = {name: [] for name in ways}
        async with Client(name="bench") as client:
            kept = stack.enter_context(machines.workspace({}))
            await first_byte(client, kept)  # the engine is up, the template's layer made
            for _ in range(count):
                with machines.workspace({}) as folder:
                    made.append(await first_byte(client, folder))
                    await client.sandbox_remove(workspace={"path": str(folder)})
                await client.sandbox_stop(workspace={"path": str(kept)})
                woken.append(await first_byte(client, kept))
                for name, way in ways.items():
                    found[name].append(alternatives.first_byte(way()))
            await client.sandbox_remove(workspace={"path": str(kept)})
    return (
        *(report.Row(name, samples, against="runsc run") for name, samples in found.items()),
        *missing,
        report.Row("new sandbox", made, against="runsc run", at_most=1.2),
        report.Row("stopped sandbox, woken", woken, against="runsc run"),
    )


def measure(quick: bool) -> Iterable[report.Row]:
    return asyncio.run(compare(4 if quick else 20))


if __name__ == "__main__":
    report.main(__doc__, measure)
