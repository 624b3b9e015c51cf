"""Only the caller that knows the token gets in; what cannot be is said in words."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

from continue_exec.agent.dial import MAX_CALLERS, dial, ring
from continue_exec.errors import HostUnready, SandboxLost
from continue_exec.tasks import Tasks
from tests.unit.agent.peer import Peer


async def rung(peer: Peer) -> str:
    """The token that the doorbell was rung with."""
    return (await peer.rings.get()).split()[1]


def call(peer: Peer, first: bytes) -> socket.socket:
    caller = socket.socket(socket.AF_UNIX)
    caller.connect(os.fspath(peer.sockets / "agent.sock"))
    caller.setblocking(False)
    caller.sendall(first)
    return caller


async def closed(caller: socket.socket) -> bool:
    """Whether the host closes it."""
    with caller:
        try:
            return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(caller, 1), 5) == b""
        except ConnectionResetError:
            return True


async def test_the_caller_with_the_token_gets_in(peer: Peer) -> None:
    peer.dials = False
    async with asyncio.TaskGroup() as group:
        dialled = group.create_task(dial(peer.doorbell, peer.sockets, timeout_s=5))
        token = await rung(peer)
        assert stat.S_IMODE(os.stat(peer.sockets / "agent.sock").st_mode) == 0o600
        wrong = [call(peer, first) for first in (b"GET / HTTP/1.1\r\n" * 9, b"0" * 32 + b"\n", b"\n" * 33)]
        silent = call(peer, b"")
        half = call(peer, token[:20].encode())
        right = call(peer, f"{token}\nrest".encode())
    sock, found = dialled.result()
    assert found == token
    assert sock.recv(100) == b"rest"
    for caller in [*wrong, silent, half]:
        assert await closed(caller)
    sock.close()
    right.close()
    assert not (peer.sockets / "agent.sock").exists()


async def test_silent_callers_do_not_keep_the_true_one_out(peer: Peer) -> None:
    peer.dials = False
    async with asyncio.TaskGroup() as group:
        dialled = group.create_task(dial(peer.doorbell, peer.sockets, timeout_s=5))
        token = await rung(peer)
        silent = []
        for _ in range(3 * MAX_CALLERS):
            silent.append(call(peer, b""))
            if len(silent) > MAX_CALLERS:
                assert await closed(silent[len(silent) - MAX_CALLERS - 1])
        right = call(peer, f"{token}\n".encode())
    dialled.result()[0].close()
    for caller in [*silent, right]:
        caller.close()


async def test_nobody_calls(peer: Peer) -> None:
    peer.dials = False
    with pytest.raises(SandboxLost, match=r"did not answer the doorbell within 0\.05 s"):
        await dial(peer.doorbell, peer.sockets, timeout_s=0.05)
    assert not (peer.sockets / "agent.sock").exists()


async def test_nobody_is_at_the_doorbell(tmp_path: Path) -> None:
    with pytest.raises(SandboxLost, match="doorbell"):
        ring(tmp_path / "none", "dial x")
    os.mkfifo(tmp_path / "bell")
    with pytest.raises(SandboxLost, match="doorbell"):
        ring(tmp_path / "bell", "dial x")


async def test_a_doorbell_that_nobody_empties(peer: Peer) -> None:
    asyncio.get_running_loop().remove_reader(peer.fd)
    with pytest.raises(SandboxLost, match="cannot be rung"):
        for _ in range(10_000):
            ring(peer.doorbell, "x" * 500)


async def test_a_path_that_is_too_long(peer: Peer, tmp_path: Path) -> None:
    with pytest.raises(HostUnready, match="107") as caught:
        await dial(peer.doorbell, tmp_path / ("x" * 100), timeout_s=1)
    assert "CONTINUE_EXEC_RUNTIME_DIR" in caught.value.hint


async def test_a_place_that_cannot_hold_a_socket(peer: Peer) -> None:
    (peer.sockets / "agent.sock").mkdir()
    with pytest.raises(HostUnready, match=r"agent\.sock cannot be made"):
        await dial(peer.doorbell, peer.sockets, timeout_s=1)


async def test_what_an_earlier_engine_left_is_replaced(peer: Peer) -> None:
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(os.fspath(peer.sockets / "agent.sock"))
        sock, _ = await dial(peer.doorbell, peer.sockets, timeout_s=5)
    sock.close()


async def test_cancelled_while_it_waits(peer: Peer) -> None:
    peer.dials = False
    tasks = Tasks("test")
    waiting = tasks.spawn("dial", dial(peer.doorbell, peer.sockets, timeout_s=5))
    await rung(peer)
    silent = call(peer, b"")
    await tasks.close()
    assert waiting.cancelled()
    assert await closed(silent)
    assert not (peer.sockets / "agent.sock").exists()
