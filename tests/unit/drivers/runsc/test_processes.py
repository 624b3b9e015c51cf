import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from continue_exec.drivers.runsc import processes


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process with a sandbox's mark on its command line, and an odd name; it has said that it runs."""
    code = "import sys, time; print(1, flush=True); time.sleep(600)"
    argv = [sys.executable, "-c", code, f"--root={tmp_path}/state", ") S 1 ("]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_start_times_tell_processes_apart(sleeper: subprocess.Popen[str]) -> None:
    started = processes.start_time(sleeper.pid)

    assert started is not None
    assert started >= (processes.start_time(os.getpid()) or 0)
    assert processes.HostProcess(sleeper.pid, started).alive()
    assert not processes.HostProcess(sleeper.pid, started - 1).alive()


def test_a_zombie_is_not_alive(sleeper: subprocess.Popen[str]) -> None:
    sleeper.kill()
    deadline = time.monotonic() + 10
    while processes.start_time(sleeper.pid) is not None:
        assert time.monotonic() < deadline

    assert Path(f"/proc/{sleeper.pid}").exists()  # nobody has waited for it


def test_they_are_found_by_their_state_folder_alone(sleeper: subprocess.Popen[str], tmp_path: Path) -> None:
    assert [found.pid for found in processes.find(tmp_path / "state")] == [sleeper.pid]
    assert processes.find(tmp_path / "stat") == []
    assert processes.find(tmp_path) == []


async def test_end_leaves_none(sleeper: subprocess.Popen[str], tmp_path: Path) -> None:
    await processes.end(tmp_path / "state")

    assert processes.find(tmp_path / "state") == []
    assert sleeper.wait(10) == -9


async def test_end_of_nothing(tmp_path: Path) -> None:
    await processes.end(tmp_path / "state")


def test_no_such_process() -> None:
    assert processes.start_time(2**22 + 1) is None
