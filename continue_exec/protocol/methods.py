"""Engine ↔ door: the method table. Every door offers these and nothing else.

A method is `noun.verb`; it lives in the engine module of the same noun. Over HTTP it is `POST /v1/noun.verb`
on the engine's socket with JSON parameters; the answer is the JSON result, or an error object with its status.
A method with `stream=True` answers with events until the run ends: NDJSON, or frames when asked for with
`Accept: application/vnd.continue-exec.frames`.

To add one: parameter and result models here, an entry in METHODS, a function in the engine, a row in
docs/reference/methods.md, `scripts/generate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from ..model import Model, Run, Sandbox, Snapshot, TerminalSize, Workspace
from . import changes as c
from . import snapshots as sn
from .refs import RunRef as RunRef
from .refs import WorkspaceRef as WorkspaceRef

FRAMES_TYPE = "application/vnd.continue-exec.frames"
NDJSON_TYPE = "application/x-ndjson"


class Nothing(Model):
    """No parameters, or no result."""


class Buffer(Model):
    """An editor's unsaved text: it is what runs, until it is saved or closed."""

    path: str
    text: str | None = Field(description="null: the file on disk counts again")


class BuffersSet(Model):
    """Set or clear unsaved buffers of one client."""

    client: str = Field(description="of this door")
    pid: int | None = Field(default=None, gt=0, description="process of this door: its buffers go when it does")
    workspace: WorkspaceRef | None = Field(default=None, description="that holds them; default: found for each path")
    buffers: tuple[Buffer, ...]


class RunStart(Model):
    """Start a command: `argv`, or `code`, or `file`; beside the latter two `argv` are arguments."""

    workspace: WorkspaceRef
    argv: tuple[str, ...] = ()
    code: str | None = Field(default=None, description="a snippet; `language` says which")
    language: str | None = None
    file: str | None = Field(default=None, description="run this file of the workspace by its language")
    cwd: str | None = Field(default=None, description="absolute, inside the workspace; default: its root")
    env: dict[str, str] = {}
    timeout_s: float | None = Field(default=None, gt=0, description="TERM, grace, KILL after this many seconds")
    stdin: bool = False
    tty: TerminalSize | None = None
    sync: bool = Field(
        default=True, description="false: run with what is inside, even if it cannot be brought up to date"
    )
    title: str = ""
    client: str = ""
    preview: bool = Field(
        default=False, description="in a throwaway copy of the sandbox, to be kept or discarded: `preview.*`"
    )


class RunFollow(Model):
    """Follow a run's events."""

    run_id: str
    after: int = Field(default=0, ge=0, description="events up to this `seq` are not sent again")
    wait: bool = Field(default=True, description="false: end with the newest event there is")


class RunStdin(Model):
    """Bytes to a run's standard input. Text is sent as UTF-8."""

    run_id: str
    text: str = ""
    base64: str = ""
    eof: bool = False


class RunSignal(Model):
    """Send a signal to the run's whole process tree."""

    run_id: str
    signal: int = Field(ge=1, le=64)


class RunCancel(Model):
    """TERM to the whole tree, KILL after the grace; answers when nothing of the run is left."""

    run_id: str
    grace_s: float = Field(default=2.0, ge=0, le=60)


class RunResize(Model):
    """New size of a run's terminal."""

    run_id: str
    size: TerminalSize


class RunListQuery(Model):
    """Which runs to list, newest first."""

    workspace: WorkspaceRef | None = None
    active: bool = Field(default=False, description="only those that have not ended")
    limit: int = Field(default=50, ge=1, le=1000)


class RunList(Model):
    """Runs, newest first."""

    runs: tuple[Run, ...]


class SandboxRef(Model):
    """Names a sandbox: by id (or a unique prefix), or by its workspace."""

    sandbox_id: str | None = None
    workspace: WorkspaceRef | None = None


class SandboxList(Model):
    """Sandboxes, last used first."""

    sandboxes: tuple[Sandbox, ...]


class SyncResult(Model):
    """What a flush of the mirror brought in."""

    files: int
    bytes: int
    deleted: int
    duration_ms: float
    left_out: tuple[str, ...] = Field(
        default=(), description="secrets, unreadable and special files, each as `path (why)`, at most 100"
    )
    notes: tuple[str, ...] = Field(default=(), description="what is not as usual, in words, such as git's refusal")


class Language(Model):
    """A language that snippets and files can be written in."""

    id: str
    aliases: tuple[str, ...]
    extensions: tuple[str, ...]


class LanguageList(Model):
    """The table of languages."""

    languages: tuple[Language, ...]


class CheckResult(Model):
    """One precondition of the host."""

    name: str
    status: Literal["ok", "warning", "failed"]
    message: str
    remedy: str = ""


class DoctorReport(Model):
    """Every precondition, and what follows."""

    checks: tuple[CheckResult, ...]
    ready: bool


class EngineStatus(Model):
    """The engine."""

    version: str
    protocol: int
    pid: int
    started_at: float
    home: str
    socket: str
    sandboxes: int
    active_runs: int
    log: str


class EngineStop(Model):
    """End the engine. Sandboxes and their runs go on and are adopted by the next one."""

    force: bool = Field(default=False, description="also while runs are active")


@dataclass(frozen=True)
class Method:
    """One row of the table."""

    params: type[Model]
    result: type[Model]
    doc: str
    stream: bool = False


METHODS: dict[str, Method] = {
    "engine.status": Method(Nothing, EngineStatus, "The engine's version, process and load."),
    "engine.stop": Method(EngineStop, Nothing, "End the engine; sandboxes and runs go on."),
    "engine.doctor": Method(Nothing, DoctorReport, "Check every precondition of the host."),
    "workspace.resolve": Method(WorkspaceRef, Workspace, "Which workspace a path belongs to."),
    "workspace.sync": Method(WorkspaceRef, SyncResult, "Flush the mirror: the sandbox holds what the host holds."),
    "workspace.buffers": Method(BuffersSet, Nothing, "Set or clear unsaved buffers."),
    "sandbox.ensure": Method(WorkspaceRef, Sandbox, "The workspace's sandbox, made and started if need be."),
    "sandbox.get": Method(SandboxRef, Sandbox, "One sandbox."),
    "sandbox.list": Method(Nothing, SandboxList, "Every sandbox of this user."),
    "sandbox.stop": Method(SandboxRef, Sandbox, "End its processes; files stay."),
    "sandbox.remove": Method(SandboxRef, Nothing, "Delete it with all its files."),
    "run.start": Method(RunStart, Run, "Start a command and answer at once."),
    "run.stream": Method(RunStart, Nothing, "Start a command and follow it in the same answer.", stream=True),
    "run.follow": Method(RunFollow, Nothing, "Follow a run from an event on.", stream=True),
    "run.stdin": Method(RunStdin, Nothing, "Write to its standard input."),
    "run.signal": Method(RunSignal, Nothing, "Signal its process tree."),
    "run.cancel": Method(RunCancel, Run, "End it for certain."),
    "run.resize": Method(RunResize, Nothing, "Tell its terminal's size."),
    "run.get": Method(RunRef, Run, "One run."),
    "run.list": Method(RunListQuery, RunList, "Runs, newest first."),
    "run.changes": Method(RunRef, c.RunChanges, "What a run changed in the workspace."),
    "changes.list": Method(c.ChangesQuery, c.ChangeList, "What the sandbox has otherwise than the host."),
    "changes.content": Method(c.ContentQuery, c.Content, "One side's version of a path."),
    "changes.apply": Method(c.ChangesApply, c.ChangesApplied, "Bring changes home, to the host's files."),
    "changes.propose": Method(c.ChangesApply, c.ChangesProposed, "The same as edits, for an editor to make."),
    "changes.discard": Method(c.ChangesApply, c.ChangesApplied, "Set paths inside to what the host has."),
    "changes.rewind": Method(c.Rewind, c.ChangesApplied, "Set the workspace inside to what it was before a run."),
    "git.fetch": Method(WorkspaceRef, c.GitRefs, "Bring commits made inside home, as refs/continue-exec/SANDBOX/*."),
    "preview.show": Method(RunRef, c.Preview, "What a preview run did."),
    "preview.keep": Method(RunRef, Sandbox, "Make the copy that a preview run ran in the workspace's sandbox."),
    "preview.discard": Method(RunRef, Nothing, "Throw the copy away."),
    "snapshot.create": Method(
        sn.SnapshotCreate, Snapshot, "Save a workspace's sandbox: its files, or all that runs too."
    ),
    "snapshot.list": Method(sn.SnapshotQuery, sn.SnapshotList, "Snapshots, newest first."),
    "snapshot.get": Method(sn.SnapshotRef, Snapshot, "One snapshot."),
    "snapshot.rename": Method(sn.SnapshotRename, Snapshot, "Give a snapshot another name."),
    "snapshot.restore": Method(sn.SnapshotRef, Sandbox, "Make the sandbox what it was; what it is now is saved first."),
    "snapshot.remove": Method(sn.SnapshotRef, Nothing, "Delete a snapshot."),
    "language.list": Method(Nothing, LanguageList, "Languages that snippets and files can be written in."),
}
