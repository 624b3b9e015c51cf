"""The nouns: Workspace, Template, Sandbox, Snapshot, Run, Job.

Frozen pydantic models, used as they are on the wire (snake_case JSON). Times are seconds since the
epoch (float, UTC). Sizes are bytes. States and their legal transitions are one table per noun.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from .errors import Conflict


class Model(BaseModel):
    """Base of everything on the wire: frozen; unknown fields are ignored so that an older peer can read a newer one."""

    model_config = ConfigDict(frozen=True, extra="ignore")


State = TypeVar("State", bound=StrEnum)


class Transitions(Generic[State]):
    """A noun's legal changes of state, checked in one place."""

    def __init__(self, noun: str, table: dict[State, set[State]]) -> None:
        self.noun = noun
        self.table = table

    def check(self, old: State, new: State) -> State:
        """Return `new` if `old` may become it.

        Raises:
            Conflict: the change is not in the table.
        """
        if new != old and new not in self.table[old]:
            raise Conflict(f"A {self.noun} that is {old} cannot become {new}.")
        return new

    def is_final(self, state: State) -> bool:
        """Whether nothing follows `state`."""
        return not self.table[state]


class Workspace(Model):
    """A host folder and its trust. It has the same absolute path inside its sandbox."""

    id: str = Field(description="`ws_` and 12 hex digits, derived from the path")
    path: str = Field(description="absolute, links resolved")
    trusted: bool = Field(default=False, description="whether the user trusts the folder's own settings")


class Template(Model):
    """A recipe for a machine."""

    name: str = Field(description="`host`: this machine's toolchains beneath a private writable layer")
    driver: str = Field(description="which driver builds it: `runsc`")


class SandboxState(StrEnum):
    """States of a Sandbox."""

    CREATING = "creating"
    RUNNING = "running"
    STANDBY = "standby"
    """All that runs in it is on disk; the next request wakes it."""
    STOPPED = "stopped"
    FAILED = "failed"
    REMOVED = "removed"


SANDBOX_TRANSITIONS = Transitions(
    "sandbox",
    {
        SandboxState.CREATING: {SandboxState.RUNNING, SandboxState.FAILED, SandboxState.REMOVED},
        SandboxState.RUNNING: {
            SandboxState.STANDBY,
            SandboxState.STOPPED,
            SandboxState.FAILED,
            SandboxState.REMOVED,
        },
        SandboxState.STANDBY: {
            SandboxState.CREATING,
            SandboxState.STOPPED,
            SandboxState.FAILED,
            SandboxState.REMOVED,
        },
        SandboxState.STOPPED: {SandboxState.CREATING, SandboxState.STANDBY, SandboxState.REMOVED},
        SandboxState.FAILED: {SandboxState.CREATING, SandboxState.REMOVED},
        SandboxState.REMOVED: set(),
    },
)


class Limits(Model):
    """What a sandbox may use of the host. None: no limit of ours."""

    memory_bytes: int | None = Field(default=None, description="of all its processes together")
    cpus: float | None = Field(default=None, description="cores")
    processes: int | None = Field(default=4096, description="processes and threads inside")


class Sandbox(Model):
    """One persistent machine for one Workspace."""

    id: str = Field(description="`sb_` and 12 hex digits")
    workspace: Workspace
    template: str
    driver: str
    isolation: str = Field(description="what stands between its code and the host, as shown to the user: `gvisor`")
    rootless: bool = Field(default=False, description="runs in a user namespace of an ordinary user")
    state: SandboxState
    reason: str = Field(default="", description="why it is in that state, in words")
    limits: Limits = Limits()
    created_at: float
    used_at: float = Field(description="last request that concerned it")
    snapshot_id: str | None = Field(default=None, description="what it was last saved as or restored from")


class Snapshot(Model):
    """A saved Sandbox: its files, or files and memory."""

    id: str = Field(description="`snap_` and 12 hex digits")
    sandbox_id: str
    workspace: str = Field(description="path")
    name: str = Field(description="unique in its workspace")
    memory: bool = Field(default=False, description="with all that ran")
    parent_id: str | None = Field(default=None, description="what the sandbox had last been saved as or restored from")
    size_bytes: int = Field(default=0, description="on disk; blocks that are shared with others are counted")
    created_at: float


class RunState(StrEnum):
    """States of a Run."""

    STARTING = "starting"
    RUNNING = "running"
    EXITED = "exited"
    FAILED = "failed"
    LOST = "lost"


RUN_TRANSITIONS = Transitions(
    "run",
    {
        RunState.STARTING: {RunState.RUNNING, RunState.EXITED, RunState.FAILED, RunState.LOST},
        RunState.RUNNING: {RunState.EXITED, RunState.LOST},
        RunState.EXITED: set(),
        RunState.FAILED: set(),
        RunState.LOST: set(),
    },
)


class TerminalSize(Model):
    """A terminal's size in character cells."""

    rows: int = Field(ge=1, le=65535)
    cols: int = Field(ge=1, le=65535)


class Usage(Model):
    """What a run's process tree used, as wait4(2) reports it."""

    user_ms: int = 0
    system_ms: int = 0
    max_rss_bytes: int = 0


class Run(Model):
    """One command in a Sandbox."""

    id: str = Field(description="`run_` and 12 hex digits")
    sandbox_id: str
    argv: tuple[str, ...]
    cwd: str
    title: str = Field(default="", description="what a person calls it: `tests/test_a.py`, `selection of main.py`")
    tty: TerminalSize | None = None
    timeout_s: float | None = Field(default=None, description="after this it is cancelled")
    state: RunState
    exit_code: int | None = Field(default=None, description="of the command; 128 + signal if one ended it")
    signal: int | None = Field(default=None, description="number of the signal that ended it")
    reason: str = Field(default="", description="why it ended, when not by itself: `cancelled`, `timeout`, ...")
    usage: Usage | None = None
    last_seq: int = Field(default=0, description="number of its newest event")
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None


class Job(Model):
    """One command on a Pool."""

    id: str
    pool: str
    argv: tuple[str, ...]
    created_at: float
