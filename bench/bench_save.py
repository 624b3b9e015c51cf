"""A workspace of 10,000 files mirrored by the engine for the first time, and a saved file seen by a program inside

The first mirror comes with a new sandbox: it is what `workspace.sync` takes longer for a workspace of that many files
than for an empty one, beside `tar | tar` on the host. What the agent takes for the same, when the files appear after
the sandbox's first boot, stands below it. A save counts as seen when a program inside that waits on inotify has read
the new content; it says when by its own clock, which is checked against the host's. (bench_mirror.py measures the
mirror without the engine.)

Nothing is deleted before everything is measured: ext4 does not use an inode again that was freed in the last minutes,
and looks for another one so long (fs/ext4/ialloc.c, recently_deleted) that a file takes 0.7 ms to make, not 0.01.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from bench import machines, report
from bench.bench_mirror import copies, make_tree, milliseconds
from continue_exec.client import Client
from continue_exec.protocol.frames import Kind

SAVED = "saved.txt"

WAITER = r"""
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>
static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}
int main(int argc, char **argv) {
    char events[65536], text[64], last[64] = "";
    int queue = inotify_init();
    if (inotify_add_watch(queue, argv[1], IN_MOVED_TO | IN_CLOSE_WRITE) < 0 || chdir(argv[1])) return 1;
    printf("ready %lld\n", now());
    fflush(stdout);
    while (read(queue, events, sizeof events) > 0) {
        int file = open(argv[2], O_RDONLY), size = file < 0 ? 0 : read(file, text, sizeof text - 1);
        long long seen = now();
        close(file);
        text[size < 0 ? 0 : size] = 0;
        if (!*text || !strcmp(text, last)) continue;
        printf("%s %lld\n", strcpy(last, text), seen);
        fflush(stdout);
        if (!strcmp(text, "end")) return 0;
    }
    return 2;
}
"""


async def lines(client: Client, workspace: Path, argv: list[str]) -> AsyncIterator[tuple[str, int]]:
    """What a run says, line by line: a word, and the time inside (ns since the epoch)."""
    text = b""
    params = {"workspace": {"path": str(workspace), "root": True}, "argv": argv}
    async for kind, _, payload in client.frames("run.stream", params):
        if kind == Kind.STDOUT:
            *whole, text = (text + payload).split(b"\n")
            for line in whole:
                word, _, nanoseconds = line.decode().partition(" ")
                yield word, int(nanoseconds)


async def clocks(client: Client, workspace: Path) -> None:
    """Raises if the sandbox's clock is not the host's: then the times of the two cannot be compared."""
    before = time.time_ns()
    async for word, inside in lines(client, workspace, ["date", "+ready %s%N"]):
        if word == "ready" and not before - 1_000_000 <= inside <= time.time_ns() + 1_000_000:
            raise RuntimeError(f"the clock inside differs from the host's by {(inside - before) / 1e6:.1f} ms or more")


async def saves(client: Client, folder: Path, count: int) -> list[float]:
    """Milliseconds from before the write to the moment in which it was read inside."""
    await client.execute(["cc", "-O1", "-o", "/tmp/waiter", "waiter.c"], workspace=folder, workspace_root=True)
    await clocks(client, folder)
    found: list[float] = []
    words = [f"save {number}" for number in range(count)]
    wrote = 0

    def save(text: str) -> int:
        began = time.time_ns()
        (folder / SAVED).write_text(text)
        return began

    async for word, inside in lines(client, folder, ["/tmp/waiter", str(folder), SAVED]):
        if word != "ready":
            found.append((inside - wrote) / 1e6)
        if len(found) > count:
            break
        # A person's saves come after a while of nothing, and so do these.
        await asyncio.sleep(0.02)
        wrote = save(words[len(found)].replace(" ", "") if len(found) < count else "end")
    return found[:count]


async def sync(client: Client, folder: Path) -> float:
    """Milliseconds until the sandbox is there and holds what the folder does."""
    began = time.perf_counter()
    await client.workspace_sync(str(folder), root=True)
    return milliseconds(began)


async def firsts(client: Client, base: Path, files: int, rounds: int) -> list[report.Row]:
    """In turn, so that a busy moment hits all alike. All is left for the caller to delete."""
    host = base / "host"
    make_tree(host, files)
    os.sync()
    ways = copies(host, base)
    ours = ("first mirror", "new sandbox, empty", "new sandbox, all files", "by the agent, later")
    found: dict[str, list[float]] = {name: [] for name in (*ways, *ours)}
    # The engine is up, the template's layer made, the host's package configuration known.
    with machines.workspace({}) as folder:
        await sync(client, folder)
        await client.sandbox_remove(workspace={"path": str(folder), "root": True})
    for turn in range(rounds):
        for name, argv in ways.items():
            await asyncio.to_thread(os.sync)
            copy = Path(tempfile.mkdtemp(dir=base))
            began = time.perf_counter()
            done = await asyncio.create_subprocess_exec(*argv, str(copy))
            assert await done.wait() == 0
            found[name].append(milliseconds(began))
        fresh = base / f"fresh{turn}"
        fresh.mkdir()
        empty = await sync(client, fresh)
        await client.sandbox_stop(workspace={"path": str(fresh), "root": True})
        await asyncio.to_thread(shutil.copytree, host, fresh, dirs_exist_ok=True)
        await client.sandbox_ensure(str(fresh), root=True)
        found["by the agent, later"].append(await sync(client, fresh))
        again = base / f"again{turn}"
        await asyncio.to_thread(shutil.copytree, host, again)
        await asyncio.to_thread(os.sync)
        whole = await sync(client, again)
        for folder in (fresh, again):
            await client.sandbox_stop(workspace={"path": str(folder), "root": True})
        found["new sandbox, empty"].append(empty)
        found["new sandbox, all files"].append(whole)
        found["first mirror"].append(whole - empty)
    goals = {"first mirror": 1.5}
    return [report.Row(name, samples, against="tar | tar", at_most=goals.get(name)) for name, samples in found.items()]


async def compare(files: int, rounds: int, count: int) -> list[report.Row]:
    base = Path(tempfile.mkdtemp(prefix="cx-bench-", dir="/var/tmp"))
    try:
        with machines.workspace({"waiter.c": WAITER}) as folder:
            async with Client(name="bench") as client:
                rows = await firsts(client, base, files, rounds)
                seen = await saves(client, folder, count)
                for sandbox in (await client.sandbox_list()).sandboxes:
                    if sandbox.workspace.path.startswith((str(base), str(folder))):
                        await client.sandbox_remove(sandbox_id=sandbox.id)
        goal = report.Row("ten milliseconds", [10.0])
        return [*rows, goal, report.Row("saved → read inside", seen, against=goal.name, at_most=1.0)]
    finally:
        shutil.rmtree(base, ignore_errors=True)


def measure(quick: bool) -> Iterable[report.Row]:
    return asyncio.run(compare(2000, 3, 20) if quick else compare(10_000, 3, 200))


if __name__ == "__main__":
    report.main(__doc__, measure)
