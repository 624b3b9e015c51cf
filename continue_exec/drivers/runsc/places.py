"""Where, on the host, a folder of a sandbox lies that has never been booted.

Most are in the upper layer of its root. That may be written only while it is not mounted (the kernel's
Documentation/filesystems/overlayfs.rst, "Changes to underlying filesystems").
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

MODE = 0o755
"""Of folders that the template's layer does not have."""


@dataclass(frozen=True)
class Places:
    """What decides it."""

    upper: Path
    """Upper layer of the root."""
    lower: Path
    """The template's layer."""
    mounts: tuple[str, ...]
    """Paths inside where something else is mounted on the root."""
    workspace: Path
    private: Path | None
    """The workspace's folder, if it is one of the mounts."""

    def folder(self, path: Path) -> Path | None:
        """The folder that will be `path` inside, made with what lies above it; None if it cannot be written here.

        Raises:
            OSError: it cannot be made.
        """
        if self.private is not None and path == self.workspace:
            self.private.chmod(MODE)
            return self.private
        if any(path.is_relative_to(mount) for mount in self.mounts):
            return None
        here, below = self.upper, self.lower
        for name in path.parts[1:]:
            here, below = here / name, below / name
            try:
                found = below.lstat().st_mode
            except FileNotFoundError:
                mode = MODE
            else:
                if not stat.S_ISDIR(found):
                    return None
                mode = stat.S_IMODE(found)
            if not here.exists():
                here.mkdir()
                here.chmod(mode)
        return here
