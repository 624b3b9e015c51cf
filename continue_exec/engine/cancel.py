"""Ending a run for certain: TERM to the whole process tree, a grace, then KILL until nothing is left."""

from __future__ import annotations

import asyncio
import signal

from ..agent.connection import AgentConnection
from ..errors import SandboxFailed
from .streams import ActiveRun

POLL_S = 0.02
"""Descendants other than the command itself announce their end to nobody but process 1, so they are counted."""
KILL_ROUNDS = 500
"""A tree that forks while it is killed needs several rounds; one that outlasts 10 s of them is a defect."""
PROBE = 0
"""Signal 0: count, signal nobody (kill(2))."""


async def end_tree(agent: AgentConnection, active: ActiveRun, grace_s: float) -> None:
    """Returns when the command has ended and no process that it started is left.

    Raises:
        SandboxLost: the sandbox ended, and the run with it.
        SandboxFailed: processes survive KILL.
    """
    await agent.signal(active.stream, signal.SIGTERM)
    try:
        async with asyncio.timeout(grace_s):
            await active.ended.wait()
            while await agent.signal(active.stream, PROBE):  # noqa: ASYNC110 - see POLL_S
                await asyncio.sleep(POLL_S)
            return
    except TimeoutError:
        pass
    for _ in range(KILL_ROUNDS):
        if not await agent.signal(active.stream, signal.SIGKILL) and active.ended.is_set():
            return
        await asyncio.sleep(POLL_S)
    raise SandboxFailed(
        f"Processes of {active.run.id} survive KILL", hint="`continue-exec stop` ends the whole sandbox."
    )
