"""A pack from the sandbox: checked in quarantine, then taken into the host's objects. Blocks throughout.

The quarantine is a repository of our own with nothing in it but the pack; it borrows the host's objects. There git
unpacks, checks every object (fsck: names of paths, `.gitmodules`, …), every link, and that all history down to what
the host has is there. Only then are the objects written to the host's, by git again, which never reads the
configuration of either repository for it. What fails leaves nothing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from . import process
from .host import Place

MAX_BYTES = 1 << 30
"""Of a pack. More history than that comes home in parts, or not at all."""
MAX_OBJECTS = 2_000_000
LIMITS = (300, 4 << 20, 8 << 20)
"""Seconds of CPU, KiB of memory, 512-byte blocks of a file: what a pack that swells may cost (a MiB of it can stand for
a GiB, or by chains of deltas for any number)."""
_TIMEOUT_S = 600.0
_LOOSE = 100
"""So few objects become files of their own, as with `git fetch` (fetch.unpackLimit)."""

_MODEST = (
    "-c", "pack.threads=1", "-c", "core.packedGitWindowSize=32m", "-c", "core.packedGitLimit=256m",
    # An object that would be streamed to disk is kept in memory instead, where its size meets the limit.
    "-c", "core.bigFileThreshold=64g",
)  # fmt: skip


class Refused(Exception):
    """The pack is not taken; says why, in words."""


def objects_in(pack: Path) -> int:
    """How many objects a pack announces (gitformat-pack(5)).

    Raises:
        Refused: it is no pack, or has too many.
    """
    with pack.open("rb") as file:
        head = file.read(12)
    if len(head) < 12 or head[:4] != b"PACK":
        raise Refused("what came is no pack")
    count = int.from_bytes(head[8:12], "big")
    if count > MAX_OBJECTS:
        raise Refused(f"it has {count} objects, more than {MAX_OBJECTS}")
    return count


def take(place: Place, pack: Path, wanted: Mapping[str, str], tips: Iterable[str], oid_size: int) -> None:
    """Take the objects of `pack` into the host's repository.

    Args:
        place: the host's repository.
        pack: what came, a file.
        wanted: refs of the sandbox → object ids that must be whole afterwards.
        tips: object ids that the host's refs have.
        oid_size: 20 or 32.

    Raises:
        Refused: an object is missing, broken, or not what it must be; it is too large. The host is as it was.
    """
    count = objects_in(pack)
    with os.scandir(place.objects[0]) as entries:
        if links := [entry.name for entry in entries if entry.is_symlink()]:
            raise Refused(f"{place.objects[0]}/{links[0]} is a link: what is written there would lie elsewhere")
    with tempfile.TemporaryDirectory(dir=pack.parent, prefix="quarantine-") as folder:
        quarantine = _make(Path(folder), place, oid_size)
        try:
            if count:
                with pack.open("rb") as file:
                    _git(quarantine, "index-pack", "--stdin", "--fix-thin", "--strict", input=file)
            _check(quarantine, wanted, tips)
            for found in quarantine.glob("objects/pack/*.pack"):
                _install(quarantine, found, place)
        except process.GitFailed as error:
            raise Refused(str(error).replace(str(quarantine), "the objects")) from None


def _make(folder: Path, place: Place, oid_size: int) -> Path:
    """An empty repository that borrows the host's objects."""
    for name in ("refs", "objects/pack", "objects/info"):
        (folder / name).mkdir(parents=True)
    (folder / "HEAD").write_text("ref: refs/heads/none\n")
    version = "repositoryformatversion = 1\n[extensions]\nobjectformat = sha256\n" if oid_size == 32 else ""
    (folder / "config").write_text(f"[core]\nbare = true\n{version or 'repositoryformatversion = 0'}\n")
    lines = "".join(f'"{_quoted(path)}"\n' for path in place.objects)
    (folder / "objects/info/alternates").write_bytes(os.fsencode(lines))
    if shallow := place.read("shallow"):
        (folder / "shallow").write_bytes(shallow)
    return folder


def _quoted(path: str) -> str:
    return path.replace("\\", "\\\\").replace('"', '\\"')


def _check(quarantine: Path, wanted: Mapping[str, str], tips: Iterable[str]) -> None:
    """Everything that the wanted objects lead to is there, down to what the host's refs have."""
    oids = list(wanted.values())
    asked = "".join(f"{oid}\n" for oid in oids).encode()
    kinds = _git(quarantine, "cat-file", "--batch-check=%(objecttype)", input=asked).decode().splitlines()
    for name, kind in zip(wanted, kinds, strict=True):
        if kind not in (("commit", "tag", "tree", "blob") if name.startswith("refs/tags/") else ("commit",)):
            raise Refused(f"{name} leads to no commit")
    # A ref of the host may be broken already: what is not there cannot be a boundary.
    asked = "".join(f"{oid}\n" for oid in dict.fromkeys(tips)).encode()
    there = _git(quarantine, "cat-file", "--batch-check=%(objectname) %(objecttype)", input=asked).decode()
    have = [line.split()[0] for line in there.splitlines() if not line.endswith("missing")]
    lines = "".join(f"{oid}\n" for oid in oids) + "".join(f"^{oid}\n" for oid in have)
    _git(quarantine, "rev-list", "--objects", "--quiet", "--stdin", input=lines.encode())


def _install(quarantine: Path, pack: Path, place: Place) -> None:
    """Write the checked pack's objects to the host's own folder of objects."""
    verb = ("unpack-objects", "-q") if objects_in(pack) < _LOOSE else ("index-pack", "--stdin")
    with pack.open("rb") as file:
        _git(quarantine, *verb, input=file, objects=place.objects[0])


def _git(quarantine: Path, *arguments: str, input: object, objects: str = "") -> bytes:
    env = {"GIT_DIR": str(quarantine), **({"GIT_OBJECT_DIRECTORY": objects} if objects else {})}
    return process.run(
        str(quarantine),
        *_MODEST,
        *arguments,
        input=input,  # type: ignore[arg-type]
        env=env,
        limits=LIMITS,
        timeout_s=_TIMEOUT_S,
    )
