from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from continue_exec.doors.lsp.stdio import WRITE_HIGH, Wire, read_pieces


def test_prints_go_to_standard_error_and_never_onto_the_wire() -> None:
    code = (
        "import os, subprocess, sys\n"
        "from continue_exec.doors.lsp.stdio import capture_stdout\n"
        "wire = capture_stdout()\n"
        "print('printed', flush=True)\n"
        "os.write(1, b'written\\n')\n"
        "subprocess.run(['echo', 'by a child'])\n"
        "os.write(wire, b'the wire')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "the wire"
    assert done.stderr == "printed\nwritten\nby a child\n"


async def test_pieces_come_to_the_end_from_a_pipe_a_file_and_nothing(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.write(write, b"one")
    os.close(write)
    assert [piece async for piece in read_pieces(read)] == [b"one"]
    os.close(read)
    (tmp_path / "file").write_bytes(b"two")
    for path, expected in ((tmp_path / "file", b"two"), (Path(os.devnull), b"")):
        fd = os.open(path, os.O_RDONLY)
        assert b"".join([piece async for piece in read_pieces(fd)]) == expected
        os.close(fd)


async def test_senders_wait_for_a_slow_reader_and_answers_do_not() -> None:
    read, write = os.pipe()
    wire = await Wire.open(write)
    await wire.room()
    wire.write(bytes(4 * WRITE_HIGH))
    wire.write(b"an answer")
    assert wire.waiting > WRITE_HIGH
    waiting = asyncio.ensure_future(wire.room())
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    assert not done
    total = 4 * WRITE_HIGH + len(b"an answer")
    received = await asyncio.to_thread(lambda: b"".join(iter(lambda: _take(read, total), b"")))
    assert received.endswith(b"an answer")
    await waiting
    await wire.finish(1)
    os.close(read)


_left: dict[int, int] = {}


def _take(fd: int, total: int) -> bytes:
    left = _left.setdefault(fd, total)
    piece = os.read(fd, min(left, 65536)) if left else b""
    _left[fd] = left - len(piece)
    return piece


async def test_a_reader_that_has_gone_is_an_error_for_senders_and_none_for_answers() -> None:
    read, write = os.pipe()
    wire = await Wire.open(write)
    os.close(read)
    wire.write(b"x" * 10)
    with pytest.raises(ConnectionError):
        async with asyncio.timeout(10):
            while True:
                await wire.room()
                await asyncio.sleep(0)
    wire.write(b"dropped")
    await wire.finish(1)


async def test_the_end_waits_until_everything_is_read_but_not_for_ever(tmp_path: Path) -> None:
    read, write = os.pipe()
    wire = await Wire.open(write)
    wire.write(bytes(2 * WRITE_HIGH))
    await wire.finish(0.05)
    os.close(read)
    fd = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    file = await Wire.open(fd)
    await file.room()
    file.write(b"to a file")
    await file.finish(1)
    assert (tmp_path / "out").read_bytes() == b"to a file"
