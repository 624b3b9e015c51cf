"""A second sandbox with the same files: the uppers of its overlays, copied while nothing writes to them.

By `cp`, which shares the blocks where the file system can (reflink) and carries over the attributes in which overlayfs
keeps what was deleted or renamed.
"""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

from ...errors import DiskFull, SandboxFailed

UPPERS = ("upper", "over")
"""Of a sandbox's folder: its files."""


async def copy(source: Path, target: Path, *, user: bool) -> None:
    """Copy a sandbox's files into `target`, an empty folder.

    Args:
        source: its folder.
        target: that of the new one.
        user: an ordinary user's: as root of a user namespace, since code inside may have closed folders to its owner.

    Raises:
        DiskFull, SandboxFailed: it could not be copied whole; what was written is in `target`.
    """
    argv = ["cp", "-a", "--reflink=auto", "--", *(str(source / name) for name in UPPERS), str(target)]
    if user:
        argv = ["unshare", "--user", "--map-root-user", *argv]
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C"},
    )
    try:
        _, said = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode == 0:
        return
    words = said.decode(errors="replace").strip().splitlines() or [f"exit code {process.returncode}"]
    if any(os.strerror(number) in line for number in (errno.ENOSPC, errno.EDQUOT) for line in words):
        raise DiskFull(f"No room for a copy of the sandbox in {target.parent}")
    raise SandboxFailed(f"The sandbox could not be copied: {words[-1]}")


def listing(folder: Path) -> dict[str, tuple[int, ...]]:
    """Every file and link below a folder, by its path: kind, mode, size, times and inode. Nothing may write to it."""
    found: dict[str, tuple[int, ...]] = {}
    todo = [(str(folder), "")]
    while todo:
        place, lead = todo.pop()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        todo.append((entry.path, f"{lead}{entry.name}/"))
                        continue
                    looked = entry.stat(follow_symlinks=False)
                    found[lead + entry.name] = (
                        looked.st_mode,
                        looked.st_rdev,
                        looked.st_size,
                        looked.st_mtime_ns,
                        looked.st_ctime_ns,
                        looked.st_ino,
                    )
        except OSError:
            continue  # closed to us: what is in it is not told
    return found
