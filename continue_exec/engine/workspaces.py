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


def below(workspace: Workspace, path: str) -> str:
    """`path` (absolute, or relative to the workspace) as it is named below the workspace; "" is the workspace itself.

    Links are not resolved: it may be one, and it need not exist on the host.

    Raises:
        OutsideWorkspace: it does not lie there.
    """
    if "\0" in path:
        raise InvalidRequest("A path holds a NUL byte")
    full = os.path.normpath(os.path.join(workspace.path, path))
    top = workspace.path.rstrip("/") + "/"
    if full != workspace.path and not full.startswith(top):
        # The workspace itself may have been named by a link.
        full = os.path.join(os.path.realpath(os.path.dirname(full)), os.path.basename(full))
        if not full.startswith(top):
            raise OutsideWorkspace(f"{path} lies outside the workspace {workspace.path}")
    return "" if full == workspace.path else full.removeprefix(top)


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
    """Unsaved buffers by workspace and client. They outlive a sandbox, not the engine: doors send them again.

    A client that named its process is forgotten when that is gone, so that a killed editor's text does not run on.
    """

    def __init__(self) -> None:
        self._texts: dict[str, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
        self._pids: dict[str, int] = {}

    def set(self, request: BuffersSet) -> dict[str, dict[str, str | None]]:
        """Keep the texts (null: forget); returns, by workspace, what changed."""
        changed: dict[str, dict[str, str | None]] = defaultdict(dict)
        if request.pid is not None:
            self._pids[request.client] = request.pid
        for buffer in request.buffers:
            workspace = resolve(request.workspace or WorkspaceRef(path=os.path.dirname(buffer.path)))
            path = inside(workspace, buffer.path)
            texts = self._texts[workspace.path][request.client]
            if buffer.text is None:
                texts.pop(path, None)
            else:
                texts[path] = buffer.text
            changed[workspace.path][path] = buffer.text
        return changed

    def drop_gone(self) -> list[tuple[str, str, dict[str, str | None]]]:
        """Forget clients whose process is gone; returns (workspace, client, path → null) of each."""
        dropped: list[tuple[str, str, dict[str, str | None]]] = []
        for client in [client for client, pid in self._pids.items() if not _alive(pid)]:
            del self._pids[client]
            for workspace, clients in self._texts.items():
                if texts := clients.pop(client, None):
                    dropped.append((workspace, client, dict.fromkeys(texts)))
        return dropped

    def of(self, workspace: str) -> dict[str, dict[str, str]]:
        """Client → path → text."""
        return {client: dict(texts) for client, texts in self._texts.get(workspace, {}).items()}


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
