from __future__ import annotations

import asyncio

import pytest

from continue_exec import errors
from continue_exec.client import Client
from tests.support.local_engine import LocalEngine


async def test_pieces_arrive_as_they_are_written(client: Client, engine: LocalEngine) -> None:
    run = await client.start(["sh", "-c", "read a; echo got $a; cat"], stdin=True)
    stdin = await client.open_stdin(run.id)
    frames = client.frames("run.follow", {"run_id": run.id, "after": 1})
    await stdin.write(b"one\n")
    assert (await anext(frames))[2] == b"got one\n"
    await stdin.write(b"two")
    assert (await anext(frames))[2] == b"two"
    await stdin.close()
    assert b'"exited"' in (await anext(frames))[2]
    await frames.aclose()  # type: ignore[attr-defined]


async def test_without_end_of_file(client: Client, engine: LocalEngine) -> None:
    run = await client.start(["cat"], stdin=True)
    for piece in (b"a", b"b"):
        stdin = await client.open_stdin(run.id, eof=False)
        await stdin.write(piece)
        await stdin.close()
    stdin = await client.open_stdin(run.id)
    await stdin.close()
    output = b"".join([p async for k, _, p in client.frames("run.follow", {"run_id": run.id}) if k == 0x10])
    assert output == b"ab"


async def test_a_slow_reader_holds_the_writer_back(client: Client, engine: LocalEngine) -> None:
    run = await client.start(["sleep", "100"], stdin=True)
    stdin = await client.open_stdin(run.id)
    written = 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            while True:
                await stdin.write(b"x" * 65536)
                written += 65536
    assert written < 4 << 20  # what pipes and sockets hold, and no more
    stdin.abort()


async def test_a_run_that_is_not_there(client: Client, engine: LocalEngine) -> None:
    stdin = await client.open_stdin("run_none")
    with pytest.raises(errors.NotFound):
        while True:
            await stdin.write(b"x" * 65536)
            await asyncio.sleep(0)


async def test_the_connection_breaks(client: Client, engine: LocalEngine) -> None:
    run = await client.start(["cat"], stdin=True)
    stdin = await client.open_stdin(run.id)
    await stdin.write(b"a")
    await engine.stop_listening()
    with pytest.raises(errors.EngineUnavailable):
        await stdin.close()


async def test_a_break_is_heard_while_there_is_nothing_to_send(client: Client, engine: LocalEngine) -> None:
    run = await client.start(["cat"], stdin=True)
    stdin = await client.open_stdin(run.id)
    source: asyncio.Queue[bytes] = asyncio.Queue()
    source.put_nowait(b"a")
    writing = asyncio.ensure_future(stdin.write_from(source.get))
    await engine.runs[run.id].has(2)
    engine.cut_stdin()
    with pytest.raises(errors.EngineUnavailable):
        await writing
    stdin.abort()
