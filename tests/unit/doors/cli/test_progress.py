from __future__ import annotations

import asyncio
import io
import sys

import pytest

from continue_exec.doors.cli import progress
from continue_exec.tasks import Tasks


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_shown_late_and_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.01)
    screen = Tty()
    monkeypatch.setattr(sys, "stderr", screen)
    tasks = Tasks("test")
    shown = progress.Progress(tasks, "working")
    assert screen.getvalue() == ""
    await asyncio.sleep(0.05)
    shown.clear()
    shown.clear()
    assert screen.getvalue() == "\rcontinue-exec: working (0 s)\x1b[K\r\r\x1b[K"
    await tasks.close()


async def test_quick_work_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Tty()
    monkeypatch.setattr(sys, "stderr", screen)
    tasks = Tasks("test")
    progress.Progress(tasks, "working").clear()
    await tasks.close()
    assert screen.getvalue() == ""
