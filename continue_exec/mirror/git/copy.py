"""Objects for a repository that appeared after the sandbox was started: copied now, shown from the next start on.

Objects never change, so only those are copied whose names are not inside yet.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from ...errors import NotFound
from ...protocol.agent import PushEntry, PushItem
from .host import Unfit
from .inside import Inside, pushed

LIMIT = 512 << 20
"""Bytes. More are not copied: at the next start they are shown, which costs nothing."""

_LOOSE = re.compile(r"[0-9a-f]{2}/[0-9a-f]{38}(?:[0-9a-f]{24})?")
_PACK = re.compile(r"pack/pack-[0-9a-f]{40}(?:[0-9a-f]{24})?\.(?:pack|idx)")


def listed(objects: Iterable[str]) -> dict[str, tuple[Path, int]]:
    """The host's files of objects: name → path, size. Blocks."""
    found: dict[str, tuple[Path, int]] = {}
    for top in objects:
        for folder in os.listdir(top):
            path = os.path.join(top, folder)
            if (len(folder) != 2 and folder != "pack") or os.path.islink(path) or not os.path.isdir(path):
                continue
            with os.scandir(path) as entries:
                for entry in entries:
                    name = f"{folder}/{entry.name}"
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode) and (_LOOSE.fullmatch(name) or _PACK.fullmatch(name)):
                        found[name] = Path(entry.path), status.st_size
    return found


async def send(inside: Inside, folder: str, found: dict[str, tuple[Path, int]]) -> int:
    """Copy what is missing of `found` into the repository of the work tree `folder`; returns how many files.

    Raises:
        Unfit: it is too much.
        ContinueExecError: it could not be written.
    """
    there = await _there(inside, f"{folder}/.git/objects")
    missing = {name: file for name, file in found.items() if name not in there}
    if (size := sum(size for _, size in missing.values())) > LIMIT:
        raise Unfit(f"its {size >> 20} MiB of objects are shown from the next start on: `continue-exec stop`")
    # A pack is of use once its index is there: that comes second.
    for wanted in (False, True):
        items = [
            PushItem(PushEntry(path=f".git/objects/{name}", kind="file", mode=0o444, size=size), path)
            for name, (path, size) in sorted(missing.items())
            if name.endswith(".idx") == wanted
        ]
        if items:
            await pushed(inside, folder, items)
    return len(missing)


async def _there(inside: Inside, top: str) -> set[str]:
    found = set()
    try:
        folders = [entry.path for entry in await inside.list(top) if entry.kind == "dir"]
        for folder in folders:
            name = folder.rpartition("/")[2]
            if len(name) == 2 or name == "pack":
                found |= {f"{name}/{entry.path.rpartition('/')[2]}" for entry in await inside.list(folder)}
    except NotFound:
        pass
    return found
