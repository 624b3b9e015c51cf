"""How requests name a workspace and a run."""

from __future__ import annotations

from pydantic import Field

from ..model import Model


class WorkspaceRef(Model):
    """Names a workspace by any folder or file in it."""

    path: str = Field(description="absolute; the workspace is the Git work tree that holds it, else the folder itself")
    root: bool = Field(default=False, description="`path` is itself the workspace, whatever Git says")


class RunRef(Model):
    """Names a run by its id, or by a prefix of it that is unique."""

    run_id: str
