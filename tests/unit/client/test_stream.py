from __future__ import annotations

import json

import pytest

from continue_exec import errors
from continue_exec.client import Client, stream
from continue_exec.protocol.frames import Kind
from tests.support.local_engine import LocalEngine

COUNT = "for i in $(seq 200); do echo $i; done"
EXPECTED = b"".join(b"%d\n" % n for n in range(1, 201))


@pytest.mark.parametrize("after", [0, 1, 2])
async def test_a_broken_stream_goes_on_where_it_was(client: Client, engine: LocalEngine, after: int) -> None:
    engine.break_after = after
    result = await client.execute(["sh", "-c", COUNT])
    assert engine.break_after is None  # it did break
    assert (result.exit_code, result.stdout) == (0, EXPECTED)
    assert "run.follow" in [name for name, _ in engine.calls]


async def test_nothing_twice(client: Client, engine: LocalEngine) -> None:
    opened = await client.open_stream("run.stream", client.run_params(["sh", "-c", "echo a; sleep 0.2; echo b"]))
    seqs = []
    async for _, seq, _ in opened:
        seqs.append(seq)
        if seq == 2:
            opened._response.connection.close()  # the client's own end breaks
    assert seqs == list(range(1, len(seqs) + 1))
    assert opened.final is not None


async def test_the_engine_restarts_meanwhile(client: Client, engine: LocalEngine) -> None:
    opened = await client.open_stream("run.stream", client.run_params(["sh", "-c", "echo a; sleep 0.5; echo b"]))
    output = b""
    async for kind, _, payload in opened:
        if kind == Kind.STDOUT:
            if not output:
                await engine.stop_listening()
                await engine.start()
            output += payload
    assert output == b"a\nb\n"


async def test_an_engine_that_stays_away(client: Client, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "RESUME_DELAYS", (0.0, 0.01, 0.02))
    opened = await client.open_stream("run.stream", client.run_params(["sleep", "5"]))
    with pytest.raises(errors.EngineUnavailable):
        async for _ in opened:
            await engine.stop_listening()


async def test_words_in_output_are_not_events(client: Client) -> None:
    result = await client.execute(["echo", '{"type": "exited"}'])
    assert result.stdout == b'{"type": "exited"}\n'


async def test_without_waiting(client: Client, engine: LocalEngine) -> None:
    run = await client.start(["sh", "-c", "echo a; sleep 100"])
    await engine.runs[run.id].has(2)
    opened = await client.open_stream("run.follow", {"run_id": run.id, "wait": False})
    assert [seq async for _, seq, _ in opened] == [1, 2]
    assert opened.final is None


async def test_final_is_kept(client: Client) -> None:
    opened = await client.open_stream("run.stream", client.run_params(["sh", "-c", "exit 7"]))
    last = [payload async for _, _, payload in opened][-1]
    assert opened.final == json.loads(last)
    assert opened.final["exit_code"] == 7
