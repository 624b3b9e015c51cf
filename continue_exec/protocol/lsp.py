"""Editor sidecar ↔ editor: the `continueExec/*` messages that `continue-exec lsp` adds to LSP 3.17.

Two rules decide every name on this wire:
    the parameters and results defined here are camelCase, as LSP itself is (`runId`, `timeoutS`);
    nouns, events and reports that the engine made (Run, RunEvent, DoctorReport, ...) travel inside them unchanged,
    in the engine's snake_case, so that they are the same objects at every door.
Durations are seconds, sizes bytes. Ranges and positions are LSP's, in the negotiated position encoding.

To add one: models here, an entry in REQUESTS or NOTIFICATIONS, a handler in doors/lsp, a row in docs/reference/lsp.md,
`scripts/generate`.
"""

from __future__ import annotations

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from ..model import Model, Run, TerminalSize
from .changes import (
    ChangeList,
    ChangesApplied,
    Content,
    GitRefs,
    Pick,
    RunChanges,
    Side,
)
from .events import RunEvent
from .methods import DoctorReport, EngineStatus, LanguageList, Method, Nothing, RunList, SandboxList


class LspModel(Model):
    """Base of what is camelCase."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class LspPosition(LspModel):
    """A place in a text: both from 0, `character` in units of the negotiated position encoding."""

    line: int = Field(ge=0)
    character: int = Field(ge=0)


class LspRange(LspModel):
    """From `start` up to, not including, `end`."""

    start: LspPosition
    end: LspPosition


class RunOptions(LspModel):
    """What every way of running takes."""

    env: dict[str, str] = Field(default={}, description="added to the sandbox's own variables")
    timeout_s: float | None = Field(default=None, gt=0, description="TERM, grace, KILL after this many seconds")
    stdin: bool = Field(default=False, description="`continueExec/stdin` will follow; false: end of file at once")
    tty: TerminalSize | None = Field(default=None, description="run on a terminal of this size")
    title: str = Field(default="", description="what a person calls it; empty: named after what runs")


class RunFileParams(RunOptions):
    """Run a file by its language, its unsaved text included."""

    uri: str = Field(description="of the file: `file:///...`")
    args: tuple[str, ...] = ()


class RunSelectionParams(RunOptions):
    """Run a part of an open document, or of a file on disk, as a snippet in the document's language."""

    uri: str
    range: LspRange
    language: str | None = Field(default=None, description="default: the document's own")


class RunSnippetParams(RunOptions):
    """Run code that is in no file, for example a block in a chat."""

    language: str = Field(description="id or alias: `python`, `js`, ...")
    code: str
    uri: str | None = Field(default=None, description="any file or folder of the workspace; default: the first folder")


class RunParams(RunOptions):
    """Run a command."""

    argv: tuple[str, ...] = Field(min_length=1)
    cwd: str | None = Field(default=None, description="absolute, inside the workspace; default: its root")
    uri: str | None = Field(default=None, description="any file or folder of the workspace; default: the first folder")


class RunAccepted(LspModel):
    """The run exists. Its events follow as `continueExec/event`, never before this answer."""

    run_id: str


class StdinParams(LspModel):
    """Bytes to a run's standard input. Text is sent as UTF-8."""

    run_id: str
    text: str = ""
    base64: str = ""
    eof: bool = False


class ResizeParams(LspModel):
    """New size of a run's terminal."""

    run_id: str
    size: TerminalSize


class CancelParams(LspModel):
    """End a run for certain: TERM to the whole tree, KILL after the grace."""

    run_id: str = Field(default="", description="empty: the newest that this sidecar started")
    grace_s: float = Field(default=2.0, ge=0, le=60)


class AttachParams(LspModel):
    """Follow a run from an event on, for example after the sidecar died."""

    run_id: str
    after: int = Field(default=0, ge=0, description="`seq` of the last event received")


class DetachParams(LspModel):
    """Stop receiving a run's events. The run goes on."""

    run_id: str


class RunsParams(LspModel):
    """Which runs to list, newest first."""

    uri: str | None = Field(default=None, description="only those of this workspace")
    active: bool = Field(default=False, description="only those that have not ended")
    limit: int = Field(default=50, ge=1, le=1000)


class ChangesParams(LspModel):
    """Which changes: what the sandbox has otherwise than the host."""

    uri: str | None = Field(default=None, description="of a file or folder: only there; default: the first folder")
    hunks: bool = Field(default=False, description="with the lines of text files")
    run_id: str | None = Field(default=None, description="only what this run changed")


class ContentParams(LspModel):
    """One side of one file, for a diff editor."""

    uri: str = Field(description="of the file in the workspace: `file:///...`, also if it exists only inside")
    side: Side


class ApplyParams(LspModel):
    """Bring changes home. Text is changed by `workspace/applyEdit`, so that unsaved text and undo are respected; the
    rest (binary files, modes, links) is written by the engine, after the edit was accepted."""

    uri: str | None = Field(default=None, description="any file or folder of the workspace; default: the first folder")
    picks: tuple[Pick, ...] = ()
    all: bool = Field(default=False, description="every change that has no conflict and needs no yes of its own")
    yes: tuple[str, ...] = Field(default=(), description="paths that the user said yes to by name")


class RewindParams(LspModel):
    """Set the workspace inside to what it was before a run. The host is not touched."""

    run_id: str


class RunIdParams(LspModel):
    """Names a run."""

    run_id: str


class WorkspaceParams(LspModel):
    """Names a workspace."""

    uri: str | None = Field(default=None, description="any file or folder of it; default: the first folder")


class ChangesNews(LspModel):
    """A run of this sidecar has ended and the workspace has changes: time to ask `continueExec/changes`."""

    workspace: str = Field(description="absolute path")
    run_id: str
    changed: int = Field(description="paths that this run changed")
    total: int = Field(description="changes waiting for review")


class SidecarStatus(LspModel):
    """The sidecar, and the engine if it is up. Never starts the engine."""

    version: str
    following: tuple[str, ...] = Field(description="ids of the runs whose events are being sent")
    engine: EngineStatus | None = None


class EventParams(LspModel):
    """Events `firstSeq` to `event.seq` of a run, in order and without a gap.

    Only output is ever joined: pieces of one stream that came within 16 ms, at most 64 KiB of them unless one piece
    alone is larger. Output is always `text` here: bytes that are not UTF-8 become U+FFFD (`continue-exec logs ID` has
    them unharmed). Two things repeat the last number: the U+FFFD for a character that the command left unfinished, and
    a `notice` of the sidecar's own when it can follow no further (its `code` is then that of an error).
    """

    run_id: str
    first_seq: int
    event: RunEvent


REQUESTS: dict[str, Method] = {
    "continueExec/run": Method(RunParams, RunAccepted, "Run a command."),
    "continueExec/runFile": Method(RunFileParams, RunAccepted, "Run a file by its language, unsaved text included."),
    "continueExec/runSelection": Method(RunSelectionParams, RunAccepted, "Run a part of a document."),
    "continueExec/runSnippet": Method(RunSnippetParams, RunAccepted, "Run code that is in no file."),
    "continueExec/stdin": Method(StdinParams, Nothing, "Write to a run's standard input."),
    "continueExec/resize": Method(ResizeParams, Nothing, "Tell a run's terminal its size."),
    "continueExec/cancel": Method(CancelParams, Run, "End a run for certain."),
    "continueExec/attach": Method(AttachParams, Run, "Follow a run from an event on."),
    "continueExec/detach": Method(DetachParams, Nothing, "Stop receiving a run's events."),
    "continueExec/runs": Method(RunsParams, RunList, "Runs, newest first."),
    "continueExec/changes": Method(ChangesParams, ChangeList, "What the sandbox has otherwise than the host."),
    "continueExec/content": Method(ContentParams, Content, "One side's version of a file."),
    "continueExec/apply": Method(ApplyParams, ChangesApplied, "Bring changes home, through the editor."),
    "continueExec/discard": Method(ApplyParams, ChangesApplied, "Set paths inside to what the host has."),
    "continueExec/rewind": Method(RewindParams, ChangesApplied, "Set the workspace inside to before a run."),
    "continueExec/runChanges": Method(RunIdParams, RunChanges, "What a run changed in the workspace."),
    "continueExec/fetch": Method(WorkspaceParams, GitRefs, "Bring commits made inside home as refs."),
    "continueExec/sandboxes": Method(Nothing, SandboxList, "Every sandbox of this user."),
    "continueExec/languages": Method(Nothing, LanguageList, "Languages that can be run."),
    "continueExec/doctor": Method(Nothing, DoctorReport, "Check every precondition of the host."),
    "continueExec/status": Method(Nothing, SidecarStatus, "The sidecar, and the engine if it is up."),
}
"""Requests, editor → sidecar."""

NOTIFICATIONS: dict[str, type[Model]] = {
    "continueExec/event": EventParams,
    "continueExec/changed": ChangesNews,
}
"""Notifications, sidecar → editor, sent when the client says `experimental.continueExec.events`."""

COMMANDS: dict[str, str] = {
    "continue-exec.run": "continueExec/run",
    "continue-exec.runFile": "continueExec/runFile",
    "continue-exec.runSelection": "continueExec/runSelection",
    "continue-exec.runSnippet": "continueExec/runSnippet",
    "continue-exec.cancel": "continueExec/cancel",
    "continue-exec.runs": "continueExec/runs",
    "continue-exec.changes": "continueExec/changes",
    "continue-exec.apply": "continueExec/apply",
    "continue-exec.discard": "continueExec/discard",
    "continue-exec.doctor": "continueExec/doctor",
}
"""`workspace/executeCommand` names and the requests they stand for. The one argument is the request's parameters."""
