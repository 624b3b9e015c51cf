"""A sandbox that is up, with everything the engine holds for it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import BinaryIO

from ..agent.connection import AgentConnection
from ..drivers.base import Machine, SandboxSpec
from ..errors import Conflict, ContinueExecError
from ..mirror.batch import NOTHING
from ..mirror.git.fetch import GitInside
from ..mirror.git.inside import Said
from ..mirror.mirror import Mirror
from ..mirror.state import digest
from ..model import Sandbox
from ..network.proxy import Decision, EgressProxy
from ..protocol.agent import FileStat, PushItem, PushResult
from ..protocol.methods import SyncResult
from ..tasks import Tasks
from .commands import command
from .review import Review
from .streams import ActiveRun

CLOCK_TICKS = 100
"""A second, in gVisor as in Linux (USER_HZ)."""

CONTACTS = 1000
"""Hosts remembered of a sandbox; code inside chooses their names."""

LOOKS = 32
"""Questions to the agent at a time: one after the other, each costs the way there and back."""


@dataclass(eq=False)
class Live:
    """One running sandbox. `agent` is replaced when the connection was lost and found again."""

    sandbox: Sandbox
    spec: SandboxSpec
    machine: Machine
    agent: AgentConnection
    mirror: Mirror
    egress: EgressProxy
    env: dict[str, str]
    """Base environment of every run."""
    review: Review | None = None
    """None: the driver keeps no copy of the workspace."""
    git: GitInside | None = None
    """Brings the host's repositories inside and commits home; None: they stay out."""
    runs: dict[str, ActiveRun] = field(default_factory=dict)
    programs: dict[str, str | None] = field(default_factory=dict)
    """Programs looked for inside, and where they are."""
    versions: dict[str, tuple[int, ...] | None] = field(default_factory=dict)
    """Versions of programs inside, by path."""
    tasks: Tasks = field(default_factory=lambda: Tasks("sandbox"))
    """Its guard and its live mirror."""
    contacts: dict[tuple[str, int, bool], int] = field(default_factory=dict)
    """Host, port and whether it was allowed → requests, since the engine has had the sandbox."""
    losses: list[float] = field(default_factory=list)
    """When the connection to the agent was lost, lately (time.monotonic)."""
    news: list[tuple[str, str]] = field(default_factory=list)
    """What its next run is to tell the user, by code and in words."""
    ticks: tuple[float, float] = (0.0, 0.0)
    """Seconds of CPU that its processes had used when it was last looked at, and when that was (time.monotonic)."""
    paused: bool = False
    """It has no CPU: nothing may be asked of its agent before `Sandboxes.wake`."""
    stopping: bool = False

    @property
    def workspace(self) -> str:
        """Its workspace's path, the same inside and outside."""
        return self.sandbox.workspace.path

    async def push(self, root: str, items: Iterable[PushItem]) -> PushResult:
        """The mirror's target."""
        return await self.agent.push(root, items)

    async def look(self, root: str, paths: Iterable[str]) -> dict[str, str]:
        """What stands inside, for the mirror (`Target.look`)."""
        turns = asyncio.Semaphore(LOOKS)

        async def one(path: str) -> tuple[str, str]:
            async with turns:
                return path, _was(await self.agent.stat(f"{root}/{path}"))

        return dict(await asyncio.gather(*map(one, paths)))

    async def flush(self) -> SyncResult:
        """Everything on the host's disk and in editors' buffers up to now is inside when this returns."""
        result = await self.mirror.flush(self)
        notes = await self.git.sync.bring_in(self) if self.git is not None else ()
        return result.model_copy(update={"notes": (*result.notes, *notes)}) if notes else result

    async def stat(self, path: str) -> FileStat:
        """For Git inside: lstat."""
        return await self.agent.stat(path)

    async def list(self, path: str) -> tuple[FileStat, ...]:
        """For Git inside: entries of a folder."""
        return await self.agent.list(path)

    def read(self, path: str, offset: int = 0, length: int = -1) -> AsyncIterator[bytes]:
        """For Git inside: a file's bytes."""
        return self.agent.read(path, offset, length)

    async def command(
        self,
        argv: tuple[str, ...],
        cwd: str,
        *,
        input: bytes = b"",
        into: BinaryIO | None = None,
        limit: int = 1 << 20,
        timeout_s: float = 30.0,
    ) -> Said:
        """For Git inside: a command of ours, not a run."""
        return await command(self.agent, argv, cwd, self.env, input=input, into=into, limit=limit, timeout_s=timeout_s)

    def touch(self) -> None:
        """A request concerned it."""
        self.sandbox = self.sandbox.model_copy(update={"used_at": time.time()})

    def decided(self, decision: Decision) -> None:
        """Something inside asked for a host."""
        contact = (decision.host, decision.port, decision.allowed)
        if contact in self.contacts or len(self.contacts) < CONTACTS:
            self.contacts[contact] = self.contacts.get(contact, 0) + 1
        if not decision.allowed:
            self._refused(decision)

    def _refused(self, decision: Decision) -> None:
        """Tell the active runs that policy refused a host: which of them asked is not known yet."""
        key = (decision.host, decision.port)
        for active in self.runs.values():
            if key not in active.refused:
                active.refused.add(key)
                active.notice("egress_refused", f"{decision.host}:{decision.port} was refused: {decision.reason}.")

    def check_no_runs(self, what: str) -> None:
        """Before `what`, which would end every run.

        Raises:
            Conflict: some are active.
        """
        if self.runs:
            raise Conflict(
                f"{len(self.runs)} runs are active in the sandbox; {what} would end them",
                hint="Wait for them, or end them: `continue-exec ps` lists them, `continue-exec kill ID` ends one.",
            )

    async def process_count(self) -> int:
        """Processes inside, the agent not counted."""
        found = await self.agent.list("/proc")
        return sum(entry.path.rpartition("/")[2].isdigit() for entry in found) - 1

    async def cpu_share(self) -> float:
        """Cores that its processes used, the agent not counted, since this was last asked; 0 the first time."""
        used = 0.0
        for entry in await self.agent.list("/proc"):
            pid = entry.path.rpartition("/")[2]
            if pid.isdigit() and pid != "1":
                used += await self._cpu_of(pid)
        now = time.monotonic()
        (before, then), self.ticks = self.ticks, (used, now)
        return max(0.0, used - before) / (now - then) if then and now > then else 0.0

    async def _cpu_of(self, pid: str) -> float:
        stat = b""
        try:
            async for piece in self.agent.read(f"/proc/{pid}/stat"):
                stat += piece
            # After the name, which may hold anything: state is field 3, utime and stime are 14 and 15 (proc(5)).
            fields = stat.rpartition(b")")[2].split()
            return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS
        except (ContinueExecError, ValueError, IndexError):
            return 0.0  # it has ended

    async def which(self, program: str) -> str | None:
        """Where a program is inside, by the PATH of its runs; what was found is remembered."""
        if self.programs.get(program) is None:
            self.programs[program] = None
            for folder in self.env.get("PATH", "").split(":"):
                path = f"{folder}/{program}"
                found = await self.agent.stat(path)
                if found.kind == "symlink" or (found.kind == "file" and found.mode & 0o111):
                    self.programs[program] = path
                    break
        return self.programs[program]


def _was(found: FileStat) -> str:
    match found.kind:
        case "missing":
            return NOTHING
        case "file":
            return f"f:{found.size}:{found.mtime_ns}:{found.mode & 0o7777:o}"
        case "symlink":
            return f"l:{digest(os.fsencode(found.target)).hex()}"
        case "dir":
            return "d"
    return "other"
