"""Deleting a sandbox's files, which the sandbox wrote: no link followed, no file system crossed.

At that time nothing is mounted there: mounts live in the sandbox's own mount namespace and end with its last process.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from ...errors import SandboxFailed


async def _run(*argv: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    return process.returncode or 0, said.decode(errors="replace").strip()


async def empty(folder: Path) -> None:
    """Delete everything in `folder`, not the folder itself. `rm` and not shutil: an order of magnitude faster.

    Raises:
        SandboxFailed: something remains.
    """
    try:
        entries = [os.path.join(folder, name) for name in os.listdir(folder)]
    except (FileNotFoundError, NotADirectoryError):
        return
    if not entries:
        return
    remove = ("rm", "-rf", "--one-file-system", "--", *entries)
    code, _ = await _run(*remove)
    if code != 0:
        # Folders without permission for their owner: overlayfs's `work` has mode 0, and a sandbox may make its own.
        await _run("find", *entries, "-xdev", "-type", "d", "!", "-perm", "-700", "-exec", "chmod", "u+rwx", "{}", ";")
        code, said = await _run(*remove)
        if code != 0:
            raise SandboxFailed(
                f"Files of the sandbox remain in {folder}: {said.splitlines()[-1] if said else 'rm failed'}",
                hint=f"Look at them, then delete them: rm -rf {folder}",
            )
