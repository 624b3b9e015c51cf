"""From what may have changed to what is to be pushed. Runs in a worker thread when there is much to look at."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field

from .filter import RULE_FILES, Filter, Verdict
from .state import MirrorState, Seen
from .walk import SPECIAL, LeftOut, Tree, walk
from .watch import Watcher


@dataclass
class Plan:
    """What is to be done inside, in this order."""

    deletes: list[str] = field(default_factory=list)
    """What is in a folder comes before the folder."""
    folders: list[tuple[str, os.stat_result]] = field(default_factory=list)
    """A folder comes before what is in it."""
    files: list[tuple[str, os.stat_result | None]] = field(default_factory=list)
    """Files and links to look into; None: there is only an editor's text."""

    def __bool__(self) -> bool:
        return bool(self.deletes or self.folders or self.files)

    def replaces(self, state: MirrorState) -> bool:
        """Whether a file takes a folder's place or the other way round: then the order above must not be broken up."""
        return any(_kind(state, path) == "d" for path, _ in self.files) or any(
            _kind(state, path) in ("f", "l") for path, _ in self.folders
        )


@dataclass
class Planner:
    """Compares the host's tree with what is known to be inside."""

    root: str
    rules: Filter
    watcher: Watcher
    state: MirrorState
    left_out: LeftOut

    def full(self, buffers: Iterable[str]) -> Plan:
        """Look at everything."""
        self.rules.drop("")
        return self._plan({""}, set(), buffers)

    def some(self, paths: set[str], trees: set[str], buffers: Iterable[str]) -> Plan:
        """Look at `paths`, and at everything below `trees`."""
        trees = set(trees)
        for path in paths:
            parent, _, name = path.rpartition("/")
            if name in RULE_FILES:
                trees.add(parent)
        # What was a folder for a moment may be anything by now.
        passed = {tree for tree in trees if tree and not self._is_folder(tree)}
        trees, paths = trees - passed, paths | passed
        trees = {tree for tree in trees if not _below(tree, trees)}
        for tree in trees:
            self.rules.drop(tree)
        return self._plan(trees, {path for path in paths if path not in trees and not _below(path, trees)}, buffers)

    def _plan(self, trees: set[str], paths: set[str], buffers: Iterable[str]) -> Plan:
        plan = Plan()
        texts = set(buffers)
        gone: set[str] = set()
        more: set[str] = set()
        for path in paths:
            self._one(path, texts, plan, gone, more)
        tree = Tree()
        walked = {top for top in trees | more if not _below(top, trees | more)}
        for top in walked:
            self._tree(top, tree, gone)
        self._compare(tree, walked, gone, texts, plan)
        plan.deletes.sort(reverse=True)
        plan.folders.sort()
        return plan

    def _one(self, path: str, texts: set[str], plan: Plan, gone: set[str], more: set[str]) -> None:
        """One path that may have changed."""
        if not path:
            return  # the workspace itself: its times or mode; whether it is there is the mirror's to see
        self.left_out.pop(path, None)
        try:
            found = os.lstat(os.path.join(self.root, path))
        except OSError:
            self.left_out.drop(path)
            never_saved = path in texts and self._never_saved(path)
            if never_saved:
                plan.files.append((path, None))
            if not never_saved or _kind(self.state, path) == "d":
                gone.add(path)
            return
        folder = stat.S_ISDIR(found.st_mode)
        verdict = self.rules.decide_path(path, folder)
        old = self.state.entries.get(path)
        if verdict is Verdict.SECRET:
            self.left_out[path] = "secret"
        if folder and verdict in (Verdict.IN, Verdict.THROUGH):
            if old is None or old.kind != "d" or not self.watcher.watching(path):
                more.add(path)
            elif old.mode != stat.S_IMODE(found.st_mode) & 0o777:
                plan.folders.append((path, found))
        elif verdict is Verdict.IN and (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
            if old is not None and old.kind == "d":
                gone.add(path)
            if path in texts or not same(old, found):
                plan.files.append((path, found))
        else:
            if verdict is Verdict.IN:
                self.left_out[path] = SPECIAL.get(stat.S_IFMT(found.st_mode), "a special file")
            gone.add(path)

    def _tree(self, top: str, tree: Tree, gone: set[str]) -> None:
        """Everything at and below a folder, if it is there and mirrored."""
        self.left_out.drop(top)
        if top:
            try:
                found = os.lstat(os.path.join(self.root, top))
            except OSError:
                return
            if not stat.S_ISDIR(found.st_mode):
                # It became something else just now: the news of that is still to come.
                return
            verdict = self.rules.decide_path(top, True)
            if verdict is Verdict.SECRET:
                self.left_out[top] = "secret"
            if verdict not in (Verdict.IN, Verdict.THROUGH):
                return
            if verdict is Verdict.IN:
                tree.folders[top] = found
        walk(self.root, top, self.rules, self.watcher, self.left_out, tree)

    def _compare(self, tree: Tree, walked: set[str], gone: set[str], texts: set[str], plan: Plan) -> None:
        entries = self.state.entries
        for path, found in tree.folders.items():
            old = entries.get(path)
            if old is None or old.kind != "d" or old.mode != stat.S_IMODE(found.st_mode) & 0o777:
                plan.folders.append((path, found))
        for path, found in tree.files.items():
            if path in texts or not same(entries.get(path), found):
                plan.files.append((path, found))
        planned = {path for path, _ in plan.files}
        for path in texts - planned - tree.files.keys() - tree.folders.keys():
            # A new file that was never saved, where everything was looked at or its folder vanished.
            if (_below(path, walked) or _below(path, gone)) and self._never_saved(path):
                plan.files.append((path, None))
        # Folders that are gone, yet hold an editor's file that was never saved.
        needed = {folder for path, found in plan.files if found is None for folder in _parents(path)}
        # Only a folder that vanished, or was walked, makes it necessary to go through all that is inside.
        if walked or any(_kind(self.state, path) == "d" or self.rules.visited(path) for path in gone):
            candidates = set(entries)
        else:
            candidates = gone & entries.keys()
        written = tree.files.keys() | {path for path, _ in plan.files}
        # Only what is known to have come from here is ever deleted: a folder that the agent had to make for an editor's
        # file or for what an include pattern names stays, as the sandbox may have put things in it.
        for path in candidates:
            if path in written or path in tree.folders or (path in needed and entries[path].kind == "d"):
                continue
            if _at_or_below(path, gone) or (_at_or_below(path, walked) and not _at_or_below(path, tree.unread)):
                plan.deletes.append(path)

    def _is_folder(self, path: str) -> bool:
        try:
            return stat.S_ISDIR(os.lstat(os.path.join(self.root, path)).st_mode)
        except OSError:
            return False

    def _never_saved(self, path: str) -> bool:
        """Whether an editor's file that is mirrored is not on disk and could be."""
        try:
            os.lstat(os.path.join(self.root, path))
        except OSError as error:
            # ENOTDIR: a file has taken the place of the folder that it was to be in.
            return error.errno == errno.ENOENT and self.rules.decide_path(path, False) is Verdict.IN
        return False


def _kind(state: MirrorState, path: str) -> str:
    found = state.entries.get(path)
    return found.kind if found else ""


def same(old: Seen | None, found: os.stat_result) -> bool:
    """Whether a file's metadata proves that it is as it was when it was mirrored."""
    return (
        old is not None
        and old.ctime_ns != 0
        and old.ctime_ns == found.st_ctime_ns
        and old.mtime_ns == found.st_mtime_ns
        and old.size == found.st_size
        and old.inode == found.st_ino
        and old.mode == stat.S_IMODE(found.st_mode) & 0o777
        and (old.kind == "l") == stat.S_ISLNK(found.st_mode)
    )


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _below(path: str, folders: Set[str]) -> bool:
    """Whether a folder of `folders` holds `path`, at any depth."""
    if not folders or not path:
        return False
    return "" in folders or any(parent in folders for parent in _parents(path))


def _at_or_below(path: str, folders: Set[str]) -> bool:
    return path in folders or _below(path, folders)
