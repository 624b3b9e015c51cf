"""A host folder, the sandbox's copy of it as a folder, and the engine's review between them; and an oracle.

The oracle knows nothing of how either works: it remembers what stood where, and looks at both trees before and after
everything that the mirror or the review does.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol, cast

from continue_exec.engine import changes
from continue_exec.engine.history import History
from continue_exec.engine.live import Live
from continue_exec.engine.review import Review
from continue_exec.mirror.blobs import Blobs
from continue_exec.mirror.filter import IgnoreRules
from continue_exec.mirror.folder import SafeFolder
from continue_exec.mirror.home import Home
from continue_exec.mirror.inotify import InotifyWatcher
from continue_exec.mirror.mirror import Mirror
from continue_exec.mirror.state import MirrorState
from continue_exec.mirror.text import merge
from continue_exec.model import Limits, Sandbox, SandboxState, Workspace
from continue_exec.protocol import changes as c
from continue_exec.protocol.agent import FileStat, PushItem, PushResult
from continue_exec.protocol.refs import WorkspaceRef
from continue_exec.tasks import Tasks

from .mirror_target import DiskTarget, Tree, tree


class Agent(Protocol):
    """As much of an agent's connection as a review needs."""

    async def push(self, root: str, items: Iterable[PushItem]) -> PushResult: ...

    async def stat(self, path: str) -> FileStat: ...


@dataclass
class Elsewhere:
    """An agent that has the copy at another path than the host has the workspace."""

    agent: Agent
    host: Path
    folder: Path

    async def push(self, root: str, items: Iterable[PushItem]) -> PushResult:
        return await self.agent.push(str(self.folder), items)

    async def stat(self, path: str) -> FileStat:
        return await self.agent.stat(str(self.folder / os.path.relpath(path, self.host)))


@dataclass
class Both:
    """Both sides below `base`, and an engine that can be ended and begun again."""

    base: Path
    agent: Agent
    host: Path = field(init=False)
    inside: Path = field(init=False)
    active: list[str] = field(default_factory=list)
    buffers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.host, self.inside = self.base / "host", self.base / "inside"
        self.host.mkdir(exist_ok=True)
        self.inside.mkdir(exist_ok=True)

    async def open(self) -> None:
        """As the engine does with a sandbox that is up."""
        state = MirrorState(self.base / "mirror.state")
        files, bases = SafeFolder(self.inside), Blobs(self.base / "mirror.bases")
        self.mirror = Mirror(self.host, IgnoreRules(), state, watcher=InotifyWatcher, inside=files, blobs=bases)
        await self.mirror.start()
        self.mirror.set_buffers("editor", self.buffers)
        history = History(self.base / "history", Blobs(self.base / "history.blobs"))
        self.tasks = Tasks("test")
        self.review = Review(
            self.mirror, files, Home(str(self.host)), history, active=lambda: self.active, tasks=self.tasks
        )
        self.review.load()
        workspace = Workspace(id="ws", path=str(self.host))
        sandbox = Sandbox(
            id="sb", workspace=workspace, template="host", driver="disk", isolation="none",
            state=SandboxState.RUNNING, limits=Limits(), created_at=time.time(), used_at=time.time(),
        )  # fmt: skip
        none = cast(Any, SimpleNamespace())
        self.live = Live(sandbox, none, none, cast(Any, self.agent), self.mirror, none, env={}, review=self.review)

    async def close(self, *, killed: bool = False) -> None:
        """End it; `killed`: without putting anything in order."""
        await self.tasks.close()
        if killed:
            if self.mirror._watcher is not None:
                self.mirror._watcher.close()
            self.mirror.state.close()
        else:
            await self.mirror.stop()
        self.review.close()

    async def restart(self, *, killed: bool = False) -> None:
        await self.close(killed=killed)
        await self.open()

    @property
    def ref(self) -> WorkspaceRef:
        return WorkspaceRef(path=str(self.host))

    async def list(self, **query: Any) -> list[c.Change]:
        found = await changes.find(self.live, c.ChangesQuery(workspace=self.ref, **query))
        return list(found.changes)

    async def apply(self, *paths: str, **request: Any) -> c.ChangesApplied:
        return await changes.apply(self.live, self._request(paths, request))

    async def discard(self, *paths: str, **request: Any) -> c.ChangesApplied:
        return await changes.discard(self.live, self._request(paths, request))

    def _request(self, paths: tuple[str, ...], request: dict[str, Any]) -> c.ChangesApply:
        picks = (*(c.Pick(path=path) for path in paths), *request.pop("picks", ()))
        return c.ChangesApply(workspace=self.ref, picks=picks, **request)

    async def rewind(self, run_id: str) -> c.ChangesApplied:
        return await changes.rewind(self.live, c.Rewind(workspace=self.ref, run_id=run_id))


def on_disk(base: Path) -> Elsewhere:
    """A folder, written to as the agent would, in the agent's place."""
    return Elsewhere(DiskTarget(base / "inside"), base / "host", base / "inside")


@asynccontextmanager
async def opened(base: Path) -> AsyncIterator[Both]:
    """Both sides, alike: `a` with six lines, `d/b`, a link."""
    both = Both(base, on_disk(base))
    (both.host / "a").write_text(SIX)
    (both.host / "d").mkdir()
    (both.host / "d" / "b").write_text("b\n")
    (both.host / "link").symlink_to("a")
    await both.open()
    try:
        await both.mirror.flush(both.live)
        yield both
    finally:
        await both.close()


SIX = "one\ntwo\nthree\nfour\nfive\nsix\n"


def plain(found: Tree) -> dict[str, tuple[str, bytes]]:
    """Files and links: what holds contents."""
    return {path: (kind, data) for path, (kind, _, data) in found.items() if kind != "dir"}


class Oracle(Both):
    """Looks on, and says when something was lost, or differs and is not told."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.had: defaultdict[str, set[tuple[str, bytes]]] = defaultdict(set)
        """What the host ever had at a path, on disk or in an editor."""
        self.runs: dict[str, Tree] = {}
        """Per run what was inside before it."""
        self._renamed: frozenset[str] = frozenset()
        """Old paths of renames that may come home now."""

    def note(self) -> None:
        """Whatever is on the host now may be overwritten inside: it came from there."""
        for path, content in plain(tree(self.host)).items():
            self.had[path].add(content)
        for path, text in self.buffers.items():
            self.had[path].add(("file", text.encode()))

    def edit(self, step: Callable[[Oracle], None]) -> None:
        self.note()
        with suppress(OSError, shutil.Error):
            step(self)
        self.note()

    async def watched(self, act: Callable[[], Awaitable[Any]]) -> tuple[Any, Tree, Tree, Tree, Tree]:
        host, inside = tree(self.host), tree(self.inside)
        result = await act()
        return result, host, tree(self.host), inside, tree(self.inside)

    async def flush(self) -> None:
        """Only what came from the host is written over inside, or merged with what the host has now."""
        _, host, host_after, inside, inside_after = await self.watched(lambda: self.mirror.flush(self.live))
        assert host_after == host, "a flush wrote on the host"
        self._nothing_lost(inside, inside_after, set())

    def _nothing_lost(self, before: Tree, after: Tree, given_up: set[str]) -> None:
        now = plain(after)
        for path, content in plain(before).items():
            if now.get(path) == content or content in self.had[path] or path in given_up:
                continue
            assert path in now, f"{path} is gone from inside, and {content} was only there"
            outside = [data for kind, data in self.had[path] if kind == "file"]
            merges = {merge(base, ours, content[1]) for base in [b"", *outside] for ours in outside}
            assert (now[path][1], True) in merges, f"{path}: {content} was written over by {now[path]}"

    async def apply_all(self, yes: bool) -> None:
        await self.flush()
        self._renamed = frozenset(change.old_path for change in await self.list() if change.old_path)
        await self._apply(lambda: self.apply(all=True, yes=tuple(self.paths()) if yes else ()))
        self._renamed = frozenset()

    async def _apply(self, act: Callable[[], Awaitable[c.ChangesApplied]]) -> c.ChangesApplied:
        self.note()
        done, host, host_after, inside, inside_after = await self.watched(act)
        self._nothing_lost(inside, inside_after, set())
        touched = set(done.applied)
        for path in host.keys() | host_after.keys():
            if host.get(path) != host_after.get(path) and path not in touched and path not in self._renamed:
                folder = "dir" in (host.get(path, ("",))[0], host_after.get(path, ("",))[0])
                assert folder, (
                    f"{path} changed on the host, and nobody said so: {host.get(path)} {host_after.get(path)}"
                )
        self.note()
        return cast(c.ChangesApplied, done)

    def paths(self) -> set[str]:
        return tree(self.inside).keys() | tree(self.host).keys()

    async def pick(self, number: int, how: str, stale: Callable[[Oracle], None] | None) -> None:
        """Act on one change as it is listed; `stale`: one side changes between the look and the act."""
        await self.flush()
        found = await self.list(hunks=True)
        if not found:
            return
        change = found[number % len(found)]
        self._renamed = frozenset({change.old_path} if change.old_path else set())
        pick = c.Pick(path=change.path, version=change.version)
        if how == "hunks" and change.hunks:
            chosen = tuple(hunk.id for at, hunk in enumerate(change.hunks) if (number + at) % 2)
            pick = pick.model_copy(update={"hunks": chosen})
        if how == "merged":
            pick = pick.model_copy(update={"take": c.Side.MERGED})
        if stale is not None:
            self.edit(stale)
        if how.startswith("discard"):
            await self._discard(pick, change)
        else:
            await self._apply(lambda: self.apply(picks=(pick,), yes=(change.path,)))
        self._renamed = frozenset()

    async def _discard(self, pick: c.Pick, change: c.Change) -> None:
        self.note()
        act = lambda: self.discard(picks=(pick,))  # noqa: E731
        done, host, host_after, inside, inside_after = await self.watched(act)
        assert host == host_after, "discarding wrote on the host"
        given_up = {*done.applied, change.old_path or ""} if done.applied else set()
        self._nothing_lost(inside, inside_after, given_up)

    async def run(self, steps: list[Callable[[Oracle], None]]) -> None:
        """A run that changes things inside."""
        await self.flush()
        name = f"run_{len(self.runs)}"
        await self.review.settled()
        self.runs[name] = tree(self.inside)
        for step in steps:
            self.edit(step)
        self.review._due.append(name)
        await self.review.settled()

    async def go_back(self, number: int) -> None:
        """Before a run: what is there then is what was, or what the host has."""
        names = [name for name in self.runs if self.review.history.of_run(name)]
        if not names:
            return
        name = names[number % len(names)]
        await self.flush()
        self.note()
        done, host, host_after, inside, inside_after = await self.watched(lambda: self.rewind(name))
        assert host == host_after, "going back wrote on the host"
        self._nothing_lost(inside, inside_after, set(done.applied))
        left = {one.path for one in done.left}
        was, now, outside = plain(self.runs[name]), plain(inside_after), plain(host)
        for path in set(done.applied) - left:
            good = [was.get(path), outside.get(path), *(self.had[path] if path in self.buffers else ())]
            assert now.get(path) in good, f"{path}: {now.get(path)}, not what it was: {was.get(path)}"

    async def check(self) -> None:
        """Every path is alike, or a change, or a conflict."""
        await self.flush()
        listed = await self.list()
        host, inside = tree(self.host), tree(self.inside)
        for path, text in self.buffers.items():
            # A text cannot be where something other than a folder stands in its way.
            above = {host[parent][0] for parent in map(str, Path(path).parents) if parent in host}
            if above <= {"dir"} and host.get(path, ("file",))[0] == "file":
                host[path] = ("file", host.get(path, ("", 0o644))[1], text.encode())
        told = {path for change in listed for path in (change.path, change.old_path) if path}
        for path in host.keys() | inside.keys():
            if host.get(path) == inside.get(path) or path in told:
                continue
            above_it = list(map(str, Path(path).parents))[:-1]
            if any(parent in told and inside.get(parent, ("dir",))[0] != "dir" for parent in above_it):
                continue  # the sandbox has something else in the folder's place, which is told
            if any(parent in self._out for parent in [path, *map(str, Path(path).parents)]):
                continue
            if host.get(path, ("dir",))[0] == inside.get(path, ("dir",))[0] == "dir":
                # Of folders only empty ones are told of, and modes if both have it.
                below = [other for other in told if other.startswith(path + "/")]
                alone = path in host and path in inside
                full = any(other.startswith(path + "/") for other in (inside if path in inside else host))
                assert alone or below or full, f"the folder {path} is on one side only, and nobody says so"
                if not alone:
                    continue
            raise AssertionError(f"{path} differs, and nobody says so: {host.get(path)} | {inside.get(path)}")
        alike = [path for path in told if path in host and host.get(path) == inside.get(path)]
        assert not alike, f"told of, and alike: {alike}"
        left = [path for path in (*host, *inside) if path.rpartition("/")[2].startswith(".continue-exec-")]
        assert not left, f"left behind: {left}"

    @property
    def _out(self) -> set[str]:
        """Secrets of the host stay out."""
        return {path for path in tree(self.host) if path.rpartition("/")[2] == ".env"}


def lose(path: Path, how: str) -> None:
    """A file of the engine's is lost or torn."""
    if how == "lost":
        path.unlink(missing_ok=True)
    elif path.exists():
        data = path.read_bytes()
        path.write_bytes(data[: len(data) - len(data) // 3])


def remove(path: Path) -> None:
    """A file, a link, a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
