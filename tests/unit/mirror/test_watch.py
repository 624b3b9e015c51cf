"""What every watcher owes, held against each."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from continue_exec.mirror.inotify import InotifyWatcher
from continue_exec.mirror.portable import PortableWatcher
from continue_exec.mirror.watch import Changes, NoWatcher, Watcher, choose

KINDS: dict[str, Callable[[str], Watcher]] = {"inotify": InotifyWatcher, "portable": PortableWatcher}


@pytest.fixture(params=KINDS)
async def watcher(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watcher]:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").write_text("old")
    made = KINDS[request.param](str(tmp_path))
    made.add("")
    made.add("folder")
    yield made
    made.close()


async def heard(watcher: Watcher, *paths: str) -> Changes:
    """Wait until every path of `paths` has been reported; the test's timeout bounds it."""
    found = Changes()
    while not set(paths) <= found.paths:
        if not watcher.exact:
            await watcher.wait()
        changes = watcher.drain()
        if watcher.exact:
            assert changes, f"reported only {found.paths}"
        found.paths |= changes.paths
        found.trees |= changes.trees
        found.rescan |= changes.rescan
    return found


async def test_create_write_delete(watcher: Watcher, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    await heard(watcher, "a")
    (tmp_path / "a").write_text("2")
    await heard(watcher, "a")
    (tmp_path / "a").unlink()
    await heard(watcher, "a")


async def test_rename_reports_both_names(watcher: Watcher, tmp_path: Path) -> None:
    (tmp_path / "folder" / "old").rename(tmp_path / "new")
    await heard(watcher, "folder/old", "new")


async def test_a_new_folder_is_a_tree(watcher: Watcher, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    assert "made" in (await heard(watcher, "made")).trees


async def test_a_moved_folder_reports_under_its_new_name(watcher: Watcher, tmp_path: Path) -> None:
    (tmp_path / "folder").rename(tmp_path / "moved")
    await heard(watcher, "folder", "moved")
    watcher.add("moved")
    (tmp_path / "moved" / "x").write_text("x")
    await heard(watcher, "moved/x")


async def test_mode_and_links(watcher: Watcher, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    await heard(watcher, "link")
    (tmp_path / "folder" / "old").chmod(0o755)
    await heard(watcher, "folder/old")


async def test_names_that_are_not_utf8(watcher: Watcher, tmp_path: Path) -> None:
    if isinstance(watcher, PortableWatcher):
        # It reports them mangled; a flush finds them by looking.
        (tmp_path / "plain").write_text("")
        await heard(watcher, "plain")
        return
    name = os.fsdecode(b"\xff\xfe")
    (tmp_path / name).write_text("")
    await heard(watcher, name)


async def test_wait_ends_when_closed(watcher: Watcher) -> None:
    waiting = asyncio.ensure_future(watcher.wait())
    await asyncio.sleep(0)
    watcher.close()
    await asyncio.wait_for(waiting, 5)


async def test_wait_can_be_cancelled_and_repeated(watcher: Watcher, tmp_path: Path) -> None:
    waiting = asyncio.ensure_future(watcher.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    (tmp_path / "a").write_text("1")
    await asyncio.wait_for(watcher.wait(), 10)


async def test_choose_takes_what_the_host_has(tmp_path: Path) -> None:
    watcher = choose(str(tmp_path))
    assert watcher.exact is (sys.platform == "linux")
    watcher.close()


async def test_choose_never_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(root: str) -> Watcher:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("continue_exec.mirror.inotify.InotifyWatcher", refuse)
    monkeypatch.setattr("continue_exec.mirror.portable.PortableWatcher", refuse)
    assert "Too many open files" in choose(str(tmp_path)).note


async def test_no_watcher_knows_nothing(tmp_path: Path) -> None:
    watcher = NoWatcher("because")
    watcher.add("")
    (tmp_path / "a").write_text("1")
    assert not watcher.drain() and not watcher.exact and not watcher.watching("") and watcher.note == "because"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watcher.wait(), 0.01)
    watcher.close()
