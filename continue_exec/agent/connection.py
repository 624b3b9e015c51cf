"""AgentConnection: what the engine asks of a sandbox's agent.

One connection lives until either side closes it; runs outlive it. A new one takes them over with `attach`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Iterable, MutableSequence
from pathlib import Path

from .. import __version__
from ..errors import NotFound, SandboxLost, VersionMismatch
from ..model import TerminalSize
from ..protocol import agent as wire
from ..protocol.frames import Kind
from ..protocol.versions import AGENT_CAPABILITIES, AGENT_PROTOCOL, accepts
from .dial import dial, ring
from .dispatch import Dispatch
from .push import BATCH, chunks
from .streams import Outbound, Reading, RunStream, Sink
from .watch import Watching

HANGUP_TIMEOUT_S = 5.0
"""For the agent to close its side when asked to; it only has to read one line."""


class AgentConnection(Dispatch):
    """The agent, as long as the connection lives. Every method raises `SandboxLost` once it does not.

    Attributes:
        hello: what the agent said of itself and the runs it still has.
        closed: set when the connection has ended; `close_reason` then says why, in words.
    """

    hello: wire.HelloResult

    @classmethod
    async def open(cls, doorbell: Path, sockets: Path, *, timeout_s: float = 10.0) -> AgentConnection:
        """Ring the agent and shake hands. A connection that an earlier engine had is thereby replaced.

        Raises:
            HostUnready: `sockets/agent.sock` cannot be made.
            SandboxLost: the agent did not come within `timeout_s` seconds, or went away at once.
            VersionMismatch: the two share no protocol.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        sock, token = await dial(doorbell, sockets, timeout_s=timeout_s)
        self = cls(doorbell)
        try:
            await self._channel.take_over(sock)
            own = wire.Hello(
                protocol=AGENT_PROTOCOL,
                version=__version__,
                capabilities=tuple(sorted(AGENT_CAPABILITIES)),
                token=token,
            )
            self.hello = await self.call("hello", own, wire.HelloResult, timeout_s=max(deadline - loop.time(), 0.1))
            if not accepts(AGENT_PROTOCOL, self.hello.protocol):
                raise VersionMismatch(
                    f"The sandbox's agent speaks protocol {self.hello.protocol}, this engine {AGENT_PROTOCOL}.",
                    hint="Stop the sandbox and run again: it starts with this version's agent. Its files stay.",
                )
        except BaseException:
            sock.close()
            await self.close()
            raise
        return self

    def __init__(self, doorbell: Path) -> None:
        super().__init__()
        self._doorbell = doorbell
        # The agent remembers streams for as long as it lives, this object only its own: begin somewhere unlikely.
        self._numbers = itertools.count(1 + secrets.randbelow(1 << 31))

    def new_stream(self) -> int:
        """A stream number that this boot of the agent has not seen."""
        taken = {status.stream for status in self.hello.streams}
        return next(number for number in self._numbers if number not in taken and number not in self._streams)

    # Runs

    async def exec(self, params: wire.Exec, sink: Sink) -> wire.ExecResult:
        """Start a process on `params.stream` (from `new_stream`). If this is cancelled, it may have been started.

        Raises:
            CommandNotFound, NotFound: no such program; no such folder.
            TooLarge: argv and env together are over what a frame or the kernel takes.
            Conflict: the stream is in use.
        """
        run = RunStream(self._channel, params.stream, sink, 0)
        self._open(run, run.stdin)
        with self._retiring_on_error(params.stream):
            return await self.call("exec", params, wire.ExecResult, first=lambda result: run.started(result.pid))

    async def attach(self, stream: int, offset: int, sink: Sink) -> None:
        """Take over a run that an earlier connection had; output from byte `offset` on goes to `sink`.

        Raises:
            NotFound: the agent does not know the stream.
            Conflict: this connection has it already.
        """
        run = RunStream(self._channel, stream, sink, offset)
        self._open(run, run.stdin)
        with self._retiring_on_error(stream):
            await self.call("attach", wire.Attach(stream=stream, offset=offset), wire.Empty)

    async def forget(self, stream: int) -> None:
        """End the agent's memory of a run, and this connection's. Its sink hears nothing any more."""
        try:
            await self.call("forget", wire.StreamRef(stream=stream), wire.Empty)
        finally:
            self._retire(stream)

    async def signal(self, stream: int, signal: int, *, tree: bool = True) -> int:
        """Signal a run: with `tree` all it started, also what left its group. Returns how many processes it reached."""
        params = wire.Signal(stream=stream, signal=signal, tree=tree)
        return (await self.call("signal", params, wire.SignalResult)).reached

    async def resize(self, stream: int, size: TerminalSize) -> None:
        """Tell a run's terminal its size."""
        await self.call("resize", wire.Resize(stream=stream, size=size), wire.Empty)

    async def stdin(self, stream: int, data: bytes) -> None:
        """Write to a run's standard input, waiting for credit; `b""` ends it. Ignored once the run has ended.

        Raises:
            NotFound: this connection has no such run.
        """
        found = self._streams.get(stream)
        if not isinstance(found, RunStream):
            if self._channel.close_reason:
                raise self._channel.lost()
            raise NotFound(f"No run has stream {stream} on this connection.")
        await found.stdin.send(data)

    # Files

    async def stat(self, path: str) -> wire.FileStat:
        """lstat of an absolute path; `kind` is `missing` if it is not there."""
        return await self.call("stat", wire.Path(path=path), wire.FileStat)

    async def list(self, path: str) -> tuple[wire.FileStat, ...]:
        """Entries of a folder."""
        return (await self.call("list", wire.Path(path=path), wire.FileList)).entries

    async def read(self, path: str, offset: int = 0, length: int = -1) -> AsyncIterator[bytes]:
        """A regular file's bytes in pieces as they come. Leave it early with `aclose` and the agent stops."""
        stream = Reading(self._channel, self.new_stream())
        self._open(stream)
        params = wire.Read(stream=stream.stream, path=path, offset=offset, length=length)
        answer = await self._begin("read", params)
        answer.add_done_callback(lambda _: stream.end())  # the answer follows the last byte
        total = 0
        try:
            while piece := await stream.read():
                total += len(piece)
                yield piece
            result = self._finish(await answer, wire.ReadResult)
            if result.bytes != total:
                raise SandboxLost(f"{result.bytes} bytes of {path} were announced and {total} arrived.")
        finally:
            if answer.done() and not answer.cancelled():
                self._retire(stream.stream)
            else:
                await self._close_stream(stream.stream)

    async def push(
        self,
        root: str,
        entries: Iterable[wire.PushItem] | AsyncIterable[wire.PushItem],
        changed: MutableSequence[str] | None = None,
    ) -> wire.PushResult:
        """Write files below `root`. A plain iterable is iterated in a worker thread.

        Args:
            root: absolute path inside.
            entries: in the order in which they are to be written.
            changed: receives the paths whose file was not `entry.size` bytes of regular file any more; what was
                written for them is cut or filled with zero bytes.
        """
        stream = self.new_stream()
        out = Outbound(self._channel, Kind.PUSH, stream)
        answer = await self._begin("push", wire.Push(stream=stream, root=root))
        self._outbound[stream] = out
        answer.add_done_callback(lambda _: out.end())  # an early answer: the agent reads no further
        try:
            try:
                await self._push_records(out, entries, [] if changed is None else changed)
            finally:
                if not self._channel.close_reason:
                    await out.send(b"")
            return self._finish(await answer, wire.PushResult)
        finally:
            self._retire(stream)

    async def _push_records(
        self,
        out: Outbound,
        entries: Iterable[wire.PushItem] | AsyncIterable[wire.PushItem],
        changed: MutableSequence[str],
    ) -> None:
        if isinstance(entries, AsyncIterable):
            batch: list[wire.PushItem] = []
            async for item in entries:
                batch.append(item)
                if len(batch) == BATCH:
                    await self._push_records(out, batch, changed)
                    batch = []
            if batch:
                await self._push_records(out, batch, changed)
            return
        pieces = chunks(entries, changed)
        while not out.ended and (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            await out.send(piece)

    async def _close_stream(self, stream: int) -> None:
        try:
            if not self.close_reason:
                await self.call("close", wire.StreamRef(stream=stream), wire.Empty)
        except (NotFound, SandboxLost):
            pass  # it has ended by itself
        finally:
            self._retire(stream)

    async def watch(self, path: str) -> Watching:
        """Watch a folder and what is below it. When this returns, no later change is missed. End it with `unwatch`."""
        watching = Watching(self._channel, self.new_stream())
        self._open(watching)
        with self._retiring_on_error(watching.stream):
            await self.call("watch", wire.Watch(stream=watching.stream, path=path), wire.Empty)
        return watching

    async def unwatch(self, watching: Watching) -> None:
        """End a watch."""
        await self._close_stream(watching.stream)

    # Ports

    async def ports(self) -> tuple[wire.Port, ...]:
        """TCP ports that something inside listens on."""
        return (await self.call("ports", wire.Empty(), wire.PortList)).ports

    async def connect(self, port: int) -> ByteStream:
        """Open a TCP connection to 127.0.0.1:`port` inside.

        Raises:
            NotFound: nothing listens there.
        """
        stream = Reading(self._channel, self.new_stream())
        self._open(stream, stream.outbound)
        with self._retiring_on_error(stream.stream):
            await self.call("connect", wire.Connect(stream=stream.stream, port=port), wire.Empty)
        return ByteStream(self, stream)

    # Life

    async def shutdown(self) -> None:
        """End every process inside, and the agent. A connection that ends over it is a success."""
        with contextlib.suppress(SandboxLost):
            await self.call("shutdown", wire.Empty(), wire.Empty)

    async def hangup(self) -> None:
        """Have the agent close the connection and wait at the doorbell: saved memory may hold no host socket."""
        if not self.closed.is_set():
            ring(self._doorbell, "hangup")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HANGUP_TIMEOUT_S):
                    await self.closed.wait()
        await self.close("hung up")


class ByteStream:
    """One TCP connection inside."""

    def __init__(self, connection: AgentConnection, stream: Reading) -> None:
        self._connection = connection
        self._stream = stream

    async def read(self) -> bytes:
        """The next bytes as they came; `b""` at the end."""
        return await self._stream.read()

    async def write(self, data: bytes) -> None:
        """Send bytes, waiting for credit; those sent after the other end is gone are lost, as with any socket."""
        if data:
            await self._stream.outbound.send(data)

    async def write_eof(self) -> None:
        """Say that nothing more is written; reading goes on."""
        await self._stream.outbound.send(b"")

    async def close(self) -> None:
        """Close the connection inside."""
        self._stream.end()
        await self._connection._close_stream(self._stream.stream)
