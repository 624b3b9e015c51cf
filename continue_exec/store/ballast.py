"""A file that is there to be deleted: on a full disk it makes room for the few kilobytes that the engine needs.

Without it a sandbox that has filled the disk could not even be told to free it: that, too, is a run with a record.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

log = logging.getLogger(__name__)

BALLAST_BYTES = 4 << 20
"""Room for some hundred records and logs of short runs."""
PLENTY_BYTES = 16 * BALLAST_BYTES
"""It is laid again when so much is free."""


class Ballast:
    """One such file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lay(self) -> None:
        """Make the file if it is missing and there is plenty of room."""
        if self.path.exists() or shutil.disk_usage(self.path.parent).free < PLENTY_BYTES:
            return
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, BALLAST_BYTES)
        except OSError as error:
            log.warning("no ballast for a full disk: %s", error)
            self.path.unlink()
        finally:
            os.close(fd)

    def drop(self) -> bool:
        """Give its room up; whether there was any."""
        try:
            self.path.unlink()
        except OSError:
            return False
        log.warning("the disk is full: gave up %d MiB that were kept for this", BALLAST_BYTES >> 20)
        return True
