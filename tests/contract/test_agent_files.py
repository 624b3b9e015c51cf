"""The agent keeps its word: files, watches and ports."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from continue_exec.errors import ContinueExecError, InvalidRequest, NotFound
from continue_exec.protocol.agent import PushEntry, PushItem

PYTHON = "/usr/bin/python3"


def file(path: str, data: bytes | Path, size: int | None = None, **more: Any) -> PushItem:
    found = size if size is not None else (data.stat().st_size if isinstance(data, Path) else len(data))
    return PushItem(PushEntry(path=path, kind="file", size=found, **more), data)


def other(path: str, kind: Any, **more: Any) -> PushItem:
    return PushItem(PushEntry(path=path, kind=kind, **more))


async def contents(agent: Any, path: str, offset: int = 0, length: int = -1) -> bytes:
    return b"".join([piece async for piece in agent.connection.read(path, offset, length)])


@pytest.fixture
def root(agent: Any) -> str:
    return str(agent.spec.workspace)


# Push


async def test_every_kind_of_entry(agent: Any, root: str) -> None:
    moment = 1_600_000_000_123_456_789
    result = await agent.connection.push(
        root,
        [
            file("a.txt", b"hello", mode=0o640, mtime_ns=moment),
            file("deep/er/script", b"#!/bin/sh\necho ran\n", mode=0o755),
            file("empty", b""),
            other("folder", "dir", mode=0o750),
            other("link", "symlink", target="a.txt"),
        ],
    )
    assert (result.written, result.failed) == (5, ())
    assert await contents(agent, f"{root}/a.txt") == b"hello"
    found = await agent.connection.stat(f"{root}/a.txt")
    assert (found.kind, found.size, found.mode, found.mtime_ns) == ("file", 5, 0o640, moment)
    assert (await agent.connection.stat(f"{root}/folder")).mode == 0o750
    link = await agent.connection.stat(f"{root}/link")
    assert (link.kind, link.target) == ("symlink", "a.txt")
    assert (await agent.run(f"{root}/deep/er/script")).stdout == b"ran\n"
    names = [entry.path.rpartition("/")[2] for entry in await agent.connection.list(root)]
    assert names == ["a.txt", "deep", "empty", "folder", "link"]


async def test_what_stands_there_is_replaced(agent: Any, root: str) -> None:
    push = agent.connection.push
    await push(root, [file("x", b"old"), file("d/inner", b"i"), other("l", "symlink", target="/etc/passwd")])
    result = await push(root, [file("x", b"new"), file("d", b"now a file"), file("l", b"no link"), other("x2", "dir")])
    assert result.failed == ()
    assert await contents(agent, f"{root}/x") == b"new"
    assert await contents(agent, f"{root}/d") == b"now a file"
    assert (await agent.connection.stat(f"{root}/l")).kind == "file"
    result = await push(root, [other("d", "dir"), file("d/below", b"b")])
    assert result.failed == ()
    assert await contents(agent, f"{root}/d/below") == b"b"


async def test_a_file_is_not_taken_for_a_folder(agent: Any, root: str) -> None:
    """Only an entry's own place is cleared for it, never a parent's: who wants that says so."""
    await agent.connection.push(root, [file("x", b"kept")])
    result = await agent.connection.push(root, [file("x/below", b"b"), file("y", b"y")])
    assert [(failure.path, failure.code) for failure in result.failed] == [("x/below", "conflict")]
    assert await contents(agent, f"{root}/x") == b"kept"
    result = await agent.connection.push(root, [other("x", "dir"), file("x/below", b"b")])
    assert result.failed == ()
    assert await contents(agent, f"{root}/x/below") == b"b"


async def test_delete(agent: Any, root: str) -> None:
    await agent.connection.push(root, [file("tree/a/b", b"x"), file("one", b"x")])
    result = await agent.connection.push(root, [other(name, "delete") for name in ("tree", "one", "never/was")])
    assert result.failed == ()
    assert await agent.connection.list(root) == ()


async def test_a_link_is_never_followed(agent: Any, root: str) -> None:
    push = agent.connection.push
    outside = f"{root}-outside"
    await push("/", [file(f"{outside[1:]}/kept", b"mine")])
    await push(root, [other("out", "symlink", target=outside), other("kept", "symlink", target=f"{outside}/kept")])
    await push(root, [file("kept", b"changed"), other("out/kept", "delete")])
    await push(root, [file("out/new", b"x")])
    assert await contents(agent, f"{outside}/kept") == b"mine"
    assert [entry.path for entry in await agent.connection.list(outside)] == [f"{outside}/kept"]


@pytest.mark.parametrize("path", ["../escaped", "a/../../escaped", "/escaped", "", "a//b", ".", "a/.", "nul\0byte"])
async def test_a_path_that_leaves_the_root_fails_alone(agent: Any, root: str, path: str) -> None:
    result = await agent.connection.push(root, [file("before", b"1"), file(path, b"bad" * 1000), file("after", b"2")])
    assert result.written == 2
    assert [failure.path for failure in result.failed] == [path]
    assert result.failed[0].code
    assert await contents(agent, f"{root}/after") == b"2"


async def test_names_that_are_no_text(agent: Any, root: str) -> None:
    name = os.fsdecode(b"\xff\xfe name\n")
    assert (await agent.connection.push(root, [file(name, b"odd")])).failed == ()
    assert [entry.path for entry in await agent.connection.list(root)] == [f"{root}/{name}"]
    assert await contents(agent, f"{root}/{name}") == b"odd"
    assert (await agent.run("sh", "-c", "cat $(printf '\\377\\376')*")).stdout == b"odd"


async def test_ten_thousand_files(agent: Any, root: str) -> None:
    items = [file(f"d{n % 100}/f{n}", b"%d" % n * 50) for n in range(10_000)]
    result = await agent.connection.push(root, iter(items))
    assert (result.written, result.failed) == (10_000, ())
    listed = await agent.run("sh", "-c", "cat d7/f7 d99/f9999; find . -type f | wc -l")
    assert listed.stdout == b"7" * 50 + b"9999" * 50 + b"10000\n"


async def test_large_files_are_streamed_from_disk(agent: Any, root: str, tmp_path: Path) -> None:
    data = os.urandom(1 << 20) * 24
    (tmp_path / "large").write_bytes(data)

    async def items() -> AsyncIterator[PushItem]:
        yield file("small", b"s")
        yield file("large", tmp_path / "large")
        yield file("last", b"l")

    assert (await agent.connection.push(root, items())).written == 3
    digest = hashlib.sha256()
    async for piece in agent.connection.read(f"{root}/large"):
        digest.update(piece)
    assert digest.digest() == hashlib.sha256(data).digest()
    assert await contents(agent, f"{root}/last") == b"l"


async def test_a_file_that_changed_is_reported_and_tears_nothing(agent: Any, root: str, tmp_path: Path) -> None:
    (tmp_path / "grown").write_bytes(b"0123456789")
    (tmp_path / "shrunk").write_bytes(b"0123456789")
    changed: list[str] = []
    items = [
        file("grown", tmp_path / "grown", size=4),
        file("shrunk", tmp_path / "shrunk", size=400_000),
        file("gone", tmp_path / "gone", size=3),
        file("same", tmp_path / "grown"),
    ]
    result = await agent.connection.push(root, items, changed)
    assert result.written == 4
    assert changed == ["grown", "shrunk", "gone"]
    assert await contents(agent, f"{root}/grown") == b"0123"
    assert await contents(agent, f"{root}/shrunk") == b"0123456789".ljust(400_000, b"\0")
    assert await contents(agent, f"{root}/same") == b"0123456789"


async def test_a_push_whose_source_fails_ends_and_the_next_one_works(agent: Any, root: str) -> None:
    def items() -> Any:
        yield file("one", b"1" * 400_000)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await agent.connection.push(root, items())
    assert (await agent.connection.push(root, [file("two", b"2")])).written == 1
    assert await contents(agent, f"{root}/two") == b"2"


async def test_no_reader_sees_half_a_file(agent: Any, root: str) -> None:
    await agent.connection.push(root, [file("f", b"A" * 300_000)])
    code = (
        "import sys\n"
        "print('ready', flush=True)\n"
        "seen = set()\n"
        "while True:\n"
        "    data = open('f', 'rb').read()\n"
        "    assert len(data) == 300000 and len(set(data)) == 1, len(data)\n"
        "    seen.add(data[:1])\n"
        "    if data[:1] == b'Z': break\n"
    )
    stream, sink = await agent.start(PYTHON, "-Sc", code)
    await sink.until(lambda: b"ready" in sink.stdout or sink.note is not None)
    for letter in b"BCDEFGHIJKLMNOPQRSTUVWXYZ":
        await agent.connection.push(root, [file("f", bytes([letter]) * 300_000)])
    assert (await sink.exit()).exit_code == 0, sink.stderr
    await agent.connection.forget(stream)


# Read, stat, list


async def test_read_a_part(agent: Any, root: str) -> None:
    await agent.connection.push(root, [file("f", bytes(range(256)) * 4096)])
    assert await contents(agent, f"{root}/f", 1000, 600) == (bytes(range(256)) * 8)[1000:1600]
    assert await contents(agent, f"{root}/f", (1 << 20) - 2) == b"\xfe\xff"
    assert await contents(agent, f"{root}/f", 1 << 30) == b""
    assert await contents(agent, f"{root}/f", 0, 0) == b""


@pytest.mark.parametrize(
    ("path", "error"),
    [("/no/such", NotFound), ("/etc", InvalidRequest), ("rel", InvalidRequest), ("/dev/null", InvalidRequest)],
)
async def test_what_cannot_be_read(agent: Any, path: str, error: type[ContinueExecError]) -> None:
    with pytest.raises(error):
        await contents(agent, path)


async def test_a_read_that_is_left_early(agent: Any, root: str) -> None:
    await agent.connection.push(root, [file("f", bytes(20 << 20))])
    reading = agent.connection.read(f"{root}/f")
    assert await anext(reading)
    await reading.aclose()
    assert (await agent.connection.stat(f"{root}/f")).size == 20 << 20
    assert not agent.connection.closed.is_set()


async def test_stat_and_list_of_what_is_not_there(agent: Any) -> None:
    assert (await agent.connection.stat("/no/such")).kind == "missing"
    assert (await agent.connection.stat("/dev/null")).kind == "other"
    with pytest.raises(NotFound):
        await agent.connection.list("/no/such")
    with pytest.raises(InvalidRequest):
        await agent.connection.list("/etc/passwd")


# Watch


async def test_changes_are_reported(agent: Any, root: str) -> None:
    await agent.connection.push(root, [other("sub", "dir")])
    watching = await agent.connection.watch(root)
    await agent.run("sh", "-c", "echo 1 > sub/new; mkdir -p fresh/deep; echo 2 > fresh/deep/file")
    wanted = {f"{root}/sub/new", f"{root}/fresh/deep/file"}
    seen: set[str] = set()
    async with asyncio.timeout(10):
        while not wanted <= seen:
            note = await anext(watching)
            assert not note.overflow
            seen |= set(note.paths)
    await agent.connection.unwatch(watching)
    await agent.run("touch", "later")
    assert (await agent.connection.stat(f"{root}/later")).kind == "file"


async def test_a_folder_that_cannot_be_watched(agent: Any) -> None:
    with pytest.raises(NotFound):
        await agent.connection.watch("/no/such")


# Ports

ECHO = """
import socket, threading
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
while True:
    c, _ = s.accept()
    def serve(c=c):
        while data := c.recv(65536):
            c.sendall(data)
        c.sendall(b"<end>")
        c.close()
    threading.Thread(target=serve, daemon=True).start()
"""


@pytest.fixture
async def echo(agent: Any) -> AsyncIterator[int]:
    """The port of a server inside that sends back what it gets, and `<end>` after the end."""
    stream, sink = await agent.start(PYTHON, "-Sc", ECHO)
    await sink.until(lambda: sink.stdout.endswith(b"\n"))
    yield int(sink.stdout)
    await agent.connection.signal(stream, signal.SIGKILL)
    await sink.exit()


async def test_ports_are_listed(agent: Any, echo: int) -> None:
    found = {port.port: port for port in await agent.connection.ports()}
    assert found[echo].address == "127.0.0.1"
    assert found[echo].pid
    assert "python" in found[echo].command


async def test_a_port_carries_both_ways(agent: Any, echo: int) -> None:
    data = os.urandom(1 << 16) * 64

    async def one() -> None:
        port = await agent.connection.connect(echo)

        async def talk() -> None:
            await port.write(data)
            await port.write_eof()

        got = bytearray()
        async with asyncio.TaskGroup() as group:
            group.create_task(talk())
            while piece := await port.read():
                got += piece
        assert got == data + b"<end>"
        await port.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(one())


async def test_a_port_that_nobody_listens_on(agent: Any) -> None:
    with pytest.raises(NotFound):
        await agent.connection.connect(1)
    with pytest.raises(InvalidRequest):
        await agent.connection.connect(70_000)


async def test_a_port_stream_is_closed_from_here(agent: Any, echo: int) -> None:
    port = await agent.connection.connect(echo)
    await port.write(b"x")
    assert await port.read() == b"x"
    await port.close()
    assert await port.read() == b""
    again = await agent.connection.connect(echo)
    await again.close()
