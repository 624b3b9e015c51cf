"""Host → sandbox: before every run, what changed in the host's repositories comes inside.

An unchanged repository costs some `stat`s. Nothing that the sandbox moved is overwritten (merge.py).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import posixpath
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...errors import ContinueExecError, SandboxLost
from ...protocol.agent import BIND_DIR
from ..repository import Signature, signature
from . import config, copy, host, index, names, process
from .host import Place, Snapshot, Unfit
from .inside import Inside, State, content, look, move, write, write_file
from .memory import Known, Memory
from .merge import NOTHING, UNKNOWN, Moves, View, may_follow, merge

log = logging.getLogger(__name__)

_YOUNG_S = 0.1
"""What changed so recently may change again without a new time: file systems count in ticks of some milliseconds."""
_MARK = b"# continue-exec: the host's objects\n"
"""A comment to git. A repository with this line is one that was made here, whatever else is forgotten."""
_FOLDERS = ("", "objects", "objects/info", "objects/pack", "refs", "refs/heads", "refs/tags")


class Files(Protocol):
    """What the mirror knows of the workspace's files."""

    def repositories(self) -> Mapping[str, str]:
        """Work trees at and below the workspace: relative path → absolute."""
        ...

    def holds(self, path: str) -> bool:
        """Whether a path of the workspace is inside."""
        ...


@dataclass
class _Seen:
    """A repository of the host as it was brought inside last."""

    place: Place
    signatures: dict[str, Signature | None]
    settled: bool
    note: str = ""

    def changed(self) -> bool:
        return not self.settled or any(signature(path) != found for path, found in self.signatures.items())


class Sync:
    """Brings the repositories of one workspace into one sandbox, for as long as that is up."""

    def __init__(self, workspace: str, memory: Memory, files: Files, named: Iterable[Path] = ()) -> None:
        """`named`: folders outside the workspace that the user lets its repositories lead to."""
        self.workspace = workspace
        self.memory = memory
        self._files = files
        self._named = tuple(named)
        self._seen: dict[str, _Seen] = {}
        self._bound: set[str] = set()
        self._lfs: bool | None = None
        self._lock = asyncio.Lock()

    async def bring_in(self, inside: Inside) -> tuple[str, ...]:
        """What the host's repositories hold is inside when this returns, but what the sandbox moved itself.

        Returns: what could not be, in words. Raises nothing but SandboxLost: a run is of use without Git, too.
        """
        notes: list[str] = []
        for rel, folder in self._files.repositories().items():
            seen = self._seen.get(rel)
            if seen is None or seen.changed() or self._arrived(rel):
                async with self._lock:
                    note = await self._one(inside, rel, folder)
            else:
                note = seen.note
            if note:
                notes.append(note)
        return tuple(notes)

    async def place(self, folder: str) -> Place:
        """Where the host's repository of a work tree is. Raises Unfit."""
        return await asyncio.to_thread(host.locate, self.workspace, folder, self._named)

    def _arrived(self, rel: str) -> bool:
        """Whether something is inside by now that the index there skips."""
        known = self.memory.known.get(rel)
        return known is not None and any(self._files.holds(posixpath.join(rel, path)) for path in known.skipped)

    async def _one(self, inside: Inside, rel: str, folder: str) -> str:
        """Bring one repository in; words for what is not as usual."""
        called = f"Git in {rel or 'the workspace'}"
        try:
            if os.path.relpath(folder, self.workspace).startswith(".."):
                raise Unfit("the workspace is only a part of its work tree")
            place = await self.place(folder)
            signatures = await asyncio.to_thread(host.signatures, place)
            snapshot = await asyncio.to_thread(host.read, place, lambda path: self._missing(rel, folder, path))
            note, done = await self._bring(inside, rel, place, snapshot)
        except Unfit as error:
            # Looked at again when what is said of it may have changed: it is cheap where there is nothing to be read.
            self._seen.pop(rel, None)
            return f"{called}: {error}"
        except SandboxLost:
            raise
        except ContinueExecError as error:
            log.warning("%s: %s", folder, error)
            self._seen.pop(rel, None)
            return f"{called}: {error.message}"
        now = time.time()
        settled = all(abs(now - found[0] / 1e9) > _YOUNG_S for found in signatures.values() if found)
        note = f"{called}: {note}" if note else ""
        self._seen[rel] = _Seen(place, signatures, settled and done, note)
        return note

    def _missing(self, rel: str, folder: str, path: str) -> bool:
        return not self._files.holds(posixpath.join(rel, path)) and os.path.lexists(os.path.join(folder, path))

    async def _bring(self, inside: Inside, rel: str, place: Place, snapshot: Snapshot) -> tuple[str, bool]:
        """Words for what was kept, and whether all is done: else the next run tries again."""
        state = await look(inside, place.folder)
        bound = await self._is_bound(inside, place)
        shown = [f"{BIND_DIR}/{host.bind_name(objects)}\n" for objects in place.objects] if bound else []
        known = self.memory.known.get(rel)
        ours = known is not None or _MARK in state.alternates
        if state.there and not ours:
            return "the sandbox has a repository of its own there; the host's stays out", True
        if not state.there and known is not None and known.files:
            return "it was removed inside, and stays so (`continue-exec rm` begins anew)", True
        if not bound:
            await copy.send(inside, place.folder, await asyncio.to_thread(copy.listed, place.objects))
        known = known or Known()
        files = {**snapshot.files, "config": await self._config(inside, snapshot)}
        files["objects/info/alternates"] = _MARK + "".join(shown).encode()
        if not state.there:
            await self._create(inside, place, snapshot, known, files)
            note, done = "", True
        else:
            note, done = await self._update(inside, place, snapshot, known, files, state)
        known.objects = list(place.objects)
        self.memory.known[rel] = known
        await asyncio.to_thread(self.memory.save)
        return note, done

    async def _create(
        self, inside: Inside, place: Place, snapshot: Snapshot, known: Known, files: dict[str, bytes]
    ) -> None:
        """Write all of it. HEAD comes last: until it is there, there is no repository."""
        packed = "".join(f"{oid} {name}\n" for name, oid in sorted(snapshot.refs.items(), key=lambda ref: ref[0]))
        everything = {name: (data, 0) for name, data in files.items() if data}
        everything["packed-refs"] = f"# pack-refs with:\n{packed}".encode(errors="surrogateescape"), 0
        for name, target in snapshot.links.items():
            everything[name] = f"ref: {target}\n".encode(errors="surrogateescape"), 0
        if snapshot.index is not None:
            everything["index"] = snapshot.index, snapshot.index_mtime_ns
        everything["HEAD"] = f"{snapshot.head}\n".encode(), 0
        await self._identity(inside, place)
        await write(inside, place.folder, everything, _FOLDERS)
        self._written(known, snapshot)
        known.base = View(snapshot.refs, snapshot.head, snapshot.digest)
        known.files = {name: _hash(data) for name, data in files.items()}

    async def _update(
        self,
        inside: Inside,
        place: Place,
        snapshot: Snapshot,
        known: Known,
        files: dict[str, bytes],
        state: State,
    ) -> tuple[str, bool]:
        """Move what only the host moved."""
        if state.locked:
            return "a git inside is at work on its index; it follows at the next run", False
        theirs = View(snapshot.refs, snapshot.head, snapshot.digest)
        own = View(state.refs, state.head, await self._digest(inside, place, snapshot, known, state))
        staged = may_follow(known.base, theirs, own) and await self._staged(inside, place.folder)
        moves = await asyncio.to_thread(
            lambda: merge(
                known.base, theirs, own, contains=lambda old, new: _contains(place.folder, old, new), staged=staged
            )
        )
        await self._files_of_git(inside, place, known, files)
        refused = await move(inside, place.folder, moves.refs)
        if refused:
            return f"its refs could not be moved inside ({refused}); it is tried again", False
        index_anew = own.digest == theirs.digest and list(snapshot.skipped) != known.skipped
        if moves.checkout or index_anew:
            parts = {"HEAD": (f"{snapshot.head}\n".encode(), 0)} if moves.checkout else {}
            if snapshot.index is not None:
                parts["index"] = snapshot.index, snapshot.index_mtime_ns
            await write(inside, place.folder, parts)
            self._written(known, snapshot)
        known.base = moves.base
        return _words(moves), True

    def _written(self, known: Known, snapshot: Snapshot) -> None:
        known.index = (snapshot.index_mtime_ns, len(snapshot.index)) if snapshot.index is not None else (0, 0)
        known.skipped = list(snapshot.skipped)

    async def _digest(self, inside: Inside, place: Place, snapshot: Snapshot, known: Known, state: State) -> str:
        """Of the index inside: read only if it is not the one that was written last."""
        if state.index.kind == "missing":
            return index.EMPTY
        if (state.index.mtime_ns, state.index.size) == known.index and known.base != NOTHING:
            return known.base.digest
        if state.index.kind != "file" or state.index.size > host.MAX_INDEX:
            return UNKNOWN
        data = await content(inside, f"{place.folder}/.git/index", host.MAX_INDEX)
        try:
            return await asyncio.to_thread(index.digest, data, snapshot.oid_size)
        except index.Unreadable:
            return UNKNOWN

    async def _staged(self, inside: Inside, folder: str) -> bool:
        said = await inside.command(("git", "diff-index", "--cached", "--quiet", "HEAD", "--"), folder)
        return said.code != 0

    async def _files_of_git(self, inside: Inside, place: Place, known: Known, files: dict[str, bytes]) -> None:
        """Write those of the small files that the host changed and the sandbox did not."""
        parts = {}
        for name, data in files.items():
            if known.files.get(name) == (new := _hash(data)):
                continue
            own = _hash(await content(inside, f"{place.folder}/.git/{name}", 1 << 20))
            if own == known.files.get(name, _hash(b"")) or name == "objects/info/alternates":
                parts[name] = data, 0
            known.files[name] = new
        if parts:
            await write(inside, place.folder, parts)

    async def _config(self, inside: Inside, snapshot: Snapshot) -> bytes:
        if self._lfs is None:
            self._lfs = await inside.which("git-lfs") is not None
        return config.for_inside(snapshot.settings, lfs=self._lfs).encode(errors="surrogateescape")

    async def _identity(self, inside: Inside, place: Place) -> None:
        """Name and address of the host's user, if the sandbox's has none: a commit needs them."""
        if (await inside.stat("/root/.gitconfig")).kind != "missing":
            return

        def ask(key: str) -> str:
            try:
                return os.fsdecode(process.run(place.folder, "config", "--get", key, ok=(0, 1))).rstrip("\n")
            except process.GitFailed:
                return ""

        name, email = await asyncio.to_thread(lambda: (ask("user.name"), ask("user.email")))
        if text := config.identity(name, email):
            await write_file(inside, "/root", ".gitconfig", text.encode())

    async def _is_bound(self, inside: Inside, place: Place) -> bool:
        """Whether all its folders of objects are shown. What was once shown is for as long as the sandbox is up."""
        for objects in place.objects:
            if objects not in self._bound:
                pack = await inside.stat(f"{BIND_DIR}/{host.bind_name(objects)}/pack")
                if pack.kind != "dir":
                    return False
                self._bound.add(objects)
        return True


def _contains(folder: str, old: str, new: str) -> bool:
    """Whether the host has the sandbox's commit `old`, and its own `new` contains it."""
    if not (names.is_oid(old) and names.is_oid(new)):
        return False
    try:
        process.run(folder, "merge-base", "--is-ancestor", old, new)
    except process.GitFailed:
        return False
    return True


def _words(moves: Moves) -> str:
    """What the user must know of what was kept."""
    if moves.kept:
        which = ", ".join(name.removeprefix("refs/heads/").removeprefix("refs/") for name in moves.kept[:5])
        return f"both sides moved {which}: the sandbox keeps its own; the host's branches are `host/*` inside"
    if moves.checkout_kept:
        return (
            "the sandbox keeps its branch and index, as both sides moved theirs (commit or unstage inside, to follow)"
        )
    return ""


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
