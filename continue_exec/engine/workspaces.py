"""`workspace.*`: which folder is meant, its mirror, its unsaved buffers."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from pathlib import Path

from ..errors import InvalidRequest, NotFound, OutsideWorkspace
from ..mirror.workspace import resolve_workspace
from ..model import Workspace
from ..protocol.methods import BuffersSet, WorkspaceRef


def resolve(ref: WorkspaceRef) -> Workspace:
    """The workspace that `ref` names.

    Raises:
        InvalidRequest: the path is not absolute.
        NotFound: it does not exist.
        WorkspaceRefused: it must not be mirrored.
    """
    if not os.path.isabs(ref.path) or "\0" in ref.path:
        raise InvalidRequest(f"{ref.path!r} is not an absolute path", hint="Send absolute paths.")
    path = str(resolve_workspace(Path(ref.path), root=ref.root))
    return Workspace(id="ws_" + hashlib.sha256(os.fsencode(path)).hexdigest()[:12], path=path)


def inside(workspace: Workspace, path: str) -> str:
    """`path` (absolute, or relative to the workspace) with links resolved, if it lies in the workspace.

    Raises:
        OutsideWorkspace: it does not.
    """
    if "\0" in path:
        raise InvalidRequest("A path holds a NUL byte")
    full = os.path.realpath(os.path.join(workspace.path, path))
    if full != workspace.path and not full.startswith(workspace.path.rstrip("/") + "/"):
        raise OutsideWorkspace(f"{path} lies outside the workspace {workspace.path}")
    return full


def folder_inside(workspace: Workspace, path: str) -> str:
    """As `inside`, for a folder that must exist on the host.

    Raises:
        NotFound: there is no such folder.
    """
    full = inside(workspace, path)
    if not os.path.isdir(full):
        raise NotFound(f"There is no folder {full}", hint="Create it, or name another with --cwd.")
    return full


class Buffers:
    """Unsaved buffers by workspace and client. They outlive a sandbox, not the engine: doors send them again."""

    def __init__(self) -> None:
        self._texts: dict[str, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))

    def set(self, request: BuffersSet) -> dict[str, dict[str, str | None]]:
        """Keep the texts (null: forget); returns, by workspace, what changed."""
        changed: dict[str, dict[str, str | None]] = defaultdict(dict)
        for buffer in request.buffers:
            workspace = resolve(WorkspaceRef(path=os.path.dirname(buffer.path)))
            path = inside(workspace, buffer.path)
            texts = self._texts[workspace.path][request.client]
            if buffer.text is None:
                texts.pop(path, None)
            else:
                texts[path] = buffer.text
            changed[workspace.path][path] = buffer.text
        return changed

    def of(self, workspace: str) -> dict[str, dict[str, str]]:
        """Client → path → text."""
        return {client: dict(texts) for client, texts in self._texts.get(workspace, {}).items()}
