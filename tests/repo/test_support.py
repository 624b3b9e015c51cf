"""What watches the tests is watched, too: a guard that sees nothing guards nothing."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import time
from pathlib import Path

import pytest

from tests.support import loopwatch, machine


@pytest.mark.may_block("to be caught at it")
async def test_a_blocked_loop_is_seen() -> None:
    with loopwatch.watch() as watch:
        asyncio.get_running_loop().call_soon(time.sleep, loopwatch.LIMIT_SECONDS + 0.1)
        await asyncio.sleep(0.01)
    assert len(watch.blocked) == 1
    assert "sleep" in watch.blocked[0]


async def test_collecting_garbage_is_not_blocking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopwatch, "LIMIT_SECONDS", 0.05)

    def collect() -> None:
        until = time.perf_counter() + 0.2
        while time.perf_counter() < until:
            gc.collect()

    with loopwatch.watch() as watch:
        asyncio.get_running_loop().call_soon(collect)
        await asyncio.sleep(0.01)
    assert not watch.blocked


def test_a_process_that_is_left_is_seen_and_ended(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"], cwd=tmp_path) as left:
        try:
            # exec closes our pipe to the child, which ends Popen, just before it takes its new command line.
            while not (seen := machine.left_behind([tmp_path])):
                assert left.poll() is None
            (found,) = seen
            assert (found.pid, "sleep 600" in found.what) == (left.pid, True)
            machine.remove([found])
            assert left.wait(timeout=10) == -9
        finally:
            left.kill()
    assert machine.settle([tmp_path]) == []


@pytest.mark.root
def test_a_mount_that_is_left_is_seen_and_undone(tmp_path: Path) -> None:
    point = tmp_path / "a mount"
    point.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "none", point], capture_output=True, text=True, check=False)
    if done.returncode != 0:  # not root, or in a place where mounting is not allowed: there is nothing to leave behind
        assert machine.left_behind([tmp_path]) == []
        return
    (found,) = machine.left_behind([tmp_path])
    assert found.mount == str(point)
    machine.remove([found])
    assert machine.left_behind([tmp_path]) == []
