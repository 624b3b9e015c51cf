"""What a run leaves behind on the machine: processes and mounts that name a folder of the run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

GONE_SECONDS = 5.0
"""Processes that have been told to end may take this long before they count as left behind."""


@dataclass(frozen=True)
class Left:
    """Something that should be gone."""

    what: str
    pid: int = 0
    mount: str = ""


def left_behind(folders: Iterable[Path]) -> list[Left]:
    """Processes whose command line, variables or current folder name one of `folders`, and mounts below them.

    This process and its ancestors do not count.
    """
    marks = [str(folder) for folder in folders]
    ours = _ancestors()
    found = [
        Left(f"process {pid}: {words}", pid=pid)
        for pid in _pids()
        if pid not in ours and (words := _concerns(pid, marks)) is not None
    ]
    for line in _read("/proc/self/mounts").splitlines():
        point = line.split(" ")[1].replace("\\040", " ")
        if any(point == mark or point.startswith(mark + "/") for mark in marks):
            found.append(Left(f"mount {point}", mount=point))
    return found


def settle(folders: Iterable[Path]) -> list[Left]:
    """What is still left behind once ending processes had their time."""
    folders = list(folders)
    deadline = time.monotonic() + GONE_SECONDS
    while (left := left_behind(folders)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def remove(left: Iterable[Left]) -> None:
    """End what is left, each process by its id, then the mounts, deepest first."""
    left = list(left)
    for one in left:
        if one.pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(one.pid, signal.SIGKILL)
    for one in sorted((one for one in left if one.mount), key=lambda one: -len(one.mount)):
        subprocess.run(["umount", "-l", one.mount], check=False, capture_output=True)


def _concerns(pid: int, marks: list[str]) -> str | None:
    words = _read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
    if not words:  # a kernel thread, or a zombie that its parent has yet to collect
        return None
    try:
        cwd = os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        cwd = ""
    text = "\0".join((words, cwd, _read(f"/proc/{pid}/environ")))
    return words[:300] if any(mark in text for mark in marks) else None


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _ancestors() -> set[int]:
    pids, pid = set(), os.getpid()
    while pid > 0:
        pids.add(pid)
        status = _read(f"/proc/{pid}/status")
        pid = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("PPid:")), 0)
    return pids


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="replace")
    except OSError:
        return ""
