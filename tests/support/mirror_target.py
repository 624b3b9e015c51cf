"""A target on disk, and mirrors in front of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from continue_exec.mirror.filter import IgnoreRules
from continue_exec.mirror.inotify import InotifyWatcher
from continue_exec.mirror.mirror import Mirror
from continue_exec.mirror.portable import PortableWatcher
from continue_exec.mirror.state import MirrorState, digest
from continue_exec.mirror.watch import NoWatcher, Watcher
from continue_exec.protocol.agent import FileStat, PushEntry, PushFailure, PushItem, PushResult


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
        self._turn = threading.Lock()

    async def push(self, root: str, items: Iterable[PushItem]) -> PushResult:
        if self.raises is not None:
            raise self.raises
        result = await asyncio.to_thread(self._in_turn, items)
        self.pushed.set()
        return result

    def _in_turn(self, items: Iterable[PushItem]) -> PushResult:
        with self._turn:  # a push that was cancelled may still be at work
            return self._all(items)

    def _all(self, items: Iterable[PushItem]) -> PushResult:
        entries, failed = [], []
        for item in items:
            entries.append(item.entry)
            code = self.fail.get(item.entry.path)
            if code is None and not self._may(item.entry):
                code = "conflict"
            if code:
                failed.append(PushFailure(path=item.entry.path, code=code, message=code))
            else:
                self._write(item)
        self.pushes.append(entries)
        return PushResult(written=len(entries) - len(failed), failed=tuple(failed[:500]))

    async def look(self, root: str, paths: Iterable[str]) -> dict[str, str]:
        return {path: self._what(path) for path in paths}

    async def stat(self, path: str) -> FileStat:
        """As the agent's, of a path below the folder."""
        what = self._what(os.path.relpath(path, self.folder))
        kind, _, rest = what.partition(":")
        if kind == "f":
            size, mtime_ns, mode = rest.split(":")
            return FileStat(path=path, kind="file", size=int(size), mtime_ns=int(mtime_ns), mode=int(mode, 8))
        if kind == "l":
            return FileStat(path=path, kind="symlink", target=os.readlink(path))
        return FileStat(path=path, kind={"-": "missing", "d": "dir"}.get(kind, "other"))

    def _what(self, rel: str) -> str:
        """What stands at a path, in the words of `PushEntry.was`. Links on the way are not followed."""
        path = os.path.join(self.folder, rel)
        if os.path.realpath(os.path.dirname(path)) != os.path.dirname(path):
            return "-"
        try:
            found = os.lstat(path)
        except OSError:
            return "-"
        if stat.S_ISREG(found.st_mode):
            return f"f:{found.st_size}:{found.st_mtime_ns}:{stat.S_IMODE(found.st_mode):o}"
        if stat.S_ISLNK(found.st_mode):
            return f"l:{digest(os.fsencode(os.readlink(path))).hex()}"
        return "d" if stat.S_ISDIR(found.st_mode) else "other"

    def _may(self, entry: PushEntry) -> bool:
        """Whether what stands there is what the entry expects."""
        stands = self._what(entry.path)
        if entry.was and entry.kind != "delete" and self._blocked(entry.path):
            return False
        if entry.kind in ("file", "symlink") and entry.was == stands == "d":
            return not os.listdir(os.path.join(self.folder, entry.path))
        if entry.was in ("", stands) or (entry.kind == "delete" and stands == "-"):
            return True
        return entry.kind == "dir" and entry.was == "-" and stands == "d"

    def _blocked(self, rel: str) -> bool:
        """Whether something that is no folder stands on the way to a path."""
        above = [os.path.join(self.folder, parent) for parent in map(str, Path(rel).parents) if parent != "."]
        return any(os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path)) for path in above)

    def _write(self, item: PushItem) -> None:
        entry = item.entry
        assert entry.path and not entry.path.startswith("/") and ".." not in entry.path.split("/")
        path = os.path.join(self.folder, entry.path)
        if entry.kind == "delete":
            with suppress(FileNotFoundError, NotADirectoryError):
                if stat.S_ISDIR(os.lstat(path).st_mode):
                    if self.thorough and entry.was != "d":
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
