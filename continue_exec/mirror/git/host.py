"""The host's repository: where its parts are, whether they may be shown inside, and what it holds now.

A workspace may say of itself what it likes: its `.git` may point to another repository of this user, its `objects`
may be a link to the home directory, its alternates may name someone's private history. What is shown inside must
lie in the workspace, or in a repository that names the workspace as its own, or be named by the user's settings.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..repository import Signature, common_dir_of, read_rules, signature
from . import config, index, names, process

MAX_REFS = 100_000
MAX_INDEX = 512 << 20
_DEPTH = 5
"""Of alternates of alternates, as in git."""


class Unfit(Exception):
    """The repository cannot be inside; says why, in words."""


@dataclass(frozen=True)
class Place:
    """Where a repository is. All paths are absolute, with links resolved."""

    folder: str
    """Its work tree."""
    git_dir: str
    common: str
    objects: tuple[str, ...]
    """Its folders of objects: its own, then the alternates'."""
    trusted: tuple[str, ...] = ()
    """What is read must lie in one of these."""

    def path(self, name: str, *, shared: bool = True) -> str:
        """Where a file of the repository is; empty if it leads out of what is trusted."""
        found = os.path.join(self.common if shared else self.git_dir, name)
        return found if _within(os.path.realpath(found), self.trusted) else ""

    def read(self, name: str, *, shared: bool = True) -> bytes:
        """A small file of the repository; empty if it is not there, or no file, or not its own."""
        path = self.path(name, shared=shared)
        return read_rules(path) if path else b""


@dataclass(frozen=True)
class Snapshot:
    """What a repository holds at one moment."""

    refs: dict[str, str]
    """Name → object id."""
    links: dict[str, str]
    """Symbolic refs: name → name."""
    head: str
    """Object id, or `ref: refs/heads/main`."""
    index: bytes | None
    index_mtime_ns: int
    digest: str
    """Of the index."""
    skipped: tuple[str, ...]
    """Paths of the index that are on the host and not inside."""
    settings: tuple[config.Setting, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)
    """Path below `.git` → content: shallow, info/exclude, info/sparse-checkout."""
    oid_size: int = 20


def locate(workspace: str, folder: str, named: Iterable[Path] = ()) -> Place:
    """Where the repository of the work tree `folder` is. Blocks; starts git only for a `.git` that leads out.

    Args:
        workspace: absolute, links resolved.
        folder: at or below it, the same.
        named: folders outside that the user's settings name.

    Raises:
        Unfit: there is none, or what it names is not proven to be its own.
    """
    trusted = [workspace, *(os.path.realpath(path) for path in named)]
    dot = os.path.join(folder, ".git")
    git_dir = os.path.realpath(_pointed(dot))
    if not os.path.isdir(git_dir):
        raise Unfit(f"{dot} leads to nothing")
    if not _within(git_dir, trusted):
        owner = _claimed(dot, folder, git_dir)
        if owner is None:
            raise Unfit(f"{dot} leads to {git_dir}, which does not name this folder: name it in `git_folders`")
        trusted.append(owner)
    common = os.path.realpath(common_dir_of(git_dir))
    objects = os.path.realpath(os.path.join(common, "objects"))
    for part in (common, objects):
        if not _within(part, trusted) or not os.path.isdir(part):
            raise Unfit(f"{git_dir} leads to {part}, which is not part of it: name that in `git_folders`")
    found: list[str] = []
    _alternates(objects, trusted, found)
    return Place(folder, git_dir, common, tuple(found), tuple(trusted))


def _pointed(dot: str) -> str:
    """Where a `.git` leads: itself, or what is written in it (gitrepository-layout(5))."""
    try:
        kind = os.stat(dot).st_mode
    except OSError:
        raise Unfit(f"there is no {dot}") from None
    if stat.S_ISDIR(kind):
        return dot
    text = os.fsdecode(read_rules(dot)).strip()
    if not text.startswith("gitdir:"):
        raise Unfit(f"{dot} is neither a folder nor names one")
    return os.path.join(os.path.dirname(dot), text.removeprefix("gitdir:").strip())


def _claimed(dot: str, folder: str, git_dir: str) -> str | None:
    """The folder to trust if the repository at `git_dir` names this work tree as its own."""
    back = os.fsdecode(read_rules(os.path.join(git_dir, "gitdir"))).strip()
    if back and os.path.realpath(os.path.join(git_dir, back)) == os.path.realpath(dot):
        # A linked work tree: COMMON/worktrees/NAME, with the way back in it.
        return os.path.dirname(os.path.dirname(git_dir))
    file = os.path.join(git_dir, "config")
    try:
        listed = process.run(git_dir, "config", "-f", file, "--no-includes", "--get", "core.worktree", ok=(0, 1))
    except process.GitFailed:
        return None
    back = os.fsdecode(listed).rstrip("\n")
    if back and os.path.realpath(os.path.join(git_dir, back)) == os.path.realpath(folder):
        return git_dir  # a submodule
    return None


def _alternates(objects: str, trusted: list[str], found: list[str], depth: int = 0) -> None:
    """Collect `objects` and, from its info/alternates, all that it borrows from."""
    if objects in found:
        return
    found.append(objects)
    for line in os.fsdecode(read_rules(os.path.join(objects, "info", "alternates"))).split("\n"):
        if not line or line.startswith("#"):
            continue
        other = os.path.realpath(os.path.join(objects, line))
        if not _within(other, trusted) or not os.path.isdir(other) or depth >= _DEPTH:
            raise Unfit(f"{objects} borrows objects from {other}, outside the workspace: name that in `git_folders`")
        _alternates(other, trusted, found, depth + 1)


def submodule_objects(place: Place) -> list[str]:
    """Folders of objects of the submodules that this repository keeps, below COMMON/modules."""
    found = []
    top = os.path.join(place.common, "modules")
    for folder, inner, _ in os.walk(top):
        if "objects" in inner and "refs" in inner:
            inner[:] = [name for name in inner if name == "modules"]
            objects = os.path.join(folder, "objects")
            if _within(os.path.realpath(objects), place.trusted):
                found.append(os.path.realpath(objects))
    return found


def bind_name(objects: str) -> str:
    """What a folder of objects is called inside: the same at every start."""
    return hashlib.sha256(os.fsencode(objects)).hexdigest()[:12]


def signatures(place: Place) -> dict[str, Signature | None]:
    """Of every file and folder that changes when the repository does."""
    shared = (
        "packed-refs", "config", "shallow", "info/exclude", "objects/info/alternates", "reftable/tables.list", "refs"
    )  # fmt: skip
    own = ("HEAD", "index", "config.worktree", "info/sparse-checkout")
    paths = [*(os.path.join(place.common, name) for name in shared), *(os.path.join(place.git_dir, n) for n in own)]
    for folder, inner, _ in os.walk(os.path.join(place.common, "refs")):
        paths.extend(os.path.join(folder, name) for name in inner)
    return {path: signature(path) for path in paths}


def read(place: Place, missing: Callable[[str], bool]) -> Snapshot:
    """Everything that goes inside, but objects. Blocks for some milliseconds, more for a large index.

    Args:
        place: where it is.
        missing: whether a path below the work tree is on the host and not inside.

    Raises:
        Unfit: it cannot be read.
    """
    try:
        settings = _settings(place)
        algorithm = [value for section, _, name, value in settings if (section, name) == ("extensions", "objectformat")]
        oid_size = 32 if "sha256" in algorithm else 20
        refs, links = refs_of(place, *names.MIRRORED)
        refs = {name: oid for name, oid in refs.items() if names.is_mirrored(name)}
        data, mtime_ns = _index(place)
        skipped: list[str] = []
        if data is not None:
            data, skipped = index.fit(data, place.folder, oid_size, missing)
        return Snapshot(
            refs=refs,
            links=links,
            head=_head(place),
            index=data,
            index_mtime_ns=mtime_ns,
            digest=index.digest(data, oid_size),
            skipped=tuple(skipped),
            settings=tuple(settings),
            files={
                "shallow": place.read("shallow"),
                "info/exclude": place.read("info/exclude"),
                "info/sparse-checkout": place.read("info/sparse-checkout", shared=False),
            },
            oid_size=oid_size,
        )
    except (process.GitFailed, index.Unreadable) as error:
        raise Unfit(str(error)) from None


def _settings(place: Place) -> list[config.Setting]:
    found = []
    for path in (place.path("config"), place.path("config.worktree", shared=False)):
        if path and os.path.isfile(path):
            found += config.parse(process.run(place.git_dir, "config", "-f", path, "--no-includes", "-z", "--list"))
    return found


def refs_of(place: Place, *prefixes: str) -> tuple[dict[str, str], dict[str, str]]:
    """The host's refs below `prefixes`: name → object id, and the symbolic ones: name → name.

    Raises:
        Unfit: there are too many. GitFailed: git refused.
    """
    form = "--format=%(refname)%00%(objectname)%00%(symref)"
    listed = process.run(place.folder, "for-each-ref", form, f"--count={MAX_REFS + 1}", *prefixes)
    refs, links = {}, {}
    for line in os.fsdecode(listed).split("\n"):
        if not line:
            continue
        name, oid, link = line.split("\0")
        if link:
            links[name] = link
        elif names.is_oid(oid):
            refs[name] = oid
    if len(refs) > MAX_REFS:
        raise Unfit(f"it has more than {MAX_REFS} refs")
    return refs, links


def _head(place: Place) -> str:
    text = os.fsdecode(place.read("HEAD", shared=False)).strip()
    if text == "ref: refs/heads/.invalid":  # reftable
        text = os.fsdecode(process.run(place.folder, "symbolic-ref", "-q", "HEAD", ok=(0, 1))).strip()
        if text:
            return f"ref: {text}"
        text = os.fsdecode(process.run(place.folder, "rev-parse", "HEAD")).strip()
    if not names.is_oid(text) and not (text.startswith("ref: refs/") and text.isprintable()):
        raise Unfit(f"its HEAD is {text[:80]!r}")
    return text


def _index(place: Place) -> tuple[bytes | None, int]:
    path = place.path("index", shared=False)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None, 0
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            return None, 0
        if found.st_size > MAX_INDEX:
            raise Unfit(f"its index is larger than {MAX_INDEX} bytes")
        return file.read(), found.st_mtime_ns


def _within(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)
