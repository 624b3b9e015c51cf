"""Review of 10,000 files: what differs, taking 1,000 changes home, a branch switch, a look after a run

By the engine's own parts on a real sandbox, without doors. Beside `git status` and `git diff --stat` on the host's own
tree, `cp -a` of as many files, `rsync -a` (where there is none, `cp -a --update`) of the same switch.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from bench import machines, report
from bench.bench_mirror import make_tree, milliseconds
from continue_exec.drivers.runsc import RunscDriver
from continue_exec.engine import changes
from continue_exec.engine.history import History
from continue_exec.engine.live import Live
from continue_exec.engine.review import Review
from continue_exec.mirror.blobs import Blobs
from continue_exec.mirror.filter import IgnoreRules
from continue_exec.mirror.folder import SafeFolder
from continue_exec.mirror.home import Home
from continue_exec.mirror.mirror import Mirror
from continue_exec.mirror.state import MirrorState
from continue_exec.model import Limits, Sandbox, SandboxState, Workspace
from continue_exec.protocol import changes as c
from continue_exec.protocol.refs import WorkspaceRef
from continue_exec.tasks import Tasks

EDIT = """
import pathlib, sys
first, last = map(int, sys.argv[2:4])
for n, path in enumerate(sorted(pathlib.Path(sys.argv[1]).rglob('f*.py'))):
    if first <= n < last: path.write_text('# changed\\n' + path.read_text())
"""


class Bench:
    """One workspace, one sandbox."""

    def __init__(self, host: Path, base: Path, bare: machines.Bare, files: SafeFolder) -> None:
        self.host, self.base, self.bare = host, base, bare
        blobs = Blobs(base / "bases")
        self.mirror = Mirror(host, IgnoreRules(), MirrorState(base / "state"), inside=files, blobs=blobs)
        history = History(base / "history", Blobs(base / "history.blobs"))
        none = cast(Any, SimpleNamespace())
        home = Home(str(host))
        self.review = Review(self.mirror, files, home, history, active=list, tasks=Tasks("bench"))
        sandbox = Sandbox(
            id="sb", workspace=Workspace(id="ws", path=str(host)), template="host", driver="runsc", isolation="gvisor",
            state=SandboxState.RUNNING, limits=Limits(), created_at=0, used_at=0,
        )  # fmt: skip
        self.live = Live(sandbox, none, none, bare.agent, self.mirror, none, env={}, review=self.review)
        self.rows: list[report.Row] = []

    async def timed(self, name: str, act: Any, rounds: int = 3, **row: Any) -> None:
        samples = []
        for _ in range(rounds):
            began = time.perf_counter()
            await act()
            samples.append(milliseconds(began))
        self.rows.append(report.Row(name, samples, **row))

    def git(self, *words: str) -> Any:
        async def call() -> None:
            done = await asyncio.create_subprocess_exec(
                "git", "-C", str(self.host), *words, stdout=asyncio.subprocess.DEVNULL
            )
            assert await done.wait() == 0

        return call

    async def edit(self, first: int, last: int) -> None:
        await self.bare.run(("python3", "-c", EDIT, str(self.host), str(first), str(last)))

    async def list(self) -> None:
        await changes.find(self.live, c.ChangesQuery(workspace=WorkspaceRef(path=str(self.host))))

    async def all(self, count: int, rounds: int) -> list[report.Row]:
        await self.mirror.start()
        await self.mirror.flush(self.live)
        await self.review.keep_bases()
        few = max(1, count // 100)
        await self.timed("git status, nothing changed", self.git("status", "--porcelain"), rounds)
        await self.timed("diff, nothing changed", self.list, rounds, against="git status, nothing changed")
        await self.timed("look after a run, nothing changed", self.review.survey, rounds)
        await self.edit(0, few)
        await self.timed(f"look after a run that changed {few}", self.review.survey, 1)
        await self.timed(f"diff, {few} changed", self.list, rounds, against="git diff --stat, few changed")
        await self.edit(0, count)
        await self.timed(f"look after a run that changed {count}", self.review.survey, 1)
        await self.timed(f"diff, {count} changed", self.list, 2, against="git diff --stat, all changed")
        await self.applying(count)
        await self.discarding()
        await self.switching(count // 2, rounds)
        await self.hosts_own(few, count, rounds)
        await self.mirror.stop()
        return self.rows

    async def applying(self, count: int) -> None:
        taken = max(10, count // 10)
        paths = sorted(str(path.relative_to(self.host)) for path in self.host.rglob("f*.py"))[:taken]
        copy = self.base / "copied"

        async def cp() -> None:
            copy.mkdir()
            done = await asyncio.create_subprocess_exec("cp", "-a", "--parents", *paths, str(copy), cwd=self.host)
            assert await done.wait() == 0

        await self.timed("cp -a", cp, 1, note=f"{taken} files")
        picks = tuple(c.Pick(path=path) for path in paths)
        request = c.ChangesApply(workspace=WorkspaceRef(path=str(self.host)), picks=picks)
        done: list[c.ChangesApplied] = []

        async def apply() -> None:
            done.append(await changes.apply(self.live, request))

        await self.timed(f"apply {taken}", apply, 1, against="cp -a")
        assert len(done[0].applied) == taken, done[0].left[:3]

    async def discarding(self) -> None:
        done: list[c.ChangesApplied] = []

        async def discard() -> None:
            request = c.ChangesApply(workspace=WorkspaceRef(path=str(self.host)), all=True)
            done.append(await changes.discard(self.live, request))

        await self.timed("discard all the rest", discard, 1)
        assert not done[0].left, done[0].left[:3]

    async def switching(self, count: int, rounds: int) -> None:
        """As `git switch` between branches in which `count` files differ: until all of it is inside."""
        files = sorted(self.host.rglob("f*.py"))[:count]
        plain = self.base / "plain"
        ours, theirs = [], []
        await asyncio.to_thread(shutil.copytree, self.host, plain, symlinks=True)
        rsync = shutil.which("rsync")
        way = ["rsync", "-a", f"{self.host}/"] if rsync else ["cp", "-a", "--update", f"{self.host}/."]
        for turn in range(rounds):
            for path in files:
                path.write_text(f"# branch {turn}\n" + path.read_text())
            began = time.perf_counter()
            await self.mirror.flush(self.live)
            ours.append(milliseconds(began))
            began = time.perf_counter()
            done = await asyncio.create_subprocess_exec(*way, str(plain))
            assert await done.wait() == 0
            theirs.append(milliseconds(began))
        name = "rsync -a" if rsync else "cp -a --update"
        self.rows.append(report.Row(name, theirs, note="" if rsync else "there is no rsync here"))
        self.rows.append(report.Row(f"branch switch, {count} files", ours, against=name))

    async def hosts_own(self, few: int, count: int, rounds: int) -> None:
        """What Git takes for the same on the host: it runs there, on files that were changed there."""
        await self.git("add", "-A")()
        for name, number in (("few", few), ("all", count)):
            for path in sorted(self.host.rglob("f*.py"))[:number]:
                path.write_text("# changed\n" + path.read_text())
            await self.timed(f"git diff --stat, {name} changed", self.git("diff", "--stat"), rounds)


async def compare(files: int, rounds: int) -> list[report.Row]:
    base = Path(tempfile.mkdtemp(prefix="cx-bench-", dir="/var/tmp"))
    try:
        host = base / "host"
        make_tree(host, files)
        await asyncio.to_thread(subprocess.run, ["git", "-C", str(host), "add", "-A"], check=True)
        os.sync()
        async with machines.bare(host) as bare:
            driver = RunscDriver(home=bare.spec.folder.parent)
            return await Bench(host, base, bare, SafeFolder(*driver.workspace_files(bare.spec))).all(files, rounds)
    finally:
        shutil.rmtree(base, ignore_errors=True)


def measure(quick: bool) -> Iterable[report.Row]:
    return asyncio.run(compare(1000, 2) if quick else compare(10_000, 3))


if __name__ == "__main__":
    report.main(__doc__, measure)
