from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from continue_exec.errors import EngineUnavailable, InternalError, NotFound
from continue_exec.protocol import lsp
from tests.support.fake_client import FakeStream, event, exited, out

LANGUAGES = {"languages": [{"id": "python", "aliases": ["py"], "extensions": [".py"]}]}


async def answered(talk: Any, number: int) -> dict[str, Any]:
    await talk.wire.until(lambda: any(one.get("id") == number and "method" not in one for one in talk.wire.sent))
    found: dict[str, Any] = talk.answer(number)
    return found


async def test_every_request_and_command_of_the_table_is_there(talk: Any) -> None:
    talk.initialize()
    capabilities = talk.answer(0)["result"]["capabilities"]
    assert set(capabilities["executeCommandProvider"]["commands"]) == set(lsp.COMMANDS)
    assert set(capabilities["experimental"]["continueExec"]["requests"]) == set(lsp.REQUESTS)
    assert set(talk.sidecar._handlers) == set(lsp.REQUESTS)
    assert capabilities["positionEncoding"] == "utf-16"
    assert "codeActionProvider" not in capabilities, "an editor with events has buttons of its own"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
async def test_the_position_encoding_is_the_editors_first(talk: Any, encoding: str) -> None:
    talk.initialize(general={"positionEncodings": [encoding, "utf-16"]})
    assert talk.answer(0)["result"]["capabilities"]["positionEncoding"] == encoding
    assert talk.sidecar.documents.encoding == encoding


async def test_events_come_after_the_answer(talk: Any) -> None:
    talk.initialize()
    stream = FakeStream("run_7")
    stream.put(event(1, type="started", run_id="run_7"), out(2, b"hi"), exited(3))
    talk.client.streams.append(stream)
    talk.ask(1, "continueExec/run", {"argv": ["echo", "hi"], "timeoutS": 5, "stdin": True})
    assert (await answered(talk, 1))["result"] == {"runId": "run_7"}
    async with asyncio.timeout(10):
        await stream.ended.wait()
    kinds = [one.get("method") or f"answer {one['id']}" for one in talk.wire.sent[1:]]
    assert kinds == ["answer 1", *["continueExec/event"] * 3]
    (asked,) = talk.client.asked("run.stream")
    assert asked == {
        "workspace": {"path": "/w"},
        "argv": ["echo", "hi"],
        "timeout_s": 5.0,
        "stdin": True,
        "title": "echo hi",
        "client": "lsp-test",
    }


async def test_errors_are_the_engines_own_and_defects_say_no_more_than_they_must(talk: Any) -> None:
    talk.initialize()
    cases = [(1, NotFound("No such run.", hint="List them."), -32803), (2, InternalError("x"), -32603)]
    for number, error, code in cases:
        talk.client.answers["run.get"] = error
        talk.ask(number, "continueExec/attach", {"runId": "run_x"})
        assert (await answered(talk, number))["error"]["data"] == error.to_wire()
        assert talk.answer(number)["error"]["code"] == code

    def defect(_: dict[str, Any]) -> Any:
        raise RuntimeError("a secret in a message")

    talk.client.answers["run.get"] = defect
    talk.ask(3, "continueExec/attach", {"runId": "run_x"})
    error = (await answered(talk, 3))["error"]
    assert (error["code"], error["data"]["code"]) == (-32603, "internal")
    assert "secret" not in str(error) and "Traceback" not in str(error)


async def test_status_starts_no_engine(talk: Any) -> None:
    talk.initialize()
    talk.quiet.answers["engine.status"] = EngineUnavailable("not running")
    talk.ask(1, "continueExec/status")
    result = (await answered(talk, 1))["result"]
    assert (result["engine"], result["following"]) == (None, [])
    assert talk.client.calls == []


async def test_lists_name_the_workspace(talk: Any) -> None:
    talk.initialize()
    talk.client.answers["run.list"] = {"runs": []}
    talk.ask(1, "continueExec/runs", {"uri": "file:///w/src/a.py", "active": True})
    await answered(talk, 1)
    assert talk.client.asked("run.list") == [{"active": True, "limit": 50, "workspace": {"path": "/w"}}]


async def test_cancel_without_an_id_means_the_newest(talk: Any) -> None:
    talk.initialize()
    talk.ask(1, "continueExec/cancel", {})
    assert (await answered(talk, 1))["error"]["data"]["code"] == "not_found"
    talk.client.streams.append(FakeStream("run_8"))
    talk.ask(2, "continueExec/run", {"argv": ["true"]})
    await answered(talk, 2)
    talk.ask(3, "workspace/executeCommand", {"command": "continue-exec.cancel"})
    assert "result" in await answered(talk, 3)
    assert talk.client.asked("run.cancel") == [{"run_id": "run_8", "grace_s": 2.0}]


async def test_a_plain_editor_gets_words_and_actions(talk: Any) -> None:
    talk.initialize(events=False)
    assert talk.answer(0)["result"]["capabilities"]["codeActionProvider"] is True
    stream = FakeStream("run_9")
    stream.put(out(1, b"hello\n"), exited(2))
    talk.client.streams.append(stream)
    argument = {"argv": ["echo", "hello"], "env": {"my-key": "1"}}
    talk.ask(1, "workspace/executeCommand", {"command": "continue-exec.run", "arguments": [argument]})
    await answered(talk, 1)
    async with asyncio.timeout(10):
        await stream.ended.wait()
    (shown,) = talk.of("window/showMessage")
    assert shown["message"].startswith("hello\necho hello: exit code 0 in 1.5 s")
    assert talk.of("continueExec/event") == []


@pytest.mark.parametrize("arguments", [[{}, {}], {"x": 1}, ["text"]])
async def test_arguments_of_commands_are_one_object(talk: Any, arguments: Any) -> None:
    talk.initialize()
    talk.ask(1, "workspace/executeCommand", {"command": "continue-exec.run", "arguments": arguments})
    assert (await answered(talk, 1))["error"]["code"] == -32602


async def test_code_lenses_need_an_engine_but_break_nothing_without(talk: Any, tmp_path: Path) -> None:
    talk.initialize()
    document = {"uri": "file:///w/a.py", "languageId": "python", "version": 1, "text": "print(1)\n"}
    talk.tell("textDocument/didOpen", {"textDocument": document})
    talk.client.answers["language.list"] = EngineUnavailable("not there")
    talk.ask(1, "textDocument/codeLens", {"textDocument": {"uri": "file:///w/a.py"}})
    assert (await answered(talk, 1))["result"] == []
    talk.client.answers["language.list"] = LANGUAGES
    talk.ask(2, "textDocument/codeLens", {"textDocument": {"uri": "file:///w/a.py"}})
    (lens,) = (await answered(talk, 2))["result"]
    assert lens["command"]["arguments"] == [{"uri": "file:///w/a.py"}]
    talk.ask(3, "textDocument/codeLens", {"textDocument": {"uri": "file:///w/other.py"}})
    assert (await answered(talk, 3))["result"] == []


async def test_closing_keeps_runs_and_clears_texts(talk: Any, tmp_path: Path) -> None:
    talk.initialize(folder=str(tmp_path))
    document = {"uri": (tmp_path / "a.py").as_uri(), "languageId": "python", "version": 1, "text": "new\n"}
    talk.tell("textDocument/didOpen", {"textDocument": document})
    talk.ask(1, "continueExec/runFile", {"uri": document["uri"]})
    await answered(talk, 1)
    await talk.sidecar.close()
    (cleared,) = talk.quiet.asked("workspace.buffers")
    assert cleared["buffers"] == [{"path": str(tmp_path / "a.py"), "text": None}]
    assert not talk.client.asked("run.cancel")
