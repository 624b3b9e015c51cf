"""What every driver offers. To add a driver: a module with a class that satisfies `Driver`, an entry in `app.py`,
its name in tests/contract/test_driver.py, a page in docs/reference/drivers.md."""

from __future__ import annotations

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
    SNAPSHOT_FILES = "snapshot-files"
    SNAPSHOT_MEMORY = "snapshot-memory"
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
    """Same path inside. The driver makes it as an empty folder; the mirror fills it through the agent."""
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


class Driver(Protocol):
    """A place where sandboxes live. All methods may be called from the event loop; none blocks it."""

    name: str

    async def check(self) -> list[Check]:
        """Every precondition, mended or not. Never raises for what is missing."""
        ...

    def capabilities(self) -> frozenset[Capability]:
        """What this driver can do on this host, as this user."""
        ...

    async def start(self, spec: SandboxSpec) -> Machine:
        """Make the sandbox if `spec.folder` is empty, then boot it. Files of an earlier boot are as they were.

        A boot that fails leaves no process, no mount, and the files untouched.

        Raises:
            HostUnready: a precondition is missing (fail closed).
            DiskFull: no room.
            SandboxFailed: it did not come up; `data["log"]` names the log.
        """
        ...

    async def connect(self, spec: SandboxSpec) -> Machine | None:
        """The machine, if it is still up from an earlier engine; None if it is not."""
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
