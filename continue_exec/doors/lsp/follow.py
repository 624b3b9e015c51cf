"""Followed runs: one pump each, from the engine's stream to whoever takes the events.

A pump reads from the engine only as fast as its taker takes: output waits in the engine's log, not here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from ...client import Client, RunStream
from ...errors import ContinueExecError
from ...tasks import Tasks
from .joiner import JOIN_BYTES, PRIME_EVENTS, Joiner

log = logging.getLogger(__name__)

JOIN_SECONDS = 0.016
"""Output is gathered at most so long: one frame of a 60 Hz display. The first piece after a pause goes at once."""


class Taker(Protocol):
    """Who takes a run's events."""

    async def take(self, params: dict[str, Any]) -> None:
        """One `continueExec/event`. May wait; nothing more is read meanwhile. Raises ConnectionError: it has gone."""
        ...


class Pump:
    """Carries one run's events."""

    def __init__(self, stream: RunStream, joiner: Joiner, taker: Taker) -> None:
        self._stream = stream
        self._joiner = joiner
        self._taker = taker
        self._lock = asyncio.Lock()
        self._gathered = asyncio.Event()
        self._last = 0.0

    async def run(self) -> None:
        """Until the run's end, or the taker's, or the engine's."""
        try:
            async with asyncio.TaskGroup() as group:
                flusher = group.create_task(self._flush_in_time())
                await self._read()
                flusher.cancel()
        except* ConnectionError:
            log.info("nobody takes the events of %s any more", self._joiner.run_id)

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async for batch in self._stream.batches():
                for kind, seq, payload in batch:
                    self._joiner.add(kind, seq, payload)
                    if self._joiner.size >= JOIN_BYTES:
                        await self._flush()
                if self._joiner.urgent or loop.time() - self._last >= JOIN_SECONDS:
                    await self._flush()
                else:
                    self._gathered.set()
        except ContinueExecError as error:
            # The run may go on; only our view of it ended. Say so, or the editor would wait for ever.
            self._joiner.notice(error.code, f"{error.message} {error.hint}".strip())
        await self._flush()

    async def _flush_in_time(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._gathered.wait()
            self._gathered.clear()
            await asyncio.sleep(max(0.0, self._last + JOIN_SECONDS - loop.time()))
            await self._flush()

    async def _flush(self) -> None:
        async with self._lock:  # two flushes must not interleave their events
            for params in self._joiner.take():
                await self._taker.take(params)
            self._last = asyncio.get_running_loop().time()


class Followers:
    """All runs that are being followed. At most one pump for each run: following again replaces the first."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._tasks = Tasks("lsp follow")
        self._pumps: dict[str, asyncio.Task[Any]] = {}

    @property
    def run_ids(self) -> tuple[str, ...]:
        """Runs being followed."""
        return tuple(self._pumps)

    async def follow(
        self, run_id: str, after: int, taker: Taker, ready: Callable[[], Awaitable[Any]] | None = None
    ) -> None:
        """Follow a run that exists, from after an event on. `ready` is awaited before the first event is handed out.

        Raises:
            NotFound: the engine knows no such run.
            EngineUnavailable: it cannot be reached.
        """
        start = max(0, after - PRIME_EVENTS)
        stream = await self._client.open_stream("run.follow", {"run_id": run_id, "after": start})
        self.adopt(stream, taker, ready, after)

    def adopt(
        self, stream: RunStream, taker: Taker, ready: Callable[[], Awaitable[Any]] | None = None, after: int = 0
    ) -> None:
        """Follow a stream that is open already."""
        self.detach(stream.run_id)
        pump = Pump(stream, Joiner(stream.run_id, after), taker)
        task = self._tasks.spawn(stream.run_id, self._run(pump, ready))
        self._pumps[stream.run_id] = task
        task.add_done_callback(lambda done: self._done(stream, done))

    async def _run(self, pump: Pump, ready: Callable[[], Awaitable[Any]] | None) -> None:
        if ready is not None:
            await ready()
        await pump.run()

    def _done(self, stream: RunStream, task: asyncio.Task[Any]) -> None:
        stream.close()
        if self._pumps.get(stream.run_id) is task:
            del self._pumps[stream.run_id]

    def detach(self, run_id: str) -> None:
        """Stop following; the run goes on. Nothing to do is success."""
        if (task := self._pumps.pop(run_id, None)) is not None:
            task.cancel()

    async def close(self) -> None:
        """Stop following all of them; they go on."""
        await self._tasks.close()
