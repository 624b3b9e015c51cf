"""A target on disk, and mirrors in front of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from continue_exec.mirror.filter import IgnoreRules
from continue_exec.mirror.inotify import InotifyWatcher
from continue_exec.mirror.mirror import Mirror
from continue_exec.mirror.portable import PortableWatcher
from continue_exec.mirror.state import MirrorState
from continue_exec.mirror.watch import NoWatcher, Watcher
from continue_exec.protocol.agent import PushEntry, PushFailure, PushItem, PushResult


class DiskTarget:
    """Writes what is pushed below `folder`, as the agent does inside.

    `thorough`: a deleted folder goes with all that is in it; otherwise it stays while something is.
    """

    def __init__(self, folder: Path, *, thorough: bool = True) -> None:
        self.folder = folder
        self.thorough = thorough
        self.pushes: list[list[PushEntry]] = []
        self.fail: dict[str, str] = {}
        """Path → error code."""
        self.raises: Exception | None = None
        self.pushed = asyncio.Event()

    async def push(self, root: str, items: Iterable[PushItem]) -> PushResult:
        if self.raises is not None:
            raise self.raises
        result = await asyncio.to_thread(self._all, items)
        self.pushed.set()
        return result

    def _all(self, items: Iterable[PushItem]) -> PushResult:
        entries, failed = [], []
        for item in items:
            entries.append(item.entry)
            if code := self.fail.get(item.entry.path):
                failed.append(PushFailure(path=item.entry.path, code=code, message=code))
            else:
                self._write(item)
        self.pushes.append(entries)
        return PushResult(written=len(entries) - len(failed), failed=tuple(failed[:100]))

    def _write(self, item: PushItem) -> None:
        entry = item.entry
        assert entry.path and not entry.path.startswith("/") and ".." not in entry.path.split("/")
        path = os.path.join(self.folder, entry.path)
        if entry.kind == "delete":
            with suppress(FileNotFoundError, NotADirectoryError):
                if stat.S_ISDIR(os.lstat(path).st_mode):
                    if self.thorough:
                        shutil.rmtree(path)
                    with suppress(OSError):
                        os.rmdir(path)
                else:
                    os.unlink(path)
            return
        self._parents(os.path.dirname(path))
        folder = os.path.isdir(path) and not os.path.islink(path)
        if entry.kind == "dir":
            if not folder:
                with suppress(FileNotFoundError):
                    os.unlink(path)
                os.mkdir(path)
            os.chmod(path, entry.mode)
            return
        if folder:
            shutil.rmtree(path)
        temporary = path + ".pushing"
        if entry.kind == "symlink":
            os.symlink(entry.target, temporary)
        else:
            data = item.data.read_bytes() if isinstance(item.data, Path) else item.data or b""
            assert len(data) == entry.size
            Path(temporary).write_bytes(data)
            os.chmod(temporary, entry.mode)
            os.utime(temporary, ns=(entry.mtime_ns, entry.mtime_ns))
        os.replace(temporary, path)

    def _parents(self, folder: str) -> None:
        if os.path.isdir(folder) and not os.path.islink(folder):
            return
        self._parents(os.path.dirname(folder))
        if os.path.lexists(folder):
            os.unlink(folder)
        os.mkdir(folder)

    def paths(self) -> list[str]:
        """Paths of the last push."""
        return [entry.path for entry in self.pushes[-1]] if self.pushes else []


Tree = dict[str, tuple[str, int, bytes]]


def tree(folder: Path, prefix: str = "") -> Tree:
    """Path → kind, mode, content of everything below `folder`, `.git` excepted."""
    found: Tree = {}
    with os.scandir(folder) as listing:
        for entry in listing:
            path = prefix + entry.name
            mode = stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode)
            if entry.name == ".git":
                continue
            if entry.is_symlink():
                found[path] = ("link", 0, os.fsencode(os.readlink(entry.path)))
            elif entry.is_dir():
                found[path] = ("dir", mode, b"")
                found |= tree(Path(entry.path), path + "/")
            elif entry.is_file():
                found[path] = ("file", mode, Path(entry.path).read_bytes())
    return found


WATCHERS: dict[str, Callable[[str], Watcher]] = {
    "inotify": InotifyWatcher,
    "portable": PortableWatcher,
    "none": lambda _: NoWatcher("nothing is watched"),
}


def make(host: Path, *include: str, watcher: Callable[[str], Watcher] = InotifyWatcher) -> Mirror:
    """A mirror of `host` that keeps its state beside it."""
    return Mirror(host, IgnoreRules(include), MirrorState(host.parent / "mirror.state"), watcher=watcher)
