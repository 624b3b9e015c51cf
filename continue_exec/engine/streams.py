"""From the agent's output to the run's log: what the agent connection calls, synchronously and in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..model import RUN_TRANSITIONS, Run, RunState
from ..protocol.agent import Exited
from ..store.runlog import RunLog


@dataclass(eq=False)
class ActiveRun:
    """A run that has not ended, with what the engine holds for it. It is the agent connection's sink.

    `run` is replaced as it changes (the model is frozen); the state file gets the final one.
    """

    run: Run
    stream: int
    log: RunLog
    on_exit: Callable[[ActiveRun, Exited], None]
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    reason: str = ""
    """Why it is being ended, when not by itself."""
    timer: asyncio.TimerHandle | None = None
    cancelling: int = 0
    refused: set[tuple[str, int]] = field(default_factory=set)
    """Hosts and ports whose refusal its followers have been told of."""

    def update(self, **changes: object) -> None:
        """Replace fields of `run`; a change of state must be legal."""
        state = changes.get("state")
        if isinstance(state, RunState):
            RUN_TRANSITIONS.check(self.run.state, state)
        self.run = self.run.model_copy(update={**changes, "last_seq": self.log.last_seq})

    def notice(self, code: str, message: str) -> None:
        """Tell every follower something in words."""
        self.log.event("notice", code=code, message=message)

    # Sink of the agent connection

    def started(self, pid: int | None = None) -> None:
        """The process exists. Called again when the run is adopted, as an engine may die before it notes this."""
        if self.run.state is RunState.STARTING:
            self.log.event("started", run_id=self.run.id, pid=pid)
            self.update(state=RunState.RUNNING, started_at=time.time())

    def output(self, kind: int, data: memoryview) -> None:
        """Keep output; when this returns it is in the log."""
        self.log.append(kind, data)

    def exited(self, note: Exited) -> None:
        """The command ended and all its output is in the log."""
        self.on_exit(self, note)

    def lost(self) -> None:
        """The connection is gone; whether the run is, the sandbox's guard finds out."""
