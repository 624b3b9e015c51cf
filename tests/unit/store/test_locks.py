from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from continue_exec.store.locks import FileLock


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.acquire()
    assert not second.acquire()
    first.release()
    assert second.acquire()
    second.release()
    second.release()


def test_the_kernel_releases_it_when_its_holder_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, os, signal; from pathlib import Path; from continue_exec.store.locks import FileLock\n"
        "assert FileLock(Path(sys.argv[1])).acquire(); print('held', flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "lock")], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        mine = FileLock(tmp_path / "lock")
        assert not mine.acquire()
        assert (tmp_path / "lock").read_text() == f"{holder.pid}\n"
        holder.kill()
        holder.wait()
    assert mine.acquire()
    mine.release()
