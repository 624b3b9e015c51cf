"""The tree below a folder, as far as it is mirrored."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .filter import Filter, Scope, Verdict
from .watch import Watcher

SPECIAL = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


class LeftOut(dict[str, str]):
    """Path → why it stays out, in words, for those a user should hear of."""

    def drop(self, rel: str) -> None:
        """Forget a path and what is below it."""
        if not rel:
            self.clear()
        elif self:
            below = rel + "/"
            for path in [key for key in self if key == rel or key.startswith(below)]:
                del self[path]


@dataclass
class Tree:
    """What a walk found, by path below the workspace."""

    folders: dict[str, os.stat_result] = field(default_factory=dict)
    files: dict[str, os.stat_result] = field(default_factory=dict)
    """Regular files and symbolic links."""
    unread: set[str] = field(default_factory=set)
    """Folders that could not be read: nothing is known of what is below."""


def walk(
    root: str,
    start: str,
    rules: Filter,
    watcher: Watcher,
    left_out: LeftOut,
    tree: Tree,
    each: Callable[[], None] = lambda: None,
) -> None:
    """Add to `tree` what is mirrored at and below `start`, which is a folder that is mirrored itself.

    Each folder is watched before it is read, so that nothing that appears meanwhile is missed. `each` is called when
    one has been read; what is in the tree by then may be taken out.
    """
    todo = [start]
    while todo:
        rel = todo.pop()
        path = os.path.join(root, rel) if rel else root
        watcher.add(rel)
        try:
            with os.scandir(path) as listing:
                entries = list(listing)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                left_out[rel or "."] = f"unreadable: {error.strerror}"
                tree.unread.add(rel)
            elif not rel:
                tree.unread.add(rel)  # the workspace is gone: nothing follows from that
            continue
        scope = rules.scope(rel, {entry.name for entry in entries})
        _entries(entries, rules, scope, tree, left_out, todo)
        each()


def _entries(
    entries: Iterable[os.DirEntry[str]], rules: Filter, scope: Scope, tree: Tree, left_out: LeftOut, todo: list[str]
) -> None:
    for entry in entries:
        name = entry.name
        try:
            folder = entry.is_dir(follow_symlinks=False)
            verdict = rules.decide(scope, name, folder)
            if verdict is Verdict.OUT:
                continue
            rel = scope.prefix + name
            if verdict is Verdict.SECRET:
                left_out[rel] = "secret"
                continue
            if verdict is Verdict.THROUGH:
                todo.append(rel)
                continue
            found = entry.stat(follow_symlinks=False)
        except OSError:
            continue  # gone already
        if stat.S_ISDIR(found.st_mode):
            tree.folders[rel] = found
            todo.append(rel)
        elif stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode):
            tree.files[rel] = found
        else:
            left_out[rel] = SPECIAL.get(stat.S_IFMT(found.st_mode), "a special file")
