from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import socket
from pathlib import Path

import pytest

from continue_exec.doors.cli import descriptors
from continue_exec.doors.cli.descriptors import Input, Output


async def drained(fd: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await asyncio.to_thread(os.read, fd, 1 << 16)
    return data


@pytest.mark.parametrize("reopen", [True, False])
async def test_a_slow_pipe_neither_blocks_nor_loses(monkeypatch: pytest.MonkeyPatch, reopen: bool) -> None:
    if not reopen:  # as when /proc does not let us
        monkeypatch.setattr(descriptors.os, "open", lambda *_: (_ for _ in ()).throw(PermissionError()))
    read_end, write_end = os.pipe()
    output = Output(write_end)
    data = os.urandom(300_000)
    writing = asyncio.ensure_future(output.write(data))
    for _ in range(5):
        await asyncio.sleep(0)  # the loop still turns
    assert not writing.done()
    assert await drained(read_end, len(data)) == data
    await writing
    assert not fcntl.fcntl(write_end, fcntl.F_GETFL) & os.O_NONBLOCK  # others share it
    output.close()
    os.close(read_end)
    os.close(write_end)


@pytest.mark.parametrize("kind", ["pipe", "socket"])
async def test_nobody_reads(kind: str) -> None:
    if kind == "pipe":
        read_end, write_end = os.pipe()
    else:
        read_end, write_end = (one.detach() for one in socket.socketpair())
    output = Output(write_end)
    os.close(read_end)
    with pytest.raises(BrokenPipeError):
        await output.write(b"x")
    output.close()
    os.close(write_end)


async def test_files_and_devices(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "f", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"before ")
    output = Output(fd)
    await output.write(b"after")
    output.close()
    os.close(fd)
    assert (tmp_path / "f").read_bytes() == b"before after"
    fd = os.open("/dev/null", os.O_RDWR)
    await Output(fd).write(b"x" * 1_000_000)
    assert await Input(fd).read() == b""
    os.close(fd)


async def test_full_disk() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    output = Output(fd)
    with pytest.raises(OSError, match="No space"):
        await output.write(b"x")
    output.close()
    os.close(fd)


async def test_a_terminal() -> None:
    master, slave = pty.openpty()
    output = Output(slave)
    data = b"x" * 100_000
    writing = asyncio.ensure_future(output.write(data))
    assert await drained(master, len(data)) == data
    await writing
    output.close()
    os.write(master, b"key\n")
    assert await Input(slave).read() == b"key\n"
    os.close(slave)
    os.close(master)


async def test_input_comes_as_it_is_there() -> None:
    read_end, write_end = os.pipe()
    source = Input(read_end)
    reading = asyncio.ensure_future(source.read())
    await asyncio.sleep(0)
    os.write(write_end, b"a")
    assert await reading == b"a"
    os.close(write_end)
    assert await source.read() == b""
    os.close(read_end)
