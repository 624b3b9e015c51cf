"""Stops what nobody uses: sandboxes in which nothing runs, then the engine itself."""

from __future__ import annotations

import asyncio
import logging
import time

from ..errors import ContinueExecError
from . import standby
from .engine import Engine

log = logging.getLogger(__name__)

TICK_S = 5.0
"""How often to look. Idle times are minutes, so this is fine enough, and costs nothing."""


async def watch(engine: Engine) -> None:
    """Runs until the engine has been idle for `engine_idle_s`, then returns.

    A sandbox with background processes (a server, a file watcher) is not idle, and keeps the engine, as its
    network goes through it.
    """
    while True:
        times = engine.settings
        await asyncio.sleep(min(TICK_S, times.sandbox_pause_s, times.sandbox_idle_s, times.engine_idle_s))
        for live in list(engine.sandboxes.live.values()):
            try:
                if await standby.rest(engine.sandboxes, live):
                    log.info("%s rests", live.sandbox.id)
            except ContinueExecError as error:
                log.warning("%s: %s", live.sandbox.id, error)
        try:
            await engine.previews.rest()
        except ContinueExecError as error:
            log.warning("previews: %s", error)
        await asyncio.to_thread(engine.state.checkpoint)
        await asyncio.to_thread(engine.ballast.lay)
        busy = engine.requests or engine.runs.active or engine.sandboxes.live or len(engine.previews)
        if not busy and time.time() - engine.used_at > engine.settings.engine_idle_s:
            return
