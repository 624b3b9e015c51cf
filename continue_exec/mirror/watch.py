"""Watchers: which paths may have changed.

`choose` takes the best one for this host. To add one: a class that satisfies `Watcher`, a line in `choose`, its name in
tests/unit/mirror/test_watch.py.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import dataclass, field
from typing import Protocol

log = logging.getLogger(__name__)


@dataclass
class Changes:
    """Paths below the workspace ("": itself). A path may be reported that did not change, never the other way round."""

    paths: set[str] = field(default_factory=set)
    """Created, changed, deleted."""
    trees: set[str] = field(default_factory=set)
    """Folders that appeared: anything below may be new."""
    rescan: bool = False
    """Events were lost: look at everything again."""

    def __bool__(self) -> bool:
        return bool(self.paths or self.trees or self.rescan)


class Watcher(Protocol):
    """Watches one workspace. `add` and `drain` are not called at the same time."""

    exact: bool
    """`drain` holds all that happened before it was called. Otherwise a flush must look for itself."""
    note: str
    """What is not as usual, in words; empty if all is well."""

    def add(self, folder: str) -> None:
        """Watch a folder (not what is below it), before it is read. May be repeated; the folder may be gone."""
        ...

    def watching(self, folder: str) -> bool:
        """Whether changes in this very folder are reported."""
        ...

    def drain(self) -> Changes:
        """What happened since the last call; does not wait."""
        ...

    async def wait(self) -> None:
        """Until there may be something to drain."""
        ...

    def close(self) -> None:
        """Release everything; ends `wait`."""
        ...


class NoWatcher:
    """For when nothing can be watched: every flush looks at everything."""

    exact = False

    def __init__(self, note: str) -> None:
        self.note = note

    def add(self, folder: str) -> None:
        """Nothing to do."""

    def watching(self, folder: str) -> bool:
        """Nothing is."""
        return False

    def drain(self) -> Changes:
        """Nothing is known."""
        return Changes()

    async def wait(self) -> None:
        """Never."""
        await asyncio.Event().wait()

    def close(self) -> None:
        """Nothing to do."""


def choose(root: str) -> Watcher:
    """The best watcher for `root` (absolute) on this host."""
    try:
        if sys.platform == "linux":
            from .inotify import InotifyWatcher

            return InotifyWatcher(root)
        from .portable import PortableWatcher

        return PortableWatcher(root)
    except OSError as error:
        note = (
            f"{root} cannot be watched ({error.strerror or error}): every run looks at all files, live updates are off"
        )
        log.warning("%s", note)
        return NoWatcher(note)
