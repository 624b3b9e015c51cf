"""A warm command: request at the door → first byte of its output

Compared, in turn, with the agent's own spawn of the same program in a sandbox of the same kind (its protocol, without
engine, mirror and record), with a spawn by a program inside (posix_spawn, pipe, first byte: the floor that gVisor
sets), and with `docker exec` and `runsc exec` into sandboxes that are up. Before each sample there is a pause, so that
none pays for what the one before it left to be done, and all begin as a user's command does: on a sandbox that is idle.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

from bench import alternatives, machines, report
from continue_exec.client import Client
from continue_exec.protocol.frames import Kind

PROGRAM = ("/bin/echo", "x")

PAUSE_S = 0.1
"""Before each sample. What an ended command leaves behind takes 10 to 50 ms, of Docker's as of ours."""

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


Way = Callable[[], float]
"""Milliseconds to the first byte."""


def others(stack: ExitStack) -> tuple[dict[str, Way], list[report.Row]]:
    """What else runs a command in a sandbox that is up; and rows for what cannot be measured here."""
    ways: dict[str, Way] = {}
    missing: list[report.Row] = []
    try:
        execs = stack.enter_context(stack.enter_context(alternatives.bare_runsc()).up())
        ways["runsc exec"] = lambda: alternatives.first_byte([*execs, *PROGRAM])
    except alternatives.Missing as why:
        missing.append(report.unmeasured("runsc exec", why))
    try:
        docker = stack.enter_context(alternatives.docker())
        for runtime in ("runc", "runsc"):
            found = stack.enter_context(docker.up(runtime))
            ways[f"docker exec ({runtime})"] = lambda found=found: alternatives.first_byte([*found, *PROGRAM])
        ways["docker's API, exec (runsc)"] = lambda: docker.asked(found[-1], PROGRAM)
    except alternatives.Missing as why:
        missing.append(report.unmeasured("docker exec (runsc)", why))
    return ways, missing


async def compare(count: int) -> Iterable[report.Row]:
    floor: list[float] = []
    agents: list[float] = []
    ours: list[float] = []
    with machines.workspace({"floor.c": FLOOR}) as folder, ExitStack() as stack:
        ways, missing = others(stack)
        cli = [str(Path(sys.executable).parent / "continue-exec"), "run", "--cwd", str(folder), "--", *PROGRAM]
        ways["continue-exec run"] = lambda: alternatives.first_byte(cli)
        found: dict[str, list[float]] = {name: [] for name in ways}
        async with Client(name="bench") as client, machines.bare(folder) as bare:
            await client.execute(["cc", "-O1", "-o", "/tmp/floor", "floor.c"], workspace=folder)
            for _ in range(5):
                await first_byte(client, folder)
            for _ in range(count):
                await asyncio.sleep(PAUSE_S)
                ours.append(await first_byte(client, folder))
                await asyncio.sleep(PAUSE_S)
                agents.append(await bare.first_byte(PROGRAM))
                await asyncio.sleep(PAUSE_S)
                done = await client.execute(["/tmp/floor", "1"], workspace=folder)
                floor += [float(line) for line in done.stdout.split()]
                for name, way in ways.items():
                    await asyncio.sleep(PAUSE_S)
                    found[name].append(way())
            await client.sandbox_remove(workspace={"path": str(folder)})
    theirs = [report.Row(name, samples, against="docker exec (runsc)") for name, samples in found.items()]
    return (
        report.Row("spawn by a program inside", floor, against="docker exec (runsc)"),
        report.Row("agent's own spawn", agents, against="spawn by a program inside"),
        report.Row("warm run", ours, against="agent's own spawn", at_most=2.0),
        *missing,
        *theirs,
        report.Row("warm run, once more", ours, against="docker exec (runsc)", at_most=0.125),
    )


def measure(quick: bool) -> Iterable[report.Row]:
    return asyncio.run(compare(10 if quick else 100))


if __name__ == "__main__":
    report.main(__doc__, measure)
