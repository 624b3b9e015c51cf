"""Saved sandboxes: the models of `snapshot.*`."""

from __future__ import annotations

from pydantic import Field

from ..model import Model, Snapshot
from .refs import WorkspaceRef


class SnapshotCreate(Model):
    """Save a workspace's sandbox as it is now, with the workspace brought up to date."""

    workspace: WorkspaceRef
    name: str = Field(default="", max_length=100, description="unique in its workspace; empty: named by its time")
    memory: bool = Field(default=False, description="with all that runs, which stands still meanwhile and then goes on")


class SnapshotQuery(Model):
    """Which snapshots."""

    workspace: WorkspaceRef | None = Field(default=None, description="only this one's")


class SnapshotList(Model):
    """Snapshots, newest first."""

    snapshots: tuple[Snapshot, ...]


class SnapshotRef(Model):
    """Names a snapshot."""

    snapshot: str = Field(description="its id, the beginning of it, or its name in `workspace`")
    workspace: WorkspaceRef | None = None


class SnapshotRename(Model):
    """Give a snapshot another name."""

    snapshot: str
    workspace: WorkspaceRef | None = None
    name: str = Field(min_length=1, max_length=100)
