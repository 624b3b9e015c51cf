"""Whatever is done to the host's tree, after a flush the target holds what git says it should.

The oracle is git itself: `ls-files` for what is tracked or not ignored, `check-ignore` for folders, and a shadow
repository in which .continueexecignore files are called .gitignore.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continue_exec.app import agent_binary
from continue_exec.mirror.filter import IgnoreRules
from continue_exec.mirror.inotify import InotifyWatcher
from continue_exec.mirror.mirror import Mirror
from continue_exec.mirror.state import MirrorState
from continue_exec.mirror.watch import NoWatcher, Watcher
from tests.support.mirror_target import DiskTarget, Tree, tree

pytestmark = pytest.mark.may_block("the test reads and writes the host's tree itself")

Step = Callable[["World"], None]


class World:
    """A host folder, its mirror, a target."""

    def __init__(self, base: Path, make_watcher: Callable[[str], Watcher], thorough: bool, git: bool) -> None:
        self.host = base / "host"
        self.host.mkdir()
        (base / "inside").mkdir()
        # Links lead here, and steps write through them: never to a place of the host's own.
        (base / "outside").mkdir()
        self.base, self.make_watcher, self.is_git = base, make_watcher, git
        self.target = DiskTarget(base / "inside", thorough=thorough)
        self.buffers: dict[str, str] = {}
        self.parents: set[str] = set()
        """Of every file that an editor ever held."""
        if git:
            self.git(self.host, "init", "-q")
        self.mirror = self.fresh()

    def fresh(self) -> Mirror:
        return Mirror(self.host, IgnoreRules(), MirrorState(self.base / "mirror.state"), watcher=self.make_watcher)

    def git(self, folder: Path, *arguments: str, text: bytes = b"") -> bytes:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, input=text, capture_output=True, check=False).stdout

    async def restart(self) -> None:
        await self.mirror.stop()
        self.mirror = self.fresh()
        await self.mirror.start()
        self.mirror.set_buffers("editor", self.buffers)

    def ignored(self, folder: Path, paths: list[str]) -> set[str]:
        text = b"".join(os.fsencode(path) + b"\0" for path in paths)
        out = self.git(folder, "check-ignore", "--stdin", "-z", "-v", "-n", "--no-index", text=text) if paths else b""
        fields = out.split(b"\0")[:-1]
        rows = zip(fields[::4], fields[2::4], fields[3::4], strict=True)
        return {os.fsdecode(path) for source, pattern, path in rows if source and not pattern.startswith(b"!")}

    def expected(self) -> Tree:
        found = tree(self.host)
        for path, text in sorted(self.buffers.items()):
            parents = [str(parent) for parent in Path(path).parents][:-1]
            kinds = {found[parent][0] for parent in parents if parent in found}
            # A text cannot be where something other than a folder stands in its way.
            if kinds <= {"dir"} and found.get(path, ("file",))[0] == "file":
                mode = found[path][1] if path in found else 0o644
                found[path] = ("file", mode, text.encode())
        shadow = Path(tempfile.mkdtemp(dir=self.base))
        outer = self.host if self.is_git else Path(tempfile.mkdtemp(dir=self.base))
        for folder in {shadow, outer} - {self.host}:
            self.git(folder, "init", "-q")
        for path, (kind, _, data) in sorted(found.items()):
            for folder, name in ((shadow, ".continueexecignore"), (outer, ".gitignore")):
                if folder == self.host:
                    continue
                with suppress(OSError):
                    if kind == "dir":
                        (folder / path).mkdir(parents=True)
                    elif kind == "file" and path.rpartition("/")[2] == name:
                        (folder / path).with_name(".gitignore").write_bytes(data)
        paths = list(found)
        tracked = (
            set(os.fsdecode(self.git(self.host, "ls-files", "-z", "--cached")).split("\0")) if self.is_git else set()
        )
        tracked |= {str(parent) for path in tracked if path for parent in Path(path).parents}
        out = (self.ignored(outer, paths) - tracked) | self.ignored(shadow, paths)
        for path in list(found):
            parts = path.split("/")
            secret = ".env" in parts or (parts[-1] == "k.key" and found[path][0] != "dir")
            if secret or path in out:
                del found[path]
        return found

    def unlink(self) -> None:
        """Editors close what has become a link: the oracle does not follow them."""
        for path in list(self.buffers):
            if any((self.host / part).is_symlink() for part in [path, *map(str, Path(path).parents)]):
                self.mirror.set_buffers("editor", {path: None})
                del self.buffers[path]

    async def check(self) -> None:
        await self.mirror.flush(self.target)
        expected, there = self.expected(), tree(self.target.folder)
        # Folders that had to be made for an editor's file have any mode, and may stay when it goes.
        for path in self.parents:
            if path in expected and expected[path][0] == "dir" and path in there:
                there[path] = expected[path]
            elif path not in expected and there.get(path, ("",))[0] == "dir":
                del there[path]
        assert there == expected


NAMES = ["a", "b", "d", "x.py", "y.pyc", "z.log", ".env", "k.key", "é", os.fsdecode(b"\xff")]
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
FOLDERS = st.lists(st.sampled_from(["a", "b", "d"]), min_size=0, max_size=2).map("/".join)
TEXT = st.sampled_from(["", "1", "22", "333"])
RULES = st.lists(
    st.sampled_from(["*.pyc", "a/", "/b", "!x.py", "d/*", "!d/x.py", "**/z.log", "*", "!a", "b/a/", "é", "a/**/x.py"]),
    max_size=3,
).map("\n".join)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def place(world: World, path: str) -> Path:
    found = world.host / path
    found.parent.mkdir(parents=True, exist_ok=True)
    return found


def buffer(world: World, path: str, text: str | None) -> None:
    # Editors open files, not what lies behind links.
    if any((world.host / part).is_symlink() for part in [path, *map(str, Path(path).parents)]):
        return
    world.mirror.set_buffers("editor", {path: text})
    if text is None:
        world.buffers.pop(path, None)
    else:
        world.buffers[path] = text
        world.parents |= {str(parent) for parent in Path(path).parents} - {"."}


def relink(world: World, path: str, to: str) -> None:
    if to == "outside":
        to = str(world.base / "outside")
    if not any(known == path or known.startswith(path + "/") for known in world.buffers):
        place(world, path).symlink_to(to)


STEPS = st.one_of(
    st.builds(lambda p, t: lambda w: place(w, p).write_text(t), PATHS, TEXT),
    st.builds(lambda p, t: lambda w: place(w, p).write_text(t), PATHS, TEXT),
    st.builds(lambda p: lambda w: remove(w.host / p), PATHS),
    st.builds(lambda p: lambda w: place(w, p).mkdir(), PATHS),
    st.builds(lambda p, q: lambda w: (w.host / p).rename(place(w, q)), PATHS, PATHS),
    st.builds(
        lambda p, m: lambda w: (w.host / p).chmod(m, follow_symlinks=True), PATHS, st.sampled_from([0o755, 0o700])
    ),
    st.builds(lambda p, q: lambda w: relink(w, p, q), PATHS, st.sampled_from(["a", "outside", "../b", "loop"])),
    st.builds(lambda f, t: lambda w: (w.host / f / ".gitignore").write_text(t), FOLDERS, RULES),
    st.builds(lambda f, t: lambda w: (w.host / f / ".continueexecignore").write_text(t), FOLDERS, RULES),
    st.builds(lambda p: lambda w: w.is_git and w.git(w.host, "add", "-f", p), PATHS),
    st.builds(lambda p, t: lambda w: buffer(w, p, t), PATHS, st.one_of(st.none(), TEXT)),
)


async def play(world: World, turns: list[list[Step]], restarts: list[bool], seeded: bool) -> None:
    await world.mirror.start()
    try:
        for turn, restart in zip(turns, restarts, strict=False):
            for step in turn:
                with suppress(OSError):
                    step(world)
            world.unlink()
            if seeded:
                # The first mirror is written on the host: what is there then must not be told from what was pushed.
                seeded = False
                await world.mirror.seed(agent_binary(), world.target.folder)
            if restart:
                await world.restart()
            await world.check()
    finally:
        await world.mirror.stop()


@settings(max_examples=60, deadline=None)
@given(
    turns=st.lists(st.lists(STEPS, min_size=1, max_size=6), min_size=1, max_size=6),
    restarts=st.lists(st.booleans(), min_size=6, max_size=6),
    exact=st.sampled_from([True, True, False]),
    thorough=st.booleans(),
    git=st.sampled_from([True, True, False]),
    seeded=st.booleans(),
)
def test_the_target_holds_what_git_says(
    turns: list[list[Step]], restarts: list[bool], exact: bool, thorough: bool, git: bool, seeded: bool
) -> None:
    with tempfile.TemporaryDirectory() as base:
        watcher: Callable[[str], Watcher] = InotifyWatcher if exact else lambda _: NoWatcher("")
        asyncio.run(play(World(Path(base), watcher, thorough, git), turns, restarts, seeded))
