from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from continue_exec.doors.lsp.serve import Life


@pytest.mark.parametrize(
    ("message", "code", "number"),
    [
        (b"{nope", -32700, None),
        (b"\xff\xfe", -32700, None),
        (b"[" * 100_000, -32700, None),
        ([], -32600, None),
        ("text", -32600, None),
        ({"id": 1, "method": "x"}, -32600, 1),
        ({"jsonrpc": "2.0", "id": [1], "method": "x"}, -32600, None),
        ({"jsonrpc": "2.0", "id": True, "method": "x"}, -32600, None),
        ({"jsonrpc": "2.0", "id": 1, "method": 7}, -32600, 1),
        ({"jsonrpc": "2.0", "id": 1}, -32600, 1),
        ({"jsonrpc": "2.0", "result": 1}, -32600, None),
        ({"jsonrpc": "2.0", "id": 1, "method": "x", "params": "text"}, -32600, 1),
        ({"jsonrpc": "2.0", "id": 1, "method": "continueExec/run"}, -32002, 1),
    ],
)
async def test_what_is_no_message_is_refused(talk: Any, message: Any, code: int, number: Any) -> None:
    assert talk.say(message) is None
    (answer,) = talk.wire.sent
    assert (answer["error"]["code"], answer["id"]) == (code, number)
    assert answer["error"]["data"]["code"] == "protocol_error"
    talk.initialize()
    assert "result" in talk.answer(0)


async def test_order_of_life(talk: Any) -> None:
    assert talk.tell("textDocument/didOpen", {"nonsense": 1}) is None
    assert talk.wire.sent == []
    talk.initialize()
    talk.ask(1, "initialize", {"processId": None, "rootUri": None, "capabilities": {}})
    assert talk.answer(1)["error"]["code"] == -32600
    talk.ask(2, "shutdown")
    assert talk.answer(2)["result"] is None
    talk.ask(3, "continueExec/status")
    assert talk.answer(3)["error"]["code"] == -32600
    assert talk.tell("exit") == 0


async def test_exit_without_shutdown_is_1(talk: Any) -> None:
    talk.initialize()
    assert talk.tell("exit") == 1


async def test_a_failed_initialize_can_be_repeated(talk: Any) -> None:
    talk.ask(1, "initialize", {"capabilities": 7})
    assert talk.answer(1)["error"]["code"] == -32602
    talk.initialize()
    assert "capabilities" in talk.answer(0)["result"]


async def test_malformed_notifications_and_stray_answers_are_ignored(talk: Any) -> None:
    talk.initialize()
    count = len(talk.wire.sent)
    talk.tell("textDocument/didOpen", {"textDocument": 1})
    talk.tell("no/such/notification", {})
    talk.tell("$/cancelRequest", {"id": 99})
    talk.say({"jsonrpc": "2.0", "id": "unknown", "result": {"x": 1}})
    talk.say({"jsonrpc": "2.0", "id": "unknown", "error": {"code": 1, "message": "no"}})
    assert len(talk.wire.sent) == count


async def test_words_that_look_like_messages_stay_parameters(talk: Any) -> None:
    talk.initialize()
    env = {"jsonrpc": "2.0", "id": "x", "method": "exit", "my-key": "1", "_FOO": "2", "class": "3"}
    talk.client.hold = asyncio.Event()
    talk.ask(1, "continueExec/run", {"argv": ["true"], "env": env, "uri": "file:///w"})
    async with asyncio.timeout(10):
        await talk.client.called.wait()
    assert talk.client.asked("run.stream")[0]["env"] == env
    talk.client.hold.set()


async def test_input_that_just_ends_is_the_end(talk: Any) -> None:
    read, write = os.pipe()
    os.write(write, b"garbage\r\n\r\nContent-Length: 2\r\n\r\n{}Content-Length: 99\r\n\r\n{")
    os.close(write)
    assert await Life(talk.sidecar).run(read) == 0
    os.close(read)
    assert [one["error"]["code"] for one in talk.wire.sent] == [-32700, -32600]


async def test_a_process_that_cannot_be_seen_is_not_one_that_ended(talk: Any) -> None:
    read, write = os.pipe()
    life = Life(talk.sidecar)
    life._watch(2**22 + 1)  # above Linux's highest pid (proc(5), pid_max)
    life._watch(None)
    os.close(write)
    assert await life.run(read) == 0
    os.close(read)
