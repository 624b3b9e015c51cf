"""How a connection comes about: listen on `agent.sock`, ring the doorbell, accept the caller that knows the token.

Any process inside can dial the socket too; who does not begin with the token is closed, and waiting goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hmac
import os
import secrets
import socket
from pathlib import Path

from ..errors import HostUnready, SandboxLost
from ..tasks import Tasks

SOCKET_NAME = "agent.sock"
LONGEST_SOCKET_PATH = 107
"""Bytes: sun_path of unix(7) is 108 with its final NUL."""

MAX_CALLERS = 16
"""Callers whose first line is awaited at once; the longest silent one makes room for the next."""


async def dial(doorbell: Path, sockets: Path, *, timeout_s: float) -> tuple[socket.socket, str]:
    """Ring until the agent stands at the socket. Returns the connected, non-blocking socket and the token.

    Raises:
        HostUnready: the socket cannot be made.
        SandboxLost: nobody listens at the doorbell, or the agent did not call within `timeout_s` seconds.
    """
    token = secrets.token_hex(16)
    path = sockets / SOCKET_NAME
    listener = _listen(path)
    try:
        ring(doorbell, f"dial {token}")
        try:
            async with asyncio.timeout(timeout_s):
                return await _accept(listener, f"{token}\n".encode()), token
        except TimeoutError:
            raise SandboxLost(
                f"The sandbox's agent did not answer the doorbell within {timeout_s:g} s.",
                hint="It may be frozen or stuck: stop the sandbox and run again; its log says more.",
            ) from None
    finally:
        listener.close()
        with contextlib.suppress(OSError):
            path.unlink()


def ring(doorbell: Path, line: str) -> None:
    """Write one line to the agent's doorbell; never blocks.

    Raises:
        SandboxLost: nobody reads it.
    """
    try:
        fd = os.open(doorbell, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        # ENXIO: a FIFO without a reader. ENOENT: the sandbox is gone with its folder.
        raise SandboxLost(f"Nobody is at the sandbox's doorbell: {os.strerror(error.errno or errno.EIO)}.") from None
    try:
        # Below PIPE_BUF a write to a FIFO is whole or not at all (pipe(7)).
        os.write(fd, f"{line}\n".encode())
    except OSError as error:
        raise SandboxLost(f"The doorbell cannot be rung: {os.strerror(error.errno or errno.EIO)}.") from None
    finally:
        os.close(fd)


def _listen(path: Path) -> socket.socket:
    size = len(os.fsencode(path))
    if size > LONGEST_SOCKET_PATH:
        raise HostUnready(
            f"The socket path {path} has {size} bytes; a Unix socket's may have {LONGEST_SOCKET_PATH}.",
            hint="Set CONTINUE_EXEC_RUNTIME_DIR to a shorter folder.",
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        path.unlink(missing_ok=True)
        listener.bind(os.fspath(path))
        path.chmod(0o600)  # before listen: until then nobody can connect
        listener.listen(MAX_CALLERS)
    except OSError as error:
        listener.close()
        raise HostUnready(
            f"The socket {path} cannot be made: {error.strerror}.",
            hint="Its folder must exist and be yours; remove what stands there.",
        ) from None
    return listener


async def _accept(listener: socket.socket, line: bytes) -> socket.socket:
    """The first caller that says `line`. Every other one is closed."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[socket.socket] = loop.create_future()
    callers: dict[asyncio.Task[bool], socket.socket] = {}

    async def knows(caller: socket.socket) -> bool:
        said = b""
        with contextlib.suppress(OSError):  # it went away: not the agent
            while len(said) < len(line) and (piece := await loop.sock_recv(caller, len(line) - len(said))):
                said += piece
        return hmac.compare_digest(said, line)

    def settle(task: asyncio.Task[bool]) -> None:
        caller = callers.pop(task)
        if not found.done() and not task.cancelled() and not task.exception() and task.result():
            found.set_result(caller)
        else:
            caller.close()

    def accept() -> None:
        # Not loop.sock_accept: cancelled at the wrong moment it would lose a socket.
        try:
            caller, _ = listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if not found.done():
                found.set_exception(HostUnready(f"The agent's call cannot be accepted: {error.strerror}."))
            return
        caller.setblocking(False)
        task = tasks.spawn("caller", knows(caller))
        callers[task] = caller
        task.add_done_callback(settle)
        if len(callers) > MAX_CALLERS:
            next(iter(callers)).cancel()

    tasks = Tasks("dial")
    loop.add_reader(listener, accept)
    try:
        return await found
    except asyncio.CancelledError:
        if found.done() and not found.cancelled() and not found.exception():
            found.result().close()
        raise
    finally:
        loop.remove_reader(listener)
        await tasks.close()
