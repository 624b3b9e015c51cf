"""Where a workspace lies for the engine and for the editor: one folder, perhaps under two names.

The engine names paths from the workspace's root, links resolved. The editor has a folder open, which may be a folder
below that root, or a link to it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import quote

from ...errors import OutsideWorkspace


@dataclass(frozen=True)
class Place:
    """One workspace.

    Attributes:
        folder: as the editor names it.
        root: the workspace's, as the engine names it.
    """

    folder: str
    root: str

    def relative(self, path: str) -> str:
        """A path of the editor's, from the workspace. Empty: its root.

        Raises:
            OutsideWorkspace: it lies elsewhere.
        """
        real = os.path.realpath(self.folder)
        for inside in (_below(self.folder, path), None if real == self.folder else _below(real, path)):
            if inside is not None:
                path = os.path.join(real, inside)
                break
        found = _below(self.root, os.path.normpath(path))
        if found is None:
            raise OutsideWorkspace(f"{path} is not in the workspace {self.root}.")
        return found

    def absolute(self, relative: str) -> str:
        """A path from the workspace, as the editor would name it."""
        path = os.path.join(self.root, relative)
        inside = _below(os.path.realpath(self.folder), path)
        return path if inside is None else os.path.normpath(os.path.join(self.folder, inside))


def _below(folder: str, path: str) -> str | None:
    if path == folder:
        return ""
    prefix = folder.rstrip("/") + "/"
    return path[len(prefix) :] if path.startswith(prefix) else None


def uri_of(path: str, scheme: str = "file") -> str:
    """The URI of a path; bytes that are no text as they are."""
    return f"{scheme}://{quote(os.fsencode(path), safe='/~')}"
