"""Sandbox → host: commits made inside come home as refs/continue-exec/SANDBOX/*.

git inside makes a pack of what the host lacks; pack.py checks it and takes it. The host's git never has the sandbox's
repository before it, neither as a repository nor as a remote: its hooks, settings and refs are never read as such.
Branches and tags of the host itself are not touched: a person merges.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import ContinueExecError, SandboxLost
from ...protocol.changes import GitRef, GitRefs
from . import host, names, pack, process
from .host import Place, Unfit
from .inside import Inside, State, look, trace
from .memory import Known
from .sync import Sync

log = logging.getLogger(__name__)

MAX_REFS = 1000
"""Refs that come home at once."""
_PACK_S = 300.0
"""For git inside to make the pack; a hundred thousand objects take half a minute there."""


@dataclass
class _Coming:
    """What is to come home from one repository."""

    wanted: dict[str, str] = field(default_factory=dict)
    """Ref inside, or HEAD → object id."""
    notes: list[str] = field(default_factory=list)


class Fetch:
    """Brings commits of one sandbox home, for as long as that is up."""

    def __init__(self, sync: Sync, sandbox_id: str, scratch: Path) -> None:
        """`scratch`: a folder of ours for what is not checked yet."""
        self._sync = sync
        self._sandbox_id = sandbox_id
        self._scratch = scratch
        self._traces: dict[str, tuple[object, ...]] = {}
        self._lock = asyncio.Lock()
        """Not the sync's: a git inside that does not end must not hold up runs."""

    async def changed(self, inside: Inside) -> bool:
        """Whether refs inside may have moved since the last `fetch`. Some questions to the agent, no git."""
        for rel, folder in self._repositories():
            if await trace(inside, folder) != self._traces.get(rel):
                return True
        return False

    async def fetch(self, inside: Inside) -> GitRefs:
        """Bring home what was committed inside, by branch and tag, from each repository.

        Nothing of a repository comes if something of it is refused; `notes` then say why.
        """
        refs: list[GitRef] = []
        notes: list[str] = []
        async with self._lock:
            for rel, folder in self._repositories():
                self._traces[rel] = await trace(inside, folder)
                try:
                    found, said = await self._one(inside, rel, folder)
                except SandboxLost:
                    raise
                except (Unfit, pack.Refused, process.GitFailed) as error:
                    found, said = [], [f"nothing came home: {error}"]
                except ContinueExecError as error:
                    found, said = [], [f"nothing came home: {error.message}"]
                refs += found
                # git's words quote what it found, and that is the sandbox's.
                notes += [names.shown(f"{rel or 'The workspace'}: {note}", 500) for note in said]
        return GitRefs(refs=tuple(refs), notes=tuple(notes))

    def _repositories(self) -> list[tuple[str, str]]:
        workspace = self._sync.workspace
        return [(rel, os.path.join(workspace, rel) if rel else workspace) for rel in sorted(self._sync.memory.known)]

    async def _one(self, inside: Inside, rel: str, folder: str) -> tuple[list[GitRef], list[str]]:
        known = self._sync.memory.known[rel]
        state = await look(inside, folder)
        if not state.there:
            return [], []
        place = await self._sync.place(folder)
        prefix = f"{names.HOME}{self._sandbox_id}/"
        theirs, _ = await asyncio.to_thread(host.refs_of, place, *names.MIRRORED, prefix)
        home = {name: oid for name, oid in theirs.items() if name.startswith(prefix)}
        coming = choose(state, known, theirs, self._sandbox_id)
        if not coming.wanted:
            return [], coming.notes
        news = {
            name: oid for name, oid in coming.wanted.items() if home.get(names.at_home(name, self._sandbox_id)) != oid
        }
        if news:
            oid_size = len(next(iter(news.values()))) // 2
            await self._take(inside, place, known, news, list(theirs.values()), oid_size)
            await asyncio.to_thread(self._move, place, news, home)
        subjects = await asyncio.to_thread(_subjects, place, prefix)
        return [self._said(rel, name, oid, home, subjects) for name, oid in coming.wanted.items()], coming.notes

    async def _take(
        self, inside: Inside, place: Place, known: Known, news: dict[str, str], tips: list[str], oid_size: int
    ) -> None:
        """Have a pack made inside and take it, if it is sound."""
        # What an engine that was killed has left goes first.
        await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)
        self._scratch.mkdir(mode=0o700, parents=True)
        base = [oid for oid in (*known.base.refs.values(), known.base.head) if names.is_oid(oid)]
        with tempfile.TemporaryDirectory(dir=self._scratch, prefix="pack-") as made:
            path = Path(made, "pack")
            # With all that the host has as boundary the pack is smallest; a sandbox with copies may lack some of it.
            for have in ([*base, *tips], base, []):
                said = await self._pack(inside, place.folder, path, list(news.values()), have)
                if said == "":
                    break
            else:
                raise pack.Refused(f"git inside made no pack: {said}")
            await asyncio.to_thread(pack.take, place, path, news, [*base, *tips], oid_size)

    async def _pack(self, inside: Inside, folder: str, path: Path, want: list[str], have: list[str]) -> str:
        """Write a pack to `path`; words for why there is none."""
        argv = ("git", "pack-objects", "--revs", "--thin", "--stdout", "--delta-base-offset", "-q")
        lines = [*dict.fromkeys(want), *(f"^{oid}" for oid in dict.fromkeys(have))]
        data = "".join(f"{line}\n" for line in lines).encode()
        with path.open("wb") as into:
            said = await inside.command(argv, folder, input=data, into=into, limit=pack.MAX_BYTES, timeout_s=_PACK_S)
        if said.cut:
            raise pack.Refused(f"it took longer than {_PACK_S:.0f} s, or is larger than {pack.MAX_BYTES >> 20} MiB")
        return "" if said.code == 0 else names.shown(said.err) or f"exit code {said.code}"

    def _move(self, place: Place, news: dict[str, str], home: dict[str, str]) -> None:
        """Set the host's refs. All of them or none; what one was before stays in its reflog."""
        for top in ("refs", "logs/refs"):
            # Links in a `.git` that came from anywhere must not make us write elsewhere.
            if not place.path(f"{top}/{names.HOME.removeprefix('refs/')}{self._sandbox_id}/HEAD"):
                raise pack.Refused(f"{top} of {place.common} leads out of the repository")
        lines = []
        for name, oid in news.items():
            at = names.at_home(name, self._sandbox_id)
            lines.append(f"update {at}\0{oid}\0{home.get(at, '0' * len(oid))}\0".encode())
        message = "continue-exec fetch"
        verb = ("update-ref", "--no-deref", "--create-reflog", "-m", message, "-z", "--stdin")
        process.run(place.folder, *verb, input=b"".join(lines))

    def _said(self, rel: str, name: str, oid: str, home: dict[str, str], subjects: dict[str, str]) -> GitRef:
        at = names.at_home(name, self._sandbox_id)
        return GitRef(
            name=name,
            host_name=at,
            commit=oid,
            old_commit=home.get(at, ""),
            subject=subjects.get(at, ""),
            repository=rel,
        )


@dataclass(frozen=True)
class GitInside:
    """Both directions of one sandbox."""

    sync: Sync
    home: Fetch


def choose(state: State, known: Known, theirs: dict[str, str], sandbox_id: str) -> _Coming:
    """Which refs of the sandbox were moved or made there, and may come home.

    Args:
        state: the sandbox's repository.
        known: what both last had in common.
        theirs: the host's refs, those that came home before included.
        sandbox_id: whose they are.
    """
    coming = _Coming()
    taken = [name for name in theirs if name.startswith(f"{names.HOME}{sandbox_id}/")]
    moved = {
        name: oid
        for name, oid in sorted(state.refs.items())
        if name.startswith(names.COMING_HOME) and oid not in (known.base.refs.get(name), theirs.get(name))
    }
    if names.is_oid(state.head) and state.head != known.base.head and state.head not in theirs.values():
        moved["HEAD"] = state.head
    for name, oid in moved.items():
        at = names.at_home(name, sandbox_id)
        fault = names.fault(name) if name != "HEAD" else ""
        rivals = [other for other in taken if other.startswith(f"{at}/") or at.startswith(f"{other}/")]
        if not fault and rivals:
            fault = f"{rivals[0]} is in its way: `git update-ref -d {rivals[0]}` removes that"
        if not fault and len(coming.wanted) >= MAX_REFS:
            fault = f"more than {MAX_REFS} came before it"
        if fault:
            if len(coming.notes) < 20:
                coming.notes.append(f"{names.shown(name)} did not come home: {fault}")
            continue
        coming.wanted[name] = oid
        taken.append(at)
    return coming


def _subjects(place: Place, prefix: str) -> dict[str, str]:
    """Name → first line of the commit's message, fit to be shown."""
    listed = process.run(place.folder, "for-each-ref", "--format=%(refname)%00%(subject)", prefix)
    rows = (line.split("\0", 1) for line in listed.decode(errors="replace").split("\n") if "\0" in line)
    return {name: names.shown(subject) for name, subject in rows}
