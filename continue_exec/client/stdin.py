"""A run's standard input, streamed with back-pressure: one request whose body is the bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ..errors import EngineUnavailable
from .http import Connection, ConnectionLost

if TYPE_CHECKING:
    from .client import Client


class StdinStream:
    """Bytes to a run. Made by `Client.open_stdin`; a context manager that ends the input cleanly.

    The command sees end of file when the stream is closed with `eof=True`; if the stream breaks instead it does
    not, so that it never takes half an input for all of it.
    """

    def __init__(self, client: Client, connection: Connection, run_id: str) -> None:
        self._client = client
        self._connection = connection
        self.run_id = run_id
        self._answer = client.tasks.spawn(f"answer to stdin of {run_id}", self._wait_for_answer())

    async def _wait_for_answer(self) -> Exception | None:
        # Read from the start: the engine may refuse, or the run may end, while there is still much to send.
        try:
            await self._client.finish(await self._connection.response())
            return None
        except ConnectionLost as error:
            return EngineUnavailable(f"Standard input of {self.run_id} was cut off: {error}.")
        except Exception as error:
            return error

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while the command does not read.

        Raises:
            NotFound, Conflict: the run is gone or has ended, or has no standard input.
            EngineUnavailable: the connection broke; how much the command has read is unknown.
        """
        if data and not self._answer.done():
            self._connection.write_chunk(data)
            if self._connection.congested:
                drained = self._client.tasks.spawn("drain", self._connection.drain())
                await asyncio.wait((drained, self._answer), return_when=asyncio.FIRST_COMPLETED)
                drained.cancel()
        if self._answer.done():
            error = self._answer.result()
            raise error or EngineUnavailable(f"The engine stopped reading standard input of {self.run_id}.")

    async def write_from(self, read: Callable[[], Awaitable[bytes]]) -> None:
        """Send what `read` gives, piece by piece, until it gives nothing; hear at once if the stream breaks meanwhile.

        Raises: as `write`; the stream is still to be closed.
        """
        while True:
            reading = self._client.tasks.spawn("read", _read(read))
            try:
                await asyncio.wait((reading, self._answer), return_when=asyncio.FIRST_COMPLETED)
                data = reading.result() if reading.done() else b""
            finally:
                reading.cancel()
            if not data and not self._answer.done():
                return
            await self.write(data)

    async def close(self) -> None:
        """End the input and wait until the engine has taken all of it. Raises as `write` does."""
        if not self._answer.done():
            self._connection.send_end()
        if (error := await self._answer) is not None:
            raise error

    def abort(self) -> None:
        """Break off, without an end of file."""
        self._answer.cancel()
        self._connection.close()


async def _read(read: Callable[[], Awaitable[bytes]]) -> bytes:
    return await read()
