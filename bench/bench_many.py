"""Many commands at once in one sandbox: until the last has ended, nothing mixed up

Each writes lines that only it can have written to both of its outputs; every byte is compared.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import alternatives, machines, report
from continue_exec.client import Client

COUNT = 100
LINES = 50
SCRIPT = f'i=0; while [ $i -lt {LINES} ]; do echo "$0 out $i"; echo "$0 err $i" >&2; i=$((i+1)); done'


def command(number: int) -> list[str]:
    """The one with this number."""
    return ["/bin/sh", "-c", SCRIPT, f"n{number}"]


def expected(number: int, what: str) -> bytes:
    """All that it writes to one output."""
    return b"".join(b"n%d %s %d\n" % (number, what.encode(), line) for line in range(LINES))


def check(number: int, out: bytes, err: bytes) -> None:
    """Raises if a byte is missing or another's."""
    if out != expected(number, "out") or err != expected(number, "err"):
        raise RuntimeError(f"the output of {number} is mixed up: {out[:200]!r} {err[:200]!r}")


async def ours(client: Client, workspace: Path, number: int) -> None:
    done = await client.execute(command(number), workspace=workspace)
    check(number, done.stdout, done.stderr)


async def program(argv: Sequence[str], number: int) -> None:
    """The same by a program on the host."""
    process = await asyncio.create_subprocess_exec(
        *argv, *command(number), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    check(number, *await process.communicate())


async def together(one: Callable[[int], Awaitable[None]]) -> float:
    """Milliseconds until all have ended."""
    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(COUNT)))
    return (time.perf_counter() - began) * 1e3


async def compare(rounds: int) -> Iterable[report.Row]:
    missing: list[report.Row] = []
    ways: dict[str, Callable[[int], Awaitable[None]]] = {}
    with machines.workspace({}) as folder, ExitStack() as stack:
        try:
            docker = stack.enter_context(alternatives.docker())
            for runtime in ("runc", "runsc"):
                execs = stack.enter_context(docker.up(runtime))
                ways[f"docker exec ({runtime})"] = lambda number, execs=execs: program(execs, number)
        except alternatives.Missing as why:
            missing.append(report.unmeasured("docker exec (runsc)", why))
        async with Client(name="bench") as client:
            ways[f"{COUNT} runs at once"] = lambda number: ours(client, folder, number)
            found: dict[str, list[float]] = {name: [] for name in ways}
            await ours(client, folder, 0)
            for _ in range(rounds):
                for name, way in ways.items():
                    found[name].append(await together(way))
            await client.sandbox_remove(workspace={"path": str(folder)})
    return (
        *missing,
        *(report.Row(name, samples, against="docker exec (runsc)") for name, samples in found.items()),
    )


def measure(quick: bool) -> Iterable[report.Row]:
    return asyncio.run(compare(1 if quick else 5))


if __name__ == "__main__":
    report.main(__doc__, measure)
