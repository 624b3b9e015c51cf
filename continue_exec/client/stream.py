"""A run's events over the binary wire, resumed where they broke off: nothing lost, nothing twice.

The engine keeps a run's events, numbered by `seq`; when the connection or the engine goes away the stream asks
again for what follows the last number it has seen (`run.follow`), starting the engine if need be.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from ..errors import EngineUnavailable
from ..protocol.frames import Kind, Parser
from .http import ConnectionLost, Response

if TYPE_CHECKING:
    from .client import Client

Frame = tuple[int, int, bytes]
"""Kind (STDOUT, STDERR: raw bytes; EVENT: JSON), seq, payload."""

RESUME_DELAYS = (0.0, 0.05, 0.2, 1.0, 3.0)
"""Seconds before each attempt to resume; any event that arrives begins the row anew. After the last: give up."""

_FINAL_MARKS = (b'"exited"', b'"failed"')


class RunStream:
    """The events of one run, from `run.stream` or `run.follow`.

    Attributes:
        run_id: known as soon as the stream is open.
        last_seq: number of the newest event handed out.
        final: the last event (`exited` or `failed`) as a dict, once it has been seen.
    """

    def __init__(self, client: Client, response: Response, run_id: str, *, after: int = 0, wait: bool = True) -> None:
        self._client = client
        self._response = response
        self._wait = wait
        self.run_id = run_id
        self.last_seq = after
        self.final: dict[str, Any] | None = None

    async def batches(self) -> AsyncIterator[list[Frame]]:
        """Frames in order, as many at a time as have arrived; ends after the final event.

        Raises:
            EngineUnavailable: the stream broke and could not be resumed.
            ProtocolError: the engine sent something that is not frames.
            NotFound: the engine no longer knows the run.
        """
        broken = 0
        try:
            while True:
                parser = Parser()
                try:
                    while data := await self._response.piece():
                        if batch := self._take(parser, data):
                            broken = 0
                            yield batch
                        if self.final is not None:
                            return
                    if not self._wait and not parser.pending:
                        return
                except ConnectionLost:
                    pass
                broken = await self._resume(broken)
        finally:
            self.close()

    def _take(self, parser: Parser, data: bytes) -> list[Frame]:
        batch: list[Frame] = []
        for frame in parser.feed(data):
            kind, seq, payload = frame
            if seq <= self.last_seq or self.final is not None:
                continue  # sent again after a resume
            self.last_seq = seq
            batch.append(frame)
            if kind == Kind.EVENT and any(mark in payload for mark in _FINAL_MARKS):
                event = json.loads(payload)
                if event.get("type") in ("exited", "failed"):
                    self.final = event
        return batch

    async def _resume(self, broken: int) -> int:
        """Ask for what follows `last_seq`; the number of attempts made in a row."""
        self.close()
        while broken < len(RESUME_DELAYS):
            await asyncio.sleep(RESUME_DELAYS[broken])
            broken += 1
            try:
                self._response = await self._client.open_frames(
                    "run.follow", {"run_id": self.run_id, "after": self.last_seq, "wait": self._wait}
                )
                return broken
            except EngineUnavailable:
                if broken == len(RESUME_DELAYS):
                    raise
        raise EngineUnavailable(
            f"The events of {self.run_id} broke off {broken} times in a row.",
            hint=f"The command may still run: `continue-exec attach {self.run_id}` follows it again.",
        )

    async def __aiter__(self) -> AsyncIterator[Frame]:
        async for batch in self.batches():
            for frame in batch:
                yield frame

    def close(self) -> None:
        """Stop listening. The run goes on."""
        self._client.release(self._response)
