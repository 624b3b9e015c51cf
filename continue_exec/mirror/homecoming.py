"""Which file is being written into the workspace at this moment: so that a crash leaves nothing behind for ever.

One line of JSON, written over before each file. `Home.recover` puts in order what it tells of.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from .filter import TEMPORARY

log = logging.getLogger(__name__)

NOT_MADE, TAKEN = 0, -1
"""In place of an inode: the temporary file is about to be made; it is what stood at the path."""


class Note(NamedTuple):
    """One file on its way."""

    path: str
    temporary: str
    """Name beside it."""
    inode: int
    """Of our own file: whichever of the two names has it holds what came from the sandbox."""
    kind: str
    digest: str
    """What was reviewed at the path, hexadecimal."""


class Journal:
    """`path` is the file it is kept in; it exists only while something is on its way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def note(self, note: Note) -> None:
        """Written before what it tells of is done; some microseconds. It need not survive a power failure."""
        try:
            if self._fd < 0:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            line = json.dumps(note).encode() + b"\n"
            os.pwrite(self._fd, line, 0)
            os.ftruncate(self._fd, len(line))
        except OSError as error:
            log.warning("%s: %s", self.path, error)

    def clear(self) -> None:
        """Nothing is on its way."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        with suppress(OSError):
            self.path.unlink()

    def read(self) -> Note | None:
        """What an earlier engine was at when it ended; None: nothing, or it cannot be read."""
        try:
            found: list[Any] = json.loads(self.path.read_bytes().partition(b"\n")[0])
            path, temporary, inode, kind, digest = found
            bytes.fromhex(digest)
            if not str(temporary).startswith(TEMPORARY) or "/" in temporary:
                return None
            return Note(str(path), str(temporary), int(inode), str(kind), digest)
        except (OSError, ValueError, TypeError):
            return None


class NoJournal(Journal):
    """Keeps nothing."""

    def __init__(self) -> None:
        super().__init__(Path("/dev/null"))

    def note(self, note: Note) -> None:
        """Not kept."""

    def clear(self) -> None:
        """Nothing was kept."""
