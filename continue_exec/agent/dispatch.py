"""Requests and their answers, frames and their streams, on one channel. The methods stand in connection.py.

Whatever the agent sends that cannot be, closes the connection with a word in `close_reason`; every pending call
then fails with `SandboxLost`, every sink hears `lost`, and the engine goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import Conflict, ProtocolError, SandboxLost
from ..model import Model
from ..protocol.agent import Changed, Closed, Exited
from ..protocol.frames import Kind
from . import control
from .channel import Channel
from .control import AnyModel
from .streams import CREDIT, GRANT_AT, Inbound, Outbound, Reading, RunStream
from .watch import Watching

CALL_TIMEOUT_S = 60.0
"""For an answer to a request that needs no more than a look inside. Generous: the machine may be swapping."""

IDLE_GRANT_S = 0.1
"""After this long small amounts are granted too, so that the agent need not keep them for an adoption."""

MOST_RETIRED = 1024
"""Streams of late whose last frames may still be under way; a frame of one that is older is a protocol error."""

_CONTROL, _STDOUT, _STDERR, _CREDIT = int(Kind.CONTROL), int(Kind.STDOUT), int(Kind.STDERR), int(Kind.CREDIT)

_Answer = asyncio.Future[dict[str, Any] | None]
"""A response, or None if the connection ended first. Never an exception, so none can go unseen."""


class Dispatch:
    """The bookkeeping of one connection."""

    def __init__(self) -> None:
        self._channel = Channel(self._frame, self._grant_busy, self._lost)
        self._ids = itertools.count(1)
        self._pending: dict[int, tuple[_Answer, Callable[[Any], None] | None]] = {}
        self._streams: dict[int, Inbound] = {}
        self._outbound: dict[int, Outbound] = {}
        self._retired: dict[int, int] = {}  # stream: bytes it may still send
        self._idle: asyncio.TimerHandle | None = None

    @property
    def closed(self) -> asyncio.Event:
        """Set when the connection has ended."""
        return self._channel.closed

    @property
    def close_reason(self) -> str:
        """Why it ended, in words; empty while it lives."""
        return self._channel.close_reason

    async def close(self, reason: str = "closed by the engine") -> None:
        """End the connection; runs go on. Safe to call twice."""
        self._channel.close(reason)
        await self._channel.closed.wait()

    # Requests

    async def call(
        self,
        method: str,
        params: Model,
        result_type: type[AnyModel],
        *,
        timeout_s: float | None = CALL_TIMEOUT_S,
        first: Callable[[AnyModel], None] | None = None,
    ) -> AnyModel:
        """Send a request and wait for its answer.

        Args:
            first: is called with the result before any frame that follows it is looked at.

        Raises:
            SandboxLost: the connection is closed or closes, or no answer came within `timeout_s` seconds.
            TooLarge: the request does not fit a frame.
            ContinueExecError: what the agent answered, as its class.
        """
        hook = None if first is None else lambda result: first(control.shape(result_type, result))
        answer = await self._begin(method, params, hook)
        try:
            async with asyncio.timeout(timeout_s):
                response = await answer
        except TimeoutError:
            raise SandboxLost(
                f"The sandbox's agent did not answer `{method}` within {timeout_s:g} s.",
                hint="It may be frozen or stuck: stop the sandbox and run again; its log says more.",
            ) from None
        return self._finish(response, result_type)

    async def _begin(self, method: str, params: Model, hook: Callable[[Any], None] | None = None) -> _Answer:
        await self._channel.drain()
        id = next(self._ids)
        payload = control.encode_request(id, method, params.model_dump(exclude_none=True))
        answer: _Answer = asyncio.get_running_loop().create_future()
        self._pending[id] = answer, hook
        self._channel.send(_CONTROL, 0, payload)
        return answer

    def _finish(self, response: dict[str, Any] | None, result_type: type[AnyModel]) -> AnyModel:
        if response is None:
            raise self._channel.lost()
        try:
            if "error" not in response:
                return control.shape(result_type, response["result"])
            refusal = control.error_of(response["error"])
        except ProtocolError as error:
            self._channel.close(f"protocol error: {error.message}")
            raise self._channel.lost() from None
        raise refusal

    # Streams

    def _open(self, stream: Inbound, outbound: Outbound | None = None) -> None:
        number = stream.stream
        if number in self._streams:
            raise Conflict(f"Stream {number} is in use on this connection.")
        self._retired.pop(number, None)
        self._streams[number] = stream
        if outbound is not None:
            self._outbound[number] = outbound

    def _retire(self, number: int) -> None:
        self._outbound.pop(number, None)
        stream = self._streams.pop(number, None)
        self._retired[number] = 0 if stream is None else stream.window
        if len(self._retired) > MOST_RETIRED:
            del self._retired[next(iter(self._retired))]

    @contextlib.contextmanager
    def _retiring_on_error(self, number: int) -> Iterator[None]:
        """A refused request leaves no stream; a cancelled one may have been granted, so its stream stays."""
        try:
            yield
        except Exception:
            self._retire(number)
            raise

    # Frames

    def _frame(self, kind: int, stream: int, payload: memoryview) -> None:
        if kind in (_STDOUT, _STDERR):
            found = self._streams.get(stream)
            if found is None:
                self._stray(stream, len(payload))
                return
            found.receive(kind, payload)
            if found.owed and self._idle is None:
                self._idle = asyncio.get_running_loop().call_later(IDLE_GRANT_S, self._grant_idle)
        elif kind == _CONTROL:
            self._control(control.decode(payload))
        elif kind == _CREDIT:
            if len(payload) != CREDIT.size:
                raise ProtocolError(f"A grant has {len(payload)} bytes instead of {CREDIT.size}.")
            if (outbound := self._outbound.get(stream)) is not None:
                outbound.granted(*CREDIT.unpack(payload))
            elif stream not in self._streams:
                self._stray(stream, 0)
        else:
            raise ProtocolError(f"A frame of kind {kind:#04x} does not come from an agent.")

    def _stray(self, stream: int, size: int) -> None:
        """Something for a stream that is not open: fine if it was so recently, within its credit."""
        window = self._retired.get(stream, -1) - size
        if window < 0:
            raise ProtocolError(f"The agent sent a frame for stream {stream}, which is not open.")
        self._retired[stream] = window

    def _control(self, message: dict[str, Any]) -> None:
        if "event" in message:
            self._notification(message["event"], message.get("params"))
            return
        id = message.get("id")
        if not isinstance(id, int) or id not in self._pending:
            raise ProtocolError("The agent sent a response to no request, or a second one.")
        if ("result" in message) == ("error" in message):
            raise ProtocolError("The agent sent a response that is neither a result nor an error.")
        answer, hook = self._pending.pop(id)
        if hook is not None and "result" in message:
            hook(message["result"])
        if not answer.done():  # done: its caller was cancelled
            answer.set_result(message)

    def _notification(self, event: Any, params: Any) -> None:
        if event == "exited":
            note = control.shape(Exited, params)
            control.check_exit(note)
            if (run := self._notified(note.stream, RunStream)) is not None:
                run.exited(note)
        elif event == "changed":
            change = control.shape(Changed, params)
            if (watching := self._notified(change.stream, Watching)) is not None:
                watching.changed(change)
        elif event == "closed":
            closed = control.shape(Closed, params)
            if (port := self._notified(closed.stream, Reading)) is not None:
                port.end()
        # Others are of a newer agent's, and no loss.

    def _notified(self, number: int, type: type[Any]) -> Any:
        stream = self._streams.get(number)
        if stream is None:
            self._stray(number, 0)
        elif not isinstance(stream, type):
            raise ProtocolError(f"The agent sent a notification that stream {number} does not have.")
        return stream

    # Credit, and the end

    def _grant_idle(self) -> None:
        self._idle = None
        for stream in self._streams.values():
            stream.grant()

    def _grant_busy(self) -> None:
        """The agent reads again: what was postponed."""
        for stream in self._streams.values():
            if stream.owed >= GRANT_AT:
                stream.grant()

    def _lost(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        pending, self._pending = self._pending, {}
        for answer, _ in pending.values():
            if not answer.done():
                answer.set_result(None)
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.lost()
        for outbound in self._outbound.values():
            outbound.end()
        self._outbound.clear()
