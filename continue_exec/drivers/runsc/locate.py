"""Where runsc is, and which."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path

from ...errors import HostUnready

OLDEST = 20230925
"""First release whose default platform is systrap; older ones have only ptrace (slow) and kvm."""

INSTALL_HINT = "Run `scripts/install-runsc`: with root it installs the package, without it a release into ~/.local/bin."


def find(explicit: Path | None) -> Path | None:
    """The runsc binary: the setting, else PATH, else the places a user or an admin puts it; None if nowhere."""
    if explicit is not None:
        return explicit if os.access(explicit, os.X_OK) else None
    beside = [str(Path.home() / ".local" / "bin"), "/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin"]
    # An engine that an editor started may have a shorter PATH than the user's shell.
    search = os.pathsep.join([os.environ.get("PATH", ""), *beside])
    found = shutil.which("runsc", path=search)
    return Path(found).resolve() if found else None


def require(explicit: Path | None) -> Path:
    """Like `find`.

    Raises:
        HostUnready: it is nowhere.
    """
    found = find(explicit)
    if found is None:
        where = f"at {explicit}" if explicit else "on PATH or in ~/.local/bin"
        raise HostUnready(f"gVisor's `runsc` was not found {where}", hint=INSTALL_HINT)
    return found


def release(text: str) -> int | None:
    """The date in `runsc --version`: 20240729 of `release-20240729.0` and of Debian's `0.0~20240729.0`."""
    found = re.search(r"(20\d{6})\.\d+", text)
    return int(found.group(1)) if found else None


async def version(runsc: Path) -> str:
    """First line of `runsc --version` (25 ms).

    Raises:
        HostUnready: it cannot be executed.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            runsc, "--version", stdin=asyncio.subprocess.DEVNULL, stdout=-1, stderr=asyncio.subprocess.DEVNULL
        )
        output, _ = await process.communicate()
    except OSError as error:
        raise HostUnready(f"{runsc} cannot be executed: {error.strerror}", hint=INSTALL_HINT) from error
    return output.decode(errors="replace").splitlines()[0] if output else "unknown"
