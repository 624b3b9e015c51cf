"""A sandbox that nobody uses: without CPU after seconds, its memory on disk after minutes, woken by the next request.

    running --sandbox_pause_s--> paused (the sentry is stopped; 1 ms to go on)
            --sandbox_idle_s---> standby (memory on disk; 0.2 s), or stopped if nothing ran in it

A run that goes on (a terminal is one) keeps it awake, and so does a background process that computes.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from typing import TYPE_CHECKING

from ..drivers.base import Capability, Fill, Machine, SandboxSpec
from ..errors import DiskFull, SandboxFailed
from ..model import SandboxState
from .live import Live
from .opening import Opening

if TYPE_CHECKING:
    from .sandboxes import Sandboxes

log = logging.getLogger(__name__)

BUSY = 0.02
"""Of a core: background processes that use more are at work. A server that waits uses far less."""


async def rest(sandboxes: Sandboxes, live: Live) -> bool:
    """Let it rest as far as its time has come; whether it is up no longer."""
    settings = sandboxes.settings
    async with sandboxes.lock(live.workspace):
        if sandboxes.live.get(live.workspace) is not live or not _unused(live, settings.sandbox_pause_s):
            return False
        used_at = live.sandbox.used_at
        processes = 0 if live.paused else await live.process_count()
        if processes and await live.cpu_share() > BUSY:
            live.touch()
            return False
        # A request may have come while we asked; from here on nothing is awaited before it is seen to.
        if live.sandbox.used_at != used_at or live.runs:
            return False
        capabilities = sandboxes.driver.capabilities()
        if processes and Capability.SNAPSHOT_MEMORY not in capabilities:
            return False
        if _unused(live, settings.sandbox_idle_s):
            return await _lay_down(sandboxes, live, processes > 0)
        if not processes and not live.paused and Capability.PAUSE in capabilities:
            live.paused = True
            sandboxes.driver.pause(live.spec)
        return False


def _unused(live: Live, seconds: float) -> bool:
    return (
        not live.runs
        and not live.stopping
        and not live.agent.closed.is_set()
        and time.time() - live.sandbox.used_at > seconds
    )


async def _lay_down(sandboxes: Sandboxes, live: Live, runs_something: bool) -> bool:
    """Stop it, or what runs in it goes to disk; whether it is up no longer."""
    if not runs_something:
        await sandboxes.end(live.sandbox, "idle")
        return True
    try:
        await save(sandboxes, live)
    except (DiskFull, SandboxFailed) as error:
        log.warning("%s stays up: %s", live.sandbox.id, error)
        # Not tried again before it has been idle once more.
        await sandboxes.take_back(live.sandbox)
        return live.workspace not in sandboxes.live
    sandboxes.set(live.sandbox, SandboxState.STANDBY, "idle")
    return True


async def save(sandboxes: Sandboxes, live: Live) -> None:
    """Everything that runs goes to disk and ends; its workspace's lock is held.

    Raises:
        DiskFull, SandboxFailed: it did not. What the engine held for it is let go of all the same.
    """
    image = sandboxes.folders.memory(live.sandbox.id)
    live.stopping = True
    sandboxes.wake(live)
    # Saved memory may hold no socket of the host's: first nobody can connect any more, then all hang up.
    await live.egress.close()
    await live.agent.hangup()
    await sandboxes.close_live(live)
    image.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    await sandboxes.driver.save_memory(live.spec, image)


async def start(
    sandboxes: Sandboxes, spec: SandboxSpec, fill: Fill, opening: Opening, asleep: bool
) -> tuple[Machine, list[tuple[str, str]]]:
    """Boot it, or wake it with all that ran; returns what there is to tell the user, by code and in words."""
    news = []
    image = sandboxes.folders.memory(spec.sandbox_id)
    try:
        if asleep:
            try:
                return await sandboxes.driver.start(spec, None, opening.ring, image), []
            except SandboxFailed as error:
                log.warning("%s is started without its memory: %s", spec.sandbox_id, error)
                news.append(
                    ("memory_lost", f"What ran in the sandbox has ended: {error.message}. Its files are as they were.")
                )
        return await sandboxes.driver.start(spec, fill, opening.ring), news
    finally:
        # Once it runs its files change, and the image no longer fits them.
        await forget(sandboxes, spec.sandbox_id)


async def forget(sandboxes: Sandboxes, sandbox_id: str) -> None:
    """Delete what was saved of a sandbox's memory."""
    image = sandboxes.folders.memory(sandbox_id)
    if image.exists():
        await asyncio.to_thread(shutil.rmtree, image, ignore_errors=True)
