"""Whatever both sides do, in whatever order: each path is alike, or a change, or a conflict; and nothing is lost."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continue_exec.agent.connection import AgentConnection
from continue_exec.app import agent_binary
from continue_exec.drivers.base import SandboxSpec
from continue_exec.drivers.fake import FakeDriver
from tests.support.both_sides import Elsewhere, Oracle, lose, on_disk, remove

pytestmark = pytest.mark.may_block("the test reads and writes both trees itself")

Step = tuple[Any, ...]
"""What is done, and with what."""

NAMES = ["a", "b", "d", "x.py", "é"]
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=2).map("/".join)
LINES = st.lists(st.sampled_from(["one\n", "two\n", "three\n", "four\n"]), min_size=3, max_size=8)
TEXTS = st.one_of(
    LINES.map(lambda lines: "".join(lines).encode()), st.sampled_from([b"", b"\0\1\2", b"\0\1\3", b"no end", b"\xff\n"])
)
LINKS = st.sampled_from(["a", "../b", "nowhere", "/etc/passwd"])
SIDES = st.sampled_from(["host", "inside", "inside"])


def place(world: Oracle, side: str, path: str) -> Path:
    found: Path = getattr(world, side) / path
    for parent in reversed(found.relative_to(getattr(world, side)).parents):
        above = getattr(world, side) / parent
        # Steps never write through links: that would be outside.
        if above.is_symlink():
            raise OSError("a link is in the way")
    found.parent.mkdir(parents=True, exist_ok=True)
    return found


def write(world: Oracle, side: str, path: str, data: bytes) -> None:
    found = place(world, side, path)
    if found.is_symlink():
        found.unlink()
    found.write_bytes(data)


def change_line(world: Oracle, side: str, path: str, at: int, line: bytes) -> None:
    found = place(world, side, path)
    if found.is_symlink():
        return
    lines = found.read_bytes().splitlines(keepends=True)
    at %= len(lines) or 1
    lines[at : at + 1] = [line]
    found.write_bytes(b"".join(lines))


def buffer(world: Oracle, path: str, text: str | None) -> None:
    if any((world.host / part).is_symlink() for part in [path, *map(str, Path(path).parents)]):
        return
    if any(known.startswith(path + "/") or path.startswith(known + "/") for known in world.buffers):
        return  # two files, of which one would be a folder
    if text is None:
        world.buffers.pop(path, None)
    else:
        world.buffers[path] = text
    world.mirror.set_buffers("editor", {path: text})


def step(do: Callable[..., Any], *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    """As data, so that a failure shows what was done."""
    return st.tuples(st.just(do), *arguments)


def delete(world: Oracle, side: str, path: str) -> None:
    remove(place(world, side, path))


def rename(world: Oracle, side: str, old: str, new: str) -> None:
    place(world, side, old).rename(place(world, side, new))


def chmod(world: Oracle, side: str, path: str, mode: int) -> None:
    found = place(world, side, path)
    if not found.is_symlink():
        found.chmod(mode)


def link(world: Oracle, side: str, path: str, target: str) -> None:
    place(world, side, path).symlink_to(target)


def mkdir(world: Oracle, side: str, path: str) -> None:
    place(world, side, path).mkdir()


NEW_LINES = st.sampled_from([b"new\n", b"newer\n", b""])
MODES = st.sampled_from([0o755, 0o700, 0o644])
EDITS = st.one_of(
    step(write, SIDES, PATHS, TEXTS),
    step(change_line, SIDES, PATHS, st.integers(0, 9), NEW_LINES),
    step(change_line, SIDES, PATHS, st.integers(0, 9), NEW_LINES),
    step(delete, SIDES, PATHS),
    step(rename, SIDES, PATHS, PATHS),
    step(chmod, SIDES, PATHS, MODES),
    step(link, SIDES, PATHS, LINKS),
    step(mkdir, SIDES, PATHS),
)


async def edit(world: Oracle, what: Step) -> None:
    world.edit(bound(what))


async def flush(world: Oracle) -> None:
    await world.flush()


async def check(world: Oracle) -> None:
    await world.check()


async def apply_all(world: Oracle, yes: bool) -> None:
    await world.apply_all(yes)


async def pick(world: Oracle, number: int, how: str, stale: Step | None) -> None:
    await world.pick(number, how, bound(stale) if stale else None)


async def run(world: Oracle, steps: list[Step]) -> None:
    await world.run([bound(one) for one in steps])


async def go_back(world: Oracle, number: int) -> None:
    await world.go_back(number)


async def restart(world: Oracle, killed: bool, which: str, how: str) -> None:
    await world.close(killed=killed)
    if which:
        lose(world.base / which, how)
    await world.open()


def bound(what: Step) -> Callable[[Oracle], Any]:
    do, *arguments = what
    return lambda world: do(world, *arguments)


FILES = st.sampled_from(["", "", "mirror.state", "mirror.bases", "history", "history.blobs"])
TURNS = st.one_of(
    step(edit, EDITS),
    step(edit, EDITS),
    step(edit, EDITS),
    step(edit, step(buffer, PATHS, st.one_of(st.none(), LINES.map("".join)))),
    step(flush),
    step(check),
    step(apply_all, st.booleans()),
    step(
        pick,
        st.integers(0, 9),
        st.sampled_from(["whole", "hunks", "merged", "discard"]),
        st.one_of(st.none(), EDITS),
    ),
    step(run, st.lists(EDITS, max_size=4)),
    step(go_back, st.integers(0, 9)),
    step(restart, st.booleans(), FILES, st.sampled_from(["lost", "torn"])),
)


async def play(world: Oracle, turns: list[Step]) -> None:
    await world.open()
    try:
        for name in ("a", "b", "d/x.py"):
            world.edit(lambda w, name=name: write(w, "host", name, b"one\ntwo\nthree\nfour\none\ntwo\n"))  # type: ignore[misc]
        await world.check()
        for turn in turns:
            await bound(turn)(world)
        await world.check()
    finally:
        await world.close()


@settings(max_examples=60, deadline=None)
@given(turns=st.lists(TURNS, min_size=1, max_size=14))
def test_alike_or_told_and_nothing_lost(turns: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as base:
        asyncio.run(play(Oracle(Path(base), on_disk(Path(base))), turns))


async def play_with_the_agent(base: Path, turns: list[Step]) -> None:
    spec = SandboxSpec("sb", base / "sandbox", base / "run", base / "work", agent_binary())
    driver = FakeDriver()
    machine = await driver.start(spec)
    connection = await AgentConnection.open(machine.doorbell, spec.sockets)
    try:
        await play(Oracle(base, Elsewhere(connection, base / "host", base / "inside")), turns)
    finally:
        await connection.close()
        await driver.destroy(spec)


@settings(max_examples=15, deadline=None)
@given(turns=st.lists(TURNS, min_size=3, max_size=20))
def test_the_same_with_the_real_agent(turns: list[Step]) -> None:
    with tempfile.TemporaryDirectory(prefix="cx-", dir="/tmp") as base:
        asyncio.run(play_with_the_agent(Path(base), turns))
