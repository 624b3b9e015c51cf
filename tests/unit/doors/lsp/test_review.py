from __future__ import annotations

import asyncio
from typing import Any

import pytest

from continue_exec.errors import Conflict
from tests.unit.doors.lsp.asking import answered, asked

CAPABILITIES = {
    "applyEdit": True,
    "workspaceEdit": {"documentChanges": True, "resourceOperations": ["create", "rename", "delete"]},
}


def change(path: str, **fields: Any) -> dict[str, Any]:
    return {"path": path, "kind": "modified", "type": "file", "version": f"v-{path}", **fields}


def replace(path: str, text: str, **fields: Any) -> dict[str, Any]:
    return {"path": path, "kind": "modified", "edits": [{"start": 1, "lines": 1, "text": text}], "text": text, **fields}


def engine(talk: Any, changes: list[dict[str, Any]], proposals: list[dict[str, Any]], **hosts: str) -> None:
    talk.client.answers |= {
        "workspace.resolve": {"path": "/w"},
        "changes.list": {"sandbox_id": "sb_1", "workspace": "/w", "changes": changes},
        "changes.propose": {"proposals": proposals, "left": []},
        "changes.content": lambda query: {
            **query,
            "exists": True,
            "text": hosts.get(query["path"], f"{query['path']}\n"),
            "version": f"v-{query['path']}",
        },
        "changes.apply": lambda params: {"applied": [pick["path"] for pick in params["picks"]], "left": []},
    }


def start(talk: Any, **workspace: Any) -> None:
    talk.initialize(workspace={**CAPABILITIES, **workspace})


def open_document(talk: Any, name: str, text: str, version: int = 1) -> None:
    document = {"uri": f"file:///w/{name}", "languageId": "text", "version": version, "text": text}
    talk.tell("textDocument/didOpen", {"textDocument": document})


def reply(talk: Any, request: dict[str, Any], result: Any) -> None:
    talk.say({"jsonrpc": "2.0", "id": request["id"], "result": result})


async def test_text_goes_through_the_editor_and_the_rest_through_the_engine_after_it(talk: Any) -> None:
    changes = [
        change("a"),
        change("b"),
        change("bin", binary=True),
        change("link", type="symlink"),
    ]
    proposals = [
        replace("a", "A\n"),
        replace("b", "B\n"),
        {"path": "bin", "kind": "modified"},
        {"path": "link", "kind": "modified"},
    ]
    engine(talk, changes, proposals)
    start(talk)
    open_document(talk, "a", "a\n", version=5)
    picks = [{"path": name, "version": f"v-{name}"} for name in ("a", "b", "bin")]
    talk.ask(1, "continueExec/apply", {"uri": "file:///w/a", "picks": picks, "all": True, "yes": ["bin"]})
    request = await asked(talk, "workspace/applyEdit")
    first, second = request["params"]["edit"]["documentChanges"]
    assert first["textDocument"] == {"uri": "file:///w/a", "version": 5}
    assert second["textDocument"] == {"uri": "file:///w/b", "version": None}
    assert first["edits"] == [
        {"range": {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}}, "newText": "A\n"}
    ]
    assert talk.client.asked("changes.apply") == [], "the engine waits for the editor"
    reply(talk, request, {"applied": True})
    answer = (await answered(talk, 1))["result"]
    assert answer == {"applied": ["a", "b", "bin", "link"], "left": []}
    (written,) = talk.client.asked("changes.apply")
    by_path = {pick["path"]: pick for pick in written["picks"]}
    assert {path: pick["version"] for path, pick in by_path.items()} == {"bin": "v-bin", "link": "v-link"}
    assert written["yes"] == ["bin"]
    (proposed,) = talk.client.asked("changes.propose")
    assert (proposed["all"], len(proposed["picks"])) == (True, 3)


@pytest.mark.parametrize("result", [{"applied": False, "failureReason": "It was not wanted"}, {"applied": False}])
async def test_an_editor_that_refuses_has_refused_all_of_it(talk: Any, result: dict[str, Any]) -> None:
    engine(talk, [change("a"), change("bin", binary=True)], [replace("a", "A\n"), {"path": "bin", "kind": "modified"}])
    start(talk)
    open_document(talk, "a", "a\n")
    talk.ask(1, "continueExec/apply", {"all": True})
    reply(talk, await asked(talk, "workspace/applyEdit"), result)
    answer = (await answered(talk, 1))["result"]
    assert answer["applied"] == []
    assert [(one["path"], one["code"]) for one in answer["left"]] == [("a", "conflict"), ("bin", "conflict")]
    assert result.get("failureReason", "did not apply") in answer["left"][0]["message"]
    assert talk.client.asked("changes.apply") == []


async def test_an_editor_that_fails_to_apply(talk: Any) -> None:
    engine(talk, [change("a")], [replace("a", "A\n")])
    start(talk)
    open_document(talk, "a", "a\n")
    talk.ask(1, "continueExec/apply", {"all": True})
    request = await asked(talk, "workspace/applyEdit")
    talk.say({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32603, "message": "crashed"}})
    (left,) = (await answered(talk, 1))["result"]["left"]
    assert "crashed" in left["message"]


async def test_a_document_that_moved_on_is_left_and_the_others_go(talk: Any) -> None:
    engine(talk, [change("a"), change("b")], [replace("a", "A\n"), replace("b", "B\n")])
    start(talk)
    open_document(talk, "a", "typed\nmeanwhile\n")
    talk.ask(1, "continueExec/apply", {"all": True})
    request = await asked(talk, "workspace/applyEdit")
    assert [one["textDocument"]["uri"] for one in request["params"]["edit"]["documentChanges"]] == ["file:///w/b"]
    reply(talk, request, {"applied": True})
    answer = (await answered(talk, 1))["result"]
    assert (answer["applied"], [one["path"] for one in answer["left"]]) == (["b"], ["a"])


async def test_line_ends_alone_are_written_by_the_engine(talk: Any) -> None:
    engine(talk, [change("a")], [replace("a", "x\r\n")], a="x\n")
    start(talk)
    talk.ask(1, "continueExec/apply", {"picks": [{"path": "a"}]})
    assert (await answered(talk, 1))["result"]["applied"] == ["a"]
    assert [pick["path"] for pick in talk.client.asked("changes.apply")[0]["picks"]] == ["a"]


async def test_an_editor_without_edits_leaves_it_all_to_the_engine(talk: Any) -> None:
    engine(talk, [change("a")], [replace("a", "A\n")])
    talk.initialize()
    talk.ask(1, "workspace/executeCommand", {"command": "continue-exec.apply", "arguments": [{"all": True}]})
    assert (await answered(talk, 1))["result"]["applied"] == ["a"]


async def test_what_the_engine_leaves_or_refuses_is_said(talk: Any) -> None:
    engine(talk, [change("a"), change("bin")], [replace("a", "A\n"), {"path": "bin", "kind": "modified"}])
    left = [{"path": "c", "code": "conflict", "message": "Both.", "hint": ""}]
    talk.client.answers["changes.propose"]["left"] = left
    talk.client.answers["changes.apply"] = Conflict("The file has changed.")
    start(talk)
    talk.ask(1, "continueExec/apply", {"all": True})
    reply(talk, await asked(talk, "workspace/applyEdit"), {"applied": True})
    answer = (await answered(talk, 1))["result"]
    assert answer["applied"] == ["a"], "the edit stands"
    left = [(one["path"], one["message"]) for one in answer["left"]]
    assert left == [("c", "Both."), ("bin", "The file has changed.")]


async def test_an_executable_bit_follows_when_the_file_is_saved(talk: Any) -> None:
    one = change("a", mode=0o755, old_mode=0o644, insertions=1)
    engine(talk, [one], [replace("a", "A\n")])
    start(talk)
    open_document(talk, "a", "a\n")
    talk.ask(1, "continueExec/apply", {"all": True})
    reply(talk, await asked(talk, "workspace/applyEdit"), {"applied": True})
    assert (await answered(talk, 1))["result"] == {"applied": ["a"], "left": []}
    assert talk.client.asked("changes.apply") == [], "the text is not saved yet"
    one |= {"insertions": 0, "version": "after"}
    for _ in range(2):  # the second save is one like any other
        talk.tell("textDocument/didSave", {"textDocument": {"uri": "file:///w/a"}})
        async with asyncio.timeout(20):
            while not talk.client.asked("changes.apply"):
                talk.client.called.clear()
                await talk.client.called.wait()
        talk.ask(7, "continueExec/status")
    (written,) = talk.client.asked("changes.apply")
    assert [(pick["path"], pick["version"]) for pick in written["picks"]] == [("a", "after")]


@pytest.mark.parametrize("arrived", [True, False])
async def test_what_was_merged_in_the_editor_is_what_the_sandbox_gets(talk: Any, arrived: bool) -> None:
    host = {"text": "a\n"}
    engine(talk, [change("a", conflict="both")], [replace("a", "merged\n")])
    talk.client.answers["changes.content"] = lambda query: {**query, **host, "exists": True, "version": "v-a"}
    talk.client.answers["changes.discard"] = {"applied": ["a"], "left": []}
    start(talk)
    open_document(talk, "a", "a\n")
    talk.ask(1, "continueExec/apply", {"picks": [{"path": "/w/a", "take": "merged"}]})
    request = await asked(talk, "workspace/applyEdit")
    if arrived:
        host["text"] = "merged\n"
    reply(talk, request, {"applied": True})
    answer = (await answered(talk, 1))["result"]
    assert answer["applied"] == ["a"]
    assert [one["path"] for one in answer["left"]] == ([] if arrived else ["a"])
    assert len(talk.client.asked("changes.discard")) == int(arrived)
    (proposed,) = talk.client.asked("changes.propose")
    assert proposed["picks"][0]["path"] == "a"


async def test_a_host_that_moved_on_between_the_questions(talk: Any) -> None:
    engine(talk, [{**change("a"), "version": "another"}], [replace("a", "A\n")])
    start(talk)
    talk.ask(1, "continueExec/apply", {"all": True})
    (left,) = (await answered(talk, 1))["result"]["left"]
    assert (left["path"], left["code"]) == ("a", "conflict")


async def test_what_vanished_between_the_two_questions(talk: Any) -> None:
    engine(talk, [], [replace("a", "A\n")])
    start(talk)
    talk.ask(1, "continueExec/apply", {"all": True})
    (left,) = (await answered(talk, 1))["result"]["left"]
    assert left["code"] == "conflict"


async def test_questions_name_the_workspace_and_unsaved_text_goes_first(talk: Any) -> None:
    engine(talk, [], [])
    start(talk)
    open_document(talk, "src/a", "unsaved\n")
    talk.ask(1, "continueExec/changes", {"uri": "file:///w/src/a", "hunks": True, "runId": "run_7"})
    await answered(talk, 1)
    assert talk.client.asked("changes.list") == [
        {"workspace": {"path": "/w"}, "hunks": True, "run_id": "run_7", "paths": ["src/a"]}
    ]
    names = [name for name, _ in talk.client.calls]
    assert names.index("workspace.buffers") < names.index("changes.list")
    talk.ask(2, "continueExec/changes", {})
    await answered(talk, 2)
    assert talk.client.asked("changes.list")[1] == {"workspace": {"path": "/w"}, "hunks": False}


async def test_the_other_requests(talk: Any) -> None:
    engine(talk, [], [], **{"src/a": "text\n"})
    talk.client.answers |= {
        "run.get": {"id": "run_0123", "sandbox_id": "sb_1"},
        "sandbox.get": {"workspace": {"path": "/x"}},
        "changes.rewind": {"applied": ["z"], "left": []},
        "changes.discard": {"applied": ["y"], "left": []},
        "run.changes": {"run_id": "run_0123", "changes": [], "restorable": True},
        "git.fetch": {"refs": []},
    }
    start(talk)
    for number, (name, params, result) in enumerate(
        [
            ("rewind", {"runId": "run_01"}, {"applied": ["z"], "left": []}),
            ("discard", {"picks": [{"path": "y"}]}, {"applied": ["y"], "left": []}),
            ("runChanges", {"runId": "run_01"}, {"run_id": "run_0123", "changes": [], "restorable": True}),
            ("fetch", {}, {"refs": []}),
        ],
        1,
    ):
        talk.ask(number, f"continueExec/{name}", params)
        assert (await answered(talk, number))["result"] == result
    rewound = {"workspace": {"path": "/x", "root": True}, "run_id": "run_0123"}
    assert talk.client.asked("changes.rewind") == [rewound]
    assert talk.client.asked("git.fetch") == [{"path": "/w"}]
    talk.ask(9, "continueExec/content", {"uri": "file:///w/src/a", "side": "host"})
    content = (await answered(talk, 9))["result"]
    assert (content["path"], content["text"], content["side"]) == ("src/a", "text\n", "host")
    talk.ask(10, "continueExec/content", {"uri": "file:///etc/passwd", "side": "host"})
    assert (await answered(talk, 10))["error"]["data"]["code"] == "outside_workspace"
