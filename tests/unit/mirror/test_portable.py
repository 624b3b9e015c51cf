from __future__ import annotations

import asyncio
from pathlib import Path

from continue_exec.mirror.portable import PortableWatcher


async def test_through_a_linked_root(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    watcher = PortableWatcher(str(tmp_path / "link"))
    (tmp_path / "real" / "made").mkdir()
    found: set[str] = set()
    trees: set[str] = set()
    while "made" not in found:
        await watcher.wait()
        changes = watcher.drain()
        found |= changes.paths
        trees |= changes.trees
    assert "made" in trees and not any(path.startswith("..") for path in found)
    watcher.close()


async def test_close_while_a_thread_waits(tmp_path: Path) -> None:
    watcher = PortableWatcher(str(tmp_path))
    waiting = asyncio.ensure_future(watcher.wait())
    await asyncio.sleep(0.02)
    watcher.close()
    await asyncio.wait_for(waiting, 5)
    watcher.add("")
    assert watcher.watching("") and not watcher.exact
