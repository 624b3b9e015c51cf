"""The sandbox's repository, read and written as files through the agent. All that is read here is the sandbox's word.

What is written goes to `.git` of the work tree inside; the agent follows no link that may be there instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from ...errors import ContinueExecError, NotFound, SandboxLost
from ...protocol.agent import FileStat, PushEntry, PushItem, PushResult
from . import names

MAX_LOOSE = 5000
"""Refs in files of their own that are read; git packs them long before."""
MAX_PACKED = 64 << 20
_DEPTH = 8
_SMALL = 4096
_GIT_S = 60.0
"""For git inside to move refs; thousands of new ones take seconds there."""
_AT_ONCE = 32


@dataclass(frozen=True)
class Said:
    """How a command of ours ended inside."""

    code: int
    out: bytes
    err: str
    """Its first words on standard error."""
    cut: bool = False
    """It said more than it may, or took too long, and was ended."""


class Inside(Protocol):
    """What of a sandbox is needed here. Each may raise SandboxLost, and NotFound for what is not there."""

    async def push(self, root: str, items: Iterable[PushItem]) -> PushResult:
        """Write files below `root`."""
        ...

    async def stat(self, path: str) -> FileStat:
        """lstat; `kind` is `missing` if it is not there."""
        ...

    async def list(self, path: str) -> tuple[FileStat, ...]:
        """Entries of a folder."""
        ...

    def read(self, path: str, offset: int = 0, length: int = -1) -> AsyncIterator[bytes]:
        """A file's bytes."""
        ...

    async def which(self, program: str) -> str | None:
        """Where a program is."""
        ...

    async def command(
        self,
        argv: tuple[str, ...],
        cwd: str,
        *,
        input: bytes = b"",
        into: BinaryIO | None = None,
        limit: int = 1 << 20,
        timeout_s: float = 30.0,
    ) -> Said:
        """Run a command of ours: standard output, up to `limit` bytes, into the answer or a file."""
        ...


@dataclass(frozen=True)
class State:
    """What the repository inside holds at one moment."""

    there: bool
    """It has a HEAD."""
    refs: dict[str, str]
    head: str
    index: FileStat
    locked: bool
    """Some git is at work on its index."""
    alternates: bytes


async def look(inside: Inside, folder: str) -> State:
    """Read the repository of the work tree `folder` inside."""
    git = f"{folder}/.git"
    head, packed, alternates, index, lock = await asyncio.gather(
        content(inside, f"{git}/HEAD", _SMALL),
        content(inside, f"{git}/packed-refs", MAX_PACKED),
        content(inside, f"{git}/objects/info/alternates", _SMALL),
        inside.stat(f"{git}/index"),
        inside.stat(f"{git}/index.lock"),
    )
    refs: dict[str, str] = {}
    for line in packed.decode(errors="surrogateescape").split("\n"):
        oid, _, name = line.partition(" ")
        if names.is_oid(oid) and name.startswith("refs/"):
            refs[name] = oid
    loose = [found.path for found in await _walk(inside, f"{git}/refs") if found.kind == "file"]
    for at in range(0, len(loose), _AT_ONCE):
        paths = loose[at : at + _AT_ONCE]
        texts = await asyncio.gather(*(content(inside, path, _SMALL) for path in paths))
        for path, text in zip(paths, texts, strict=True):
            if names.is_oid(oid := text.decode(errors="replace").strip()):
                refs[path.removeprefix(f"{git}/")] = oid
    return State(
        there=bool(head),
        refs=refs,
        head=head.decode(errors="replace").strip(),
        index=index,
        locked=lock.kind != "missing",
        alternates=alternates,
    )


async def trace(inside: Inside, folder: str) -> tuple[object, ...]:
    """Something that is not the same after a commit, a branch or a tag was made. A few questions to the agent."""
    git = f"{folder}/.git"
    heads, tags, *files = await asyncio.gather(
        _walk(inside, f"{git}/refs/heads"),
        _walk(inside, f"{git}/refs/tags"),
        inside.stat(f"{git}/HEAD"),
        inside.stat(f"{git}/packed-refs"),
    )
    return tuple((found.path, found.kind, found.mtime_ns, found.size) for found in (*heads, *tags, *files))


async def content(inside: Inside, path: str, limit: int) -> bytes:
    """Up to `limit` bytes of a file inside; empty if it is not there."""
    parts: list[bytes] = []
    try:
        async for piece in inside.read(path, 0, limit):
            parts.append(piece)
    except SandboxLost:
        raise
    except ContinueExecError:
        return b""
    return b"".join(parts)[:limit]


async def write(inside: Inside, folder: str, files: dict[str, tuple[bytes, int]], folders: Iterable[str] = ()) -> None:
    """Write files (path below `.git` → bytes, time of modification or 0) of the work tree `folder`; HEAD comes last.

    Raises:
        ContinueExecError: one could not be written.
    """
    parts = [PushItem(PushEntry(path=f".git/{name}".rstrip("/"), kind="dir", mode=0o755)) for name in folders]
    ordered = sorted(files, key=lambda name: name == "HEAD")
    for last in (False, True):
        for name in ordered:
            if (name == "HEAD") == last:
                data, mtime_ns = files[name]
                entry = PushEntry(path=f".git/{name}", kind="file", size=len(data), mtime_ns=mtime_ns)
                parts.append(PushItem(entry, data))
        if parts:
            await pushed(inside, folder, parts)
        parts = []


async def write_file(inside: Inside, folder: str, name: str, data: bytes) -> None:
    """Write one file.

    Raises:
        ContinueExecError: it could not be written.
    """
    await pushed(inside, folder, [PushItem(PushEntry(path=name, kind="file", size=len(data)), data)])


async def move(inside: Inside, folder: str, refs: Mapping[str, tuple[str, str]]) -> str:
    """Move refs by git inside, which checks under its own locks that they are where we saw them.

    Args:
        refs: name → object id or "" for none, and what it is now.

    Returns: why they could not be moved, in words; "" if they were.
    """
    gone = {name for name, (new, _) in refs.items() if not new}
    # In two steps: a branch `a` must be gone before there can be an `a/b`.
    for part in (gone, refs.keys() - gone):
        if not part:
            continue
        lines = []
        for name in sorted(part):
            new, old = refs[name]
            verb, values = ("update", f"{new}\0{old or '0' * len(new)}") if new else ("delete", old)
            lines.append(f"{verb} {name}\0{values}\0".encode(errors="surrogateescape"))
        argv = ("git", "update-ref", "--no-deref", "-m", "continue-exec: as on the host", "-z", "--stdin")
        try:
            said = await inside.command(argv, folder, input=b"".join(lines), timeout_s=_GIT_S)
        except SandboxLost:
            raise
        except ContinueExecError as error:
            return error.message
        if said.code != 0:
            return names.shown(said.err) or f"exit code {said.code}"
    return ""


async def pushed(inside: Inside, root: str, items: list[PushItem]) -> None:
    """Push, and fail if one of the entries did.

    Raises:
        ContinueExecError: one could not be written.
    """
    result = await inside.push(root, items)
    if result.failed:
        first = result.failed[0]
        raise ContinueExecError(f"{first.path} could not be written inside: {first.message}")


async def _walk(inside: Inside, top: str, depth: int = 0) -> list[FileStat]:
    """Folders and files at and below a folder inside; locks left out."""
    try:
        listed = await inside.list(top)
    except NotFound:
        return []
    except SandboxLost:
        raise
    except ContinueExecError:
        return []
    found = []
    for entry in listed:
        # The agent is not believed either: what it lists lies in the folder that was asked for.
        if entry.path.rpartition("/")[0] != top or entry.path.endswith(".lock"):
            continue
        found.append(entry)
        if entry.kind == "dir" and depth < _DEPTH and len(found) < MAX_LOOSE:
            found += await _walk(inside, entry.path, depth + 1)
    return found[:MAX_LOOSE]
