"""Editors' unsaved texts: each counts in place of the file on disk until it is saved or closed."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Set

from ..errors import OutsideWorkspace


class Buffers:
    """Texts by path below the workspace and by client; of two clients' texts the later one counts."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._texts: dict[str, dict[str, tuple[bytes, int]]] = {}

    def set(self, client: str, buffers: Mapping[str, str | None]) -> Set[str]:
        """Set (None: clear) one client's texts; returns the paths concerned.

        Raises:
            OutsideWorkspace: a path is; then nothing is set.
        """
        resolved = {self._resolve(path): text for path, text in buffers.items()}
        for rel, text in resolved.items():
            if rel is None:
                continue
            texts = self._texts.setdefault(rel, {})
            texts.pop(client, None)
            if text is not None:
                texts[client] = (text.encode("utf-8", "replace"), time.time_ns())
            if not texts:
                del self._texts[rel]
        return {rel for rel in resolved if rel is not None}

    def drop(self, client: str) -> Set[str]:
        """Clear all of a client's texts; returns the paths concerned."""
        touched = {rel for rel, texts in self._texts.items() if client in texts}
        for rel in touched:
            texts = self._texts[rel]
            del texts[client]
            if not texts:
                del self._texts[rel]
        return touched

    def current(self) -> dict[str, tuple[bytes, int]]:
        """Path → UTF-8 bytes and the time they were set (ns)."""
        return {rel: next(reversed(texts.values())) for rel, texts in self._texts.items()}

    def _resolve(self, path: str) -> str | None:
        """`path` (absolute, or relative to the workspace) below the workspace.

        An editor opens a link's target under the link's name: the text is the target's. None: it leads outside.
        """
        lexical = os.path.normpath(os.path.join(self._root, path))
        if not lexical.startswith(self._root.rstrip("/") + "/"):
            lexical = os.path.realpath(lexical)  # the workspace itself may have been named by a link
            if not lexical.startswith(self._root.rstrip("/") + "/"):
                raise OutsideWorkspace(f"The buffer {path} lies outside the workspace {self._root}")
        real = os.path.realpath(lexical)
        if not real.startswith(self._root.rstrip("/") + "/"):
            return None
        return os.path.relpath(real, self._root)
