"""Which workspace a request means."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from ...errors import InvalidRequest
from .documents import path_of


class Folders:
    """The editor's workspace folders. The engine decides what workspace each belongs to.

    Args:
        uris: gives the folders' URIs as they are now.
    """

    def __init__(self, uris: Callable[[], Iterable[str]]) -> None:
        self._uris = uris

    def paths(self) -> list[str]:
        """The folders on this machine, in the editor's order."""
        found = (path_of(uri) for uri in self._uris())
        return [path for path in found if path is not None]

    def of(self, uri: str | None) -> str:
        """The folder for a file or folder: the innermost of the editor's folders that holds it, else its own folder.

        A document in no file, or no document at all, means the first folder.

        Raises:
            InvalidRequest: no folder is open and none is named.
        """
        paths = self.paths()
        path = path_of(uri) if uri is not None else None
        if path is None:
            if not paths:
                raise InvalidRequest("No folder is open.", hint="Open a folder, or name a file of one in `uri`.")
            return paths[0]
        holding = [one for one in paths if path == one or path.startswith(one.rstrip("/") + "/")]
        if holding:
            return max(holding, key=len)
        return path if os.path.isdir(path) else os.path.dirname(path)
