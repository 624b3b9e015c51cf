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
        touched = set()
        for (lexical, real), text in [(self._resolve(path), text) for path, text in buffers.items()]:
            # Also what was set under that name before the file became a link.
            for rel in {lexical, real} - {""}:
                self._clear(client, rel)
                touched.add(rel)
            if text is not None and real:
                self._texts.setdefault(real, {})[client] = (text.encode("utf-8", "replace"), time.time_ns())
        return self._with_below(touched)

    def _clear(self, client: str, rel: str) -> None:
        texts = self._texts.get(rel, {})
        texts.pop(client, None)
        if not texts:
            self._texts.pop(rel, None)

    def drop(self, client: str) -> Set[str]:
        """Clear all of a client's texts; returns the paths concerned."""
        touched = {rel for rel, texts in self._texts.items() if client in texts}
        for rel in touched:
            self._clear(client, rel)
        return self._with_below(touched)

    def current(self) -> dict[str, tuple[bytes, int]]:
        """Path → UTF-8 bytes and the time they were set (ns)."""
        return {rel: next(reversed(texts.values())) for rel, texts in self._texts.items() if not self._shadowed(rel)}

    def _shadowed(self, rel: str) -> bool:
        """Whether the text of a file that does not exist either stands where the folder would be: then it counts."""
        while rel := rel.rpartition("/")[0]:
            if rel in self._texts and not os.path.isdir(os.path.join(self._root, rel)):
                return True
        return False

    def _with_below(self, touched: Set[str]) -> Set[str]:
        """`touched`, and the texts that come into view, or go, with them."""
        return touched | {rel for rel in self._texts if any(rel.startswith(path + "/") for path in touched)}

    def _resolve(self, path: str) -> tuple[str, str]:
        """`path` (absolute, or relative to the workspace) below the workspace: as it is named, and with links resolved.

        An editor opens a link's target under the link's name: the text is the target's. "": it leads outside.
        """
        top = self._root.rstrip("/") + "/"
        lexical = os.path.normpath(os.path.join(self._root, path))
        if not lexical.startswith(top):
            lexical = os.path.realpath(lexical)  # the workspace itself may have been named by a link
            if not lexical.startswith(top):
                raise OutsideWorkspace(f"The buffer {path} lies outside the workspace {self._root}")
        real = os.path.realpath(lexical)
        return os.path.relpath(lexical, self._root), os.path.relpath(real, self._root) if real.startswith(top) else ""
