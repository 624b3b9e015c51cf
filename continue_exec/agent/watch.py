"""Changed paths inside, as the agent reports them. What a slow taker misses becomes one `overflow`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ..errors import ProtocolError
from ..protocol.agent import Changed
from .channel import Channel
from .streams import Inbound

MOST_PATHS = 10_000
MOST_CHARACTERS = 4 << 20
"""Held for a taker that is busy; beyond either it is told to look at everything again."""


class Watching(Inbound, AsyncIterator[Changed]):
    """Notifications of one watch. Ends with `SandboxLost` when the connection does."""

    def __init__(self, channel: Channel, stream: int) -> None:
        super().__init__(channel, stream)
        self._paths: dict[str, None] = {}
        self._characters = 0
        self._overflow = False
        self._ready = asyncio.Event()

    def changed(self, note: Changed) -> None:
        """Merge what is reported into what waits."""
        self._paths.update(dict.fromkeys(note.paths))
        self._characters += sum(map(len, note.paths))
        if note.overflow or len(self._paths) > MOST_PATHS or self._characters > MOST_CHARACTERS:
            self._overflow = True
            self._paths.clear()
            self._characters = 0
        self._ready.set()

    def receive(self, kind: int, data: memoryview) -> None:
        """A watch carries no bytes."""
        raise ProtocolError(f"The agent sent bytes on stream {self.stream}, which is a watch.")

    def lost(self) -> None:
        """The connection ended."""
        self._ready.set()

    async def __anext__(self) -> Changed:
        """Everything reported since the last one, merged.

        Raises:
            SandboxLost: the connection ended.
        """
        await self._ready.wait()
        if self._channel.close_reason and not self._paths and not self._overflow:
            raise self._channel.lost()
        note = Changed(stream=self.stream, paths=() if self._overflow else tuple(self._paths), overflow=self._overflow)
        self._paths.clear()
        self._characters = 0
        self._overflow = False
        if not self._channel.close_reason:
            self._ready.clear()
        return note
