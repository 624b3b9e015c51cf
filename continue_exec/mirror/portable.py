"""watchfiles (FSEvents on macOS, inotify elsewhere): reports late, hence only good for live updates."""

from __future__ import annotations

import asyncio
import os
import threading

from watchfiles._rust_notify import RustNotify

from .watch import Changes

_DEBOUNCE_MS = 20
_STEP_MS = 5
_TURN_MS = 1000
"""A turn of the thread; bounds how long `close` may take."""


class PortableWatcher:
    """Recursive, not exact: a flush looks at all files itself.

    Raises:
        OSError: the folder cannot be watched.
    """

    exact = False

    def __init__(self, root: str) -> None:
        self.note = ""
        # Reported paths have their links resolved (FSEvents does so), so ours must have too.
        self._root = os.path.realpath(root)
        self._notify = RustNotify([self._root], False, False, 0, True, True)
        self._pending = Changes()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._turning = threading.Lock()

    def add(self, folder: str) -> None:
        """Nothing to do: all below the root is watched."""

    def watching(self, folder: str) -> bool:
        """Every folder is."""
        return True

    def drain(self) -> Changes:
        """What has been reported so far."""
        with self._lock:
            changes, self._pending = self._pending, Changes()
        return changes

    async def wait(self) -> None:
        """Until something is reported."""
        while not self._stop.is_set():
            if self._pending:
                return
            await asyncio.to_thread(self._turn)

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        with self._turning:  # ends within a step
            self._notify.close()

    def _turn(self) -> None:
        """One turn in a worker thread. One that is cancelled runs to its end, so that nothing it hears is lost."""
        with self._turning:
            if self._stop.is_set():
                return
            found = self._notify.watch(_DEBOUNCE_MS, _STEP_MS, _TURN_MS, self._stop)
        if isinstance(found, str):
            return
        with self._lock:
            for change, path in found:
                rel = "" if path == self._root else os.path.relpath(path, self._root)
                if rel.startswith(".."):
                    continue
                self._pending.paths.add(rel)
                if change == 1 and os.path.isdir(path) and not os.path.islink(path):  # watchfiles.Change.added
                    self._pending.trees.add(rel)
