"""The one line that says why nothing has come yet: on a terminal only, and only after a second."""

from __future__ import annotations

import asyncio
import sys
import time

from ...tasks import Tasks

QUIET_SECONDS = 1.0
"""A warm command never takes so long, so that its user never sees this."""

STEP_SECONDS = 0.5


class Progress:
    """Started by its making; `clear` ends it and removes the line. Does nothing where stderr is no terminal."""

    def __init__(self, tasks: Tasks, text: str) -> None:
        self._shown = False
        self._began = time.monotonic()
        seen = sys.stderr is not None and sys.stderr.isatty()
        self._task = tasks.spawn("progress", self._show(text)) if seen else None

    async def _show(self, text: str) -> None:
        await asyncio.sleep(QUIET_SECONDS)
        while True:
            self._shown = True
            # \r first and last: correct in raw mode, too.
            sys.stderr.write(f"\rcontinue-exec: {text} ({time.monotonic() - self._began:.0f} s)\x1b[K\r")
            sys.stderr.flush()
            await asyncio.sleep(STEP_SECONDS)

    def clear(self) -> None:
        """Something has come. Safe to call again."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
            if self._shown:
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()
