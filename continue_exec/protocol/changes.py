"""What the sandbox changed in its workspace, and what becomes of it: the models of `changes.*` and `git.*`.

A Change compares one path inside with the same path on the host. Paths are relative to the workspace, bytes that are
not UTF-8 as surrogates (as Python's `os.fsdecode` makes them). Line numbers begin at 1.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from ..model import Model
from .refs import WorkspaceRef


class Side(StrEnum):
    """Whose version of a path."""

    HOST = "host"
    """The workspace's: the file on disk, or an editor's unsaved text of it."""
    SANDBOX = "sandbox"
    BASE = "base"
    """What both last had in common."""
    MERGED = "merged"
    """Host and sandbox merged, with conflict markers where both changed the same lines."""


class Hunk(Model):
    """A run of lines in which the two sides differ, with no context: what can be taken or left by itself."""

    id: str = Field(description="8 hex digits, of both sides' lines and where they stand; stable while neither changes")
    old_start: int = Field(description="first line on the host; of a pure insertion, the line that it comes before")
    old_lines: int
    new_start: int = Field(description="first line in the sandbox; of a pure deletion, the line that now stands there")
    new_lines: int
    old_text: str
    new_text: str


class Change(Model):
    """One path that is not the same inside as on the host."""

    path: str
    kind: Literal["added", "modified", "deleted", "renamed"] = Field(description="by the sandbox, seen from the host")
    old_path: str | None = Field(default=None, description="of a rename: its path on the host")
    type: Literal["file", "symlink", "folder"] = Field(description="inside; of a deletion: on the host")
    old_type: Literal["file", "symlink", "folder"] | None = Field(
        default=None, description="on the host, if it differs"
    )
    mode: int | None = Field(default=None, description="permission bits inside")
    old_mode: int | None = Field(default=None, description="permission bits on the host")
    size: int = Field(default=0, description="bytes inside")
    binary: bool = False
    insertions: int = Field(default=0, description="lines; 0 for what is not text")
    deletions: int = 0
    hunks: tuple[Hunk, ...] = Field(default=(), description="only when asked for, and only of text")
    conflict: str = Field(default="", description="why the two cannot both be kept, in words; empty: they can")
    needs_yes: str = Field(
        default="", description="why it needs a yes of its own, in words: the host would execute it by itself"
    )
    refused: str = Field(default="", description="why it cannot come home at all, in words")
    runs: tuple[str, ...] = Field(default=(), description="ids of the runs that changed it, oldest first")
    version: str = Field(description="of both sides as they were read; `changes.apply` acts on just that")


class ChangesQuery(Model):
    """Which changes."""

    workspace: WorkspaceRef
    paths: tuple[str, ...] = Field(default=(), description="only at and below these, absolute or relative")
    hunks: bool = Field(default=False, description="with the lines of text files")
    run_id: str | None = Field(default=None, description="only paths that this run changed")


class ChangeList(Model):
    """Changes, sorted by path."""

    sandbox_id: str
    workspace: str
    changes: tuple[Change, ...]
    left_out: tuple[str, ...] = Field(
        default=(), description="what could not be compared, as `path (why)`, at most 100"
    )


class ContentQuery(Model):
    """One side of one path."""

    workspace: WorkspaceRef
    path: str
    side: Side


class Content(Model):
    """Exactly one of `text` and `base64` is set if it exists and is a file; `target` if it is a link."""

    path: str
    side: Side
    exists: bool
    type: Literal["file", "symlink", "folder"] = "file"
    mode: int | None = None
    text: str | None = None
    base64: str | None = None
    target: str | None = None
    version: str = Field(default="", description="as in the Change, if there is one")


class Pick(Model):
    """What to take of one change."""

    path: str
    version: str | None = Field(default=None, description="that was looked at; another one is not touched (`conflict`)")
    hunks: tuple[str, ...] | None = Field(default=None, description="ids; null: all of it")
    take: Side = Field(
        default=Side.SANDBOX,
        description="`sandbox`: its version; `merged`: both, with markers where they conflict (a conflict needs one "
        "of the two to be said: `version` given, or `merged`)",
    )


class ChangesApply(Model):
    """Bring changes home, or throw them away."""

    workspace: WorkspaceRef
    picks: tuple[Pick, ...] = ()
    all: bool = Field(default=False, description="every change that has no conflict and needs no yes of its own")
    yes: tuple[str, ...] = Field(
        default=(), description="paths that were looked at although `needs_yes` is said of them"
    )
    dry_run: bool = False


class Left(Model):
    """A path that was not touched."""

    path: str
    code: str = Field(description="of the error that says why")
    message: str
    hint: str = ""


class ChangesApplied(Model):
    """What was done. Each path is done wholly or not at all."""

    applied: tuple[str, ...]
    left: tuple[Left, ...] = ()


class LineEdit(Model):
    """Replace the host's lines `start` to `start + lines` (not included) by `text`."""

    start: int
    lines: int
    text: str


class Proposal(Model):
    """What applying one pick would do, for an editor that does it itself."""

    path: str
    kind: Literal["added", "modified", "deleted", "renamed"]
    old_path: str | None = None
    edits: tuple[LineEdit, ...] = Field(
        default=(), description="of text that exists on the host, from the last to the first"
    )
    text: str | None = Field(default=None, description="the whole new text; null: not text, use `changes.apply`")


class ChangesProposed(Model):
    """What an editor would have to do, and what it may not."""

    proposals: tuple[Proposal, ...]
    left: tuple[Left, ...] = ()


class RunChange(Model):
    """One path that changed while a run went on."""

    path: str
    kind: Literal["added", "modified", "deleted"]


class RunChanges(Model):
    """What a run changed in the workspace, up to its end."""

    run_id: str
    changes: tuple[RunChange, ...]
    beside: tuple[str, ...] = Field(
        default=(), description="other runs that went on at the same time: any of them may have made the changes"
    )
    restorable: bool = Field(description="whether `changes.rewind` can go back to before it")


class Rewind(Model):
    """Set the workspace inside to what it was before a run began. The host is not touched."""

    workspace: WorkspaceRef
    run_id: str
    dry_run: bool = False


class GitRef(Model):
    """A branch, tag or commit made inside, and what it is called on the host."""

    name: str = Field(description="inside: `refs/heads/main`")
    host_name: str = Field(description="on the host: `refs/continue-exec/SANDBOX/main`")
    commit: str
    old_commit: str = Field(default="", description="what the host's ref was before; empty: it is new")
    subject: str = Field(default="", description="of the newest commit")
    repository: str = Field(default="", description="relative to the workspace: `` or a submodule's folder")


class GitRefs(Model):
    """Refs that came home."""

    refs: tuple[GitRef, ...]
    notes: tuple[str, ...] = Field(default=(), description="what could not come, and why, in words")


class HostContact(Model):
    """A host that something inside asked for."""

    host: str
    port: int
    allowed: bool
    requests: int


class Preview(Model):
    """What a preview run did in its copy of the sandbox."""

    run_id: str
    sandbox_id: str = Field(description="of the copy")
    changes: tuple[RunChange, ...] = Field(description="in the workspace")
    elsewhere: tuple[RunChange, ...] = Field(default=(), description="outside the workspace, absolute, at most 1000")
    elsewhere_total: int = 0
    hosts: tuple[HostContact, ...] = ()
