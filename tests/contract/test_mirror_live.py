"""Live updates, by each watcher that has any."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from continue_exec.mirror.mirror import Mirror
from tests.support.mirror_target import WATCHERS, DiskTarget, make, tree

pytestmark = pytest.mark.may_block("the tests read and write the host's tree themselves")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    folder = tmp_path / "host"
    folder.mkdir()
    return folder


@pytest.fixture
def target(tmp_path: Path) -> DiskTarget:
    folder = tmp_path / "inside"
    folder.mkdir()
    return DiskTarget(folder)


@pytest.fixture
async def exact(host: Path) -> AsyncIterator[Mirror]:
    made = make(host)
    await made.start()
    yield made
    await made.stop()


async def until(target: DiskTarget, expected: Callable[[], bool]) -> None:
    """Wait for pushes until `expected`."""
    async with asyncio.timeout(20):
        while not expected():
            target.pushed.clear()
            await target.pushed.wait()


@pytest.mark.parametrize("kind", ["inotify", "portable"])
async def test_live(kind: str, host: Path, target: DiskTarget) -> None:
    (host / "d").mkdir()
    (host / "d" / "a").write_text("1")
    mirror = make(host, watcher=WATCHERS[kind])
    await mirror.start()
    async with asyncio.TaskGroup() as group:
        live = group.create_task(mirror.live(target))
        await until(target, lambda: tree(target.folder) == tree(host))
        (host / "d" / "a").write_text("2")
        await until(target, lambda: tree(target.folder) == tree(host))
        (host / "big").write_bytes(os.urandom(3 << 20))
        (host / "new" / "deep").mkdir(parents=True)
        (host / "new" / "deep" / "f").write_text("f")
        (host / "d" / "a").unlink()
        await until(target, lambda: tree(target.folder) == tree(host))
        (host / "new").rename(host / "newer")
        await until(target, lambda: tree(target.folder) == tree(host))
        live.cancel()
    await mirror.stop()


async def test_live_does_not_mirror_the_end_of_the_workspace(exact: Mirror, host: Path, target: DiskTarget) -> None:
    for number in range(300):
        (host / f"{number}").write_text("1")
    before = tree(host)
    async with asyncio.TaskGroup() as group:
        live = group.create_task(exact.live(target))
        await until(target, lambda: tree(target.folder) == before)
        for path in list(host.iterdir()):
            path.unlink()
            await asyncio.sleep(0.0005)
        host.rmdir()
        await asyncio.sleep(0.4)  # longer than deletions are held
        assert tree(target.folder) == before
        live.cancel()


async def test_flush_and_live_at_once(exact: Mirror, host: Path, target: DiskTarget) -> None:
    async with asyncio.TaskGroup() as group:
        live = group.create_task(exact.live(target))
        for number in range(100):
            (host / "f").write_text(str(number))
            await exact.flush(target)
            assert (target.folder / "f").read_text() == str(number)
        live.cancel()


async def test_stop_ends_it(host: Path, target: DiskTarget) -> None:
    mirror = make(host)
    await mirror.start()
    live = asyncio.ensure_future(mirror.live(target))
    (host / "f").write_text("1")
    await until(target, lambda: tree(target.folder) == tree(host))
    await mirror.stop()
    await asyncio.wait_for(live, 5)
