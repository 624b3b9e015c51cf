from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from continue_exec.mirror import inotify
from continue_exec.mirror.inotify import InotifyWatcher


@pytest.fixture
async def watcher(tmp_path: Path) -> Iterator[InotifyWatcher]:
    made = InotifyWatcher(str(tmp_path))
    made.add("")
    yield made
    made.close()


async def test_what_happened_before_drain_is_in_it(watcher: InotifyWatcher, tmp_path: Path) -> None:
    for turn in range(200):
        (tmp_path / f"{turn}").write_text("x")
        assert f"{turn}" in watcher.drain().paths


async def test_a_folder_replaced_under_its_name_is_watched_anew(watcher: InotifyWatcher, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    watcher.add("d")
    (tmp_path / "d").rmdir()
    (tmp_path / "d").mkdir()
    assert "d" in watcher.drain().trees
    watcher.add("d")
    (tmp_path / "d" / "x").write_text("x")
    assert "d/x" in watcher.drain().paths


async def test_a_folder_moved_before_the_news_is_read(watcher: InotifyWatcher, tmp_path: Path) -> None:
    (tmp_path / "d" / "sub").mkdir(parents=True)
    watcher.add("d")
    watcher.add("d/sub")
    watcher.drain()
    (tmp_path / "d").rename(tmp_path / "e")
    watcher.add("e")  # a walk came first
    watcher.add("e/sub")
    watcher.drain()
    (tmp_path / "e" / "sub" / "x").write_text("x")
    assert watcher.drain().paths == {"e/sub/x"}
    assert watcher.watching("e") and not watcher.watching("d")


async def test_a_folder_moved_out_is_not_heard_any_more(
    watcher: InotifyWatcher, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (tmp_path / "d").mkdir()
    watcher.add("d")
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "d"
    (tmp_path / "d").rename(elsewhere)
    assert "d" in watcher.drain().paths
    (elsewhere / "x").write_text("x")
    assert not watcher.drain()


async def test_overflow_means_rescan(watcher: InotifyWatcher, tmp_path: Path) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("")
    for _ in range(limit // 2 + 10):
        os.rename(one, two)
        os.rename(two, one)
    changes = watcher.drain()
    while not changes.rescan:
        more = watcher.drain()
        assert more
        changes.rescan |= more.rescan
    assert changes.rescan


async def test_no_watches_left(watcher: InotifyWatcher, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        ctypes.set_errno(errno.ENOSPC)
        return -1

    monkeypatch.setattr(watcher, "_add_watch", refuse)
    watcher.add("d")
    assert not watcher.exact and "max_user_watches" in watcher.note
    assert not watcher.drain()
    watcher.add("e")


async def test_no_instances_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Libc:
        class Function:
            argtypes: tuple[object, ...] = ()

            def __call__(self, *_: object) -> int:
                ctypes.set_errno(errno.EMFILE)
                return -1

        inotify_add_watch = inotify_rm_watch = inotify_init1 = Function()

    monkeypatch.setattr(inotify.ctypes, "CDLL", lambda *_, **__: Libc())
    with pytest.raises(OSError, match="max_user_instances"):
        InotifyWatcher(str(tmp_path))
