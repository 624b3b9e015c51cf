"""What every driver offers. To add a driver: a module with a class that satisfies `Driver`, an entry in `app.py`,
its name in tests/contract/test_driver.py, a page in docs/reference/drivers.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

from ..model import Limits


class Capability(StrEnum):
    """What a driver can do beyond create, start, connect, stop and destroy. What is absent is refused with a hint."""

    LIMIT_MEMORY = "limit-memory"
    LIMIT_CPU = "limit-cpu"
    LIMIT_PROCESSES = "limit-processes"
    PAUSE = "pause"
    FIRST_FILES = "first-files"
    """A sandbox that has never run can be filled on the host (`Fill`)."""
    WORKSPACE_FILES = "workspace-files"
    """The workspace's files inside can be read on the host (`workspace_files`): what review needs."""
    COPY = "copy"
    """A second sandbox can be made with the files of a first (`copy`, `files`)."""
    SNAPSHOT_MEMORY = "snapshot-memory"
    """All that runs can be saved and go on later, after a reboot too (`save_memory`)."""
    BINDS = "binds"
    """`SandboxSpec.binds` are shown; without it they are ignored."""


@dataclass(frozen=True)
class Check:
    """One precondition of the host, as `continue-exec doctor` shows it."""

    name: str
    """Short and stable: `runsc`, `platform`, `user-namespaces`, `cgroups`, ..."""
    status: Literal["ok", "warning", "failed"]
    """`failed`: nothing runs. `warning`: runs, with less (said in `message`)."""
    message: str
    """What was found, with versions and paths."""
    remedy: str = ""
    """What to type to mend it; empty when ok."""


@dataclass(frozen=True)
class Bind:
    """A folder of the host that is seen inside, read-only by the host's own kernel, as it is at any moment.

    One that is not there (any more) is an empty folder inside; that fails no start.
    """

    source: Path
    name: str
    """Inside it is BIND_DIR/name (protocol/agent.py)."""
    hidden: tuple[str, ...] = ()
    """Files in it, relative, that are seen empty."""


@dataclass(frozen=True)
class SandboxSpec:
    """Everything a driver needs to make a sandbox. Paths are absolute."""

    sandbox_id: str
    folder: Path
    """The sandbox's own folder on the host (0700): the driver keeps everything that must survive a reboot in it."""
    sockets: Path
    """Host folder bound read-only to /run/continue-exec inside: others make `agent.sock` and `egress.sock` there."""
    workspace: Path
    """Same path inside. The driver makes it as a folder; the mirror fills it, by `Fill` or through the agent."""
    agent: Path
    """The agent's binary on the host."""
    limits: Limits = field(default_factory=Limits)
    binds: tuple[Bind, ...] = ()
    """Needs Capability.BINDS. Fixed from one start to the next."""


@dataclass(frozen=True)
class Machine:
    """A sandbox that is up: its agent waits at the doorbell."""

    sandbox_id: str
    doorbell: Path
    """FIFO of the agent's stdin."""
    log: Path
    """File of the agent's and the driver's words."""
    env: dict[str, str]
    """Base environment of every run: PATH with the template's toolchains, HOME, LANG, proxies."""
    isolation: str
    """`gvisor`, or the name of the weaker thing it is."""
    rootless: bool
    pid: int
    """A host process that lives exactly as long as the sandbox."""


class Fill(Protocol):
    """Writes a sandbox's first files, where they lie on the host."""

    async def __call__(self, place: Callable[[Path], Path | None], /) -> None:
        """Called by `start` once, before anything can have run in the sandbox or can look at its files.

        Args:
            place: from an absolute path inside to the folder of the host that will be it, made with what lies above it
                (modes as inside, else 0755); None if there is none, as where the machine's own files are. What is
                written there is the sandbox's root's, with the permissions that it has on the host.
        """
        ...


Bell = Callable[[Path], None]
"""Called by `start` with the agent's doorbell, while the sandbox boots: what is written to it from then on reaches the
agent, if there will be one."""


class Driver(Protocol):
    """A place where sandboxes live. All methods may be called from the event loop; none blocks it."""

    name: str

    async def check(self) -> list[Check]:
        """Every precondition, mended or not. Never raises for what is missing."""
        ...

    def capabilities(self) -> frozenset[Capability]:
        """What this driver can do on this host, as this user."""
        ...

    async def start(
        self, spec: SandboxSpec, fill: Fill | None = None, bell: Bell | None = None, memory: Path | None = None
    ) -> Machine:
        """Make the sandbox if `spec.folder` is empty, then boot it. Files of an earlier boot are as they were.

        With Capability.FIRST_FILES, `fill` is called if the sandbox has never been booted, again if an earlier try was
        interrupted, and then nothing of that try is left. What it raises, this raises. `bell` may be called or not.

        With Capability.SNAPSHOT_MEMORY, `memory` may name what `save_memory` wrote, of this sandbox or of one whose
        files this one has: then all that ran goes on. The files must be what they were then.

        A boot that fails leaves no process, no mount, and the files untouched.

        Raises:
            HostUnready: a precondition is missing (fail closed).
            DiskFull: no room.
            SandboxFailed: it did not come up; `data["log"]` names the log. Or `memory` does not fit this host.
        """
        ...

    async def connect(self, spec: SandboxSpec) -> Machine | None:
        """The machine, if it is still up from an earlier engine; None if it is not."""
        ...

    def workspace_files(self, spec: SandboxSpec) -> tuple[Path, str]:
        """Where the workspace's files inside lie on the host, whether it runs or not. Needs Capability.WORKSPACE_FILES.

        Returns a folder of this user's own, and the path below it, of which code inside may have written every part.
        """
        ...

    async def save_memory(self, spec: SandboxSpec, image: Path) -> None:
        """Write all that runs into the folder `image`, for `start`, and end it. The agent must have hung up.

        Needs Capability.SNAPSHOT_MEMORY.

        Raises:
            DiskFull, SandboxFailed: there is no image. The sandbox may have ended; its files are as they were.
        """
        ...

    async def copy(self, spec: SandboxSpec, other: SandboxSpec) -> None:
        """Give `other`, which has never been started, the files of `spec`, which may run meanwhile: it is held still.

        Needs Capability.COPY.

        Raises:
            DiskFull, SandboxFailed: `other` is not to be used; destroy it.
        """
        ...

    def move(self, spec: SandboxSpec, other: SandboxSpec) -> None:
        """Give the files of `spec`, which is stopped, to `other`, which is stopped and loses its own.

        A crash in between leaves one of the two sets of files, which the next `start` of `other` finds. Needs
        Capability.COPY.
        """
        ...

    def files(self, spec: SandboxSpec) -> dict[str, tuple[int, ...]]:
        """What was ever written in the sandbox: absolute path inside → numbers that change when the file does.

        A deletion of what the template has is a file of mode `S_IFCHR`. Blocks: some microseconds a file. The machine
        must not be writing (paused, or stopped). Needs Capability.COPY.
        """
        ...

    def pause(self, spec: SandboxSpec) -> None:
        """Take the CPU from a machine that is up; takes microseconds. Needs Capability.PAUSE."""
        ...

    def resume(self, spec: SandboxSpec) -> None:
        """Give it back; takes microseconds. A machine that is not paused stays as it is. `connect` does it, too."""
        ...

    async def stop(self, spec: SandboxSpec) -> None:
        """End every process and release every mount; files stay. Nothing to do is success."""
        ...

    async def destroy(self, spec: SandboxSpec) -> None:
        """Stop, then delete the folder's contents. Nothing to do is success."""
        ...
