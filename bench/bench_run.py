"""A warm command: request at the door → first byte of its output

Compared, in turn, with the agent's own spawn of the same program in the same sandbox (its protocol, without engine,
mirror and record), and with a spawn by a program inside (posix_spawn, pipe, first byte: the floor that gVisor sets).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

from bench import machines, report
from continue_exec.client import Client
from continue_exec.protocol.frames import Kind

PROGRAM = ("/bin/echo", "x")

FLOOR = r"""
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
int main(int argc, char **argv) {
    char *program[] = {"/bin/echo", "x", NULL}, *env[] = {NULL};
    for (int left = atoi(argv[1]); left > 0; left--) {
        struct timespec a, b;
        int ends[2];
        pid_t pid;
        char byte;
        if (pipe(ends)) return 1;
        posix_spawn_file_actions_t acts;
        posix_spawn_file_actions_init(&acts);
        posix_spawn_file_actions_adddup2(&acts, ends[1], 1);
        posix_spawn_file_actions_addclose(&acts, ends[0]);
        clock_gettime(CLOCK_MONOTONIC, &a);
        if (posix_spawn(&pid, program[0], &acts, NULL, program, env)) return 2;
        close(ends[1]);
        if (read(ends[0], &byte, 1) != 1) return 3;
        clock_gettime(CLOCK_MONOTONIC, &b);
        printf("%.3f\n", (b.tv_sec - a.tv_sec) * 1e3 + (b.tv_nsec - a.tv_nsec) / 1e6);
        close(ends[0]);
        waitpid(pid, NULL, 0);
    }
    return 0;
}
"""


async def first_byte(client: Client, workspace: Path) -> float:
    """Milliseconds, over the engine's socket."""
    params = {"workspace": {"path": str(workspace)}, "argv": list(PROGRAM)}
    began, took = time.perf_counter(), 0.0
    async for kind, _, _ in client.frames("run.stream", params):
        if kind == Kind.STDOUT and not took:
            took = (time.perf_counter() - began) * 1e3
    return took


async def compare(count: int) -> Iterable[report.Row]:
    with machines.workspace({"floor.c": FLOOR}) as folder:
        async with Client(name="bench") as client, machines.bare(folder) as bare:
            await client.execute(["cc", "-O1", "-o", "/tmp/floor", "floor.c"], workspace=folder)
            ours, agents, floor = [], [], []
            for _ in range(5):
                await first_byte(client, folder)
            for _ in range(count):
                ours.append(await first_byte(client, folder))
                agents.append(await bare.first_byte(PROGRAM))
                done = await client.execute(["/tmp/floor", "3"], workspace=folder)
                floor += [float(line) for line in done.stdout.split()]
            at_once = await hundred(client, folder)
            await client.sandbox_remove(workspace={"path": str(folder)})
    return (
        report.Row("spawn by a program inside", floor),
        report.Row("agent's own spawn", agents, against="spawn by a program inside"),
        report.Row("warm run", ours, against="agent's own spawn", at_most=2.0),
        report.Row("100 runs at once, each", at_once, against="warm run"),
    )


async def hundred(client: Client, workspace: Path) -> list[float]:
    """Milliseconds per run when 100 are started together; each must get its own output."""

    async def one(number: int) -> None:
        done = await client.execute(["/bin/echo", str(number)], workspace=workspace)
        assert done.stdout == b"%d\n" % number, "mixed up"

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(100)))
    return [(time.perf_counter() - began) * 10]


def measure(quick: bool) -> Iterable[report.Row]:
    return asyncio.run(compare(10 if quick else 100))


if __name__ == "__main__":
    report.main(__doc__, measure)
