from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from continue_exec.doors.lsp.runs import selected
from continue_exec.errors import InvalidRequest
from continue_exec.protocol.lsp import LspPosition, LspRange
from tests.support.fake_client import FakeStream

TABLE = {
    "languages": [
        {"id": "python", "aliases": ["py"], "extensions": [".py"]},
        {"id": "bash", "aliases": ["sh"], "extensions": [".sh"]},
    ]
}


def span(a: int, b: int, c: int, d: int) -> LspRange:
    return LspRange(start=LspPosition(line=a, character=b), end=LspPosition(line=c, character=d))


TEXT = "if x:\r\n    y = 1\r\n    if y:\r\n        z = 2\r\n"


@pytest.mark.parametrize(
    ("where", "code"),
    [
        (span(1, 4, 4, 0), "y = 1\nif y:\n    z = 2\n"),
        (span(1, 0, 2, 0), "y = 1\n"),
        (span(3, 12, 3, 13), "2\n"),
        (span(4, 0, 1, 4), "y = 1\nif y:\n    z = 2\n"),
        (span(1, 4, 1, 9), "y = 1\n"),
    ],
)
def test_a_selection_loses_its_common_indentation(where: LspRange, code: str) -> None:
    assert selected(TEXT, where, "utf-16") == code


def test_nothing_selected_is_refused() -> None:
    for where in (span(0, 0, 0, 0), span(1, 0, 1, 4)):
        with pytest.raises(InvalidRequest, match="empty"):
            selected(TEXT, where, "utf-16")


async def said(talk: Any, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """What the engine was asked for."""
    talk.client.answers["language.list"] = TABLE
    talk.client.streams.append(FakeStream("run_1"))
    before = len(talk.client.asked("run.stream"))
    talk.ask(1000 + before, method, params)
    async with asyncio.timeout(10):
        while len(talk.client.asked("run.stream")) == before:
            talk.client.called.clear()
            await talk.client.called.wait()
    asked: dict[str, Any] = talk.client.asked("run.stream")[-1]
    return asked


async def test_a_file_is_named_with_its_arguments_and_known_by_the_editor_if_by_nothing_else(talk: Any) -> None:
    talk.initialize()
    asked = await said(talk, "continueExec/runFile", {"uri": "file:///w/src/a.py", "args": ["x"]})
    assert (asked["file"], asked["argv"], asked["title"]) == ("/w/src/a.py", ["x"], "src/a.py")
    assert "language" not in asked
    document = {"uri": "file:///w/tool", "languageId": "shellscript", "version": 1, "text": "echo\n"}
    talk.tell("textDocument/didOpen", {"textDocument": document})
    assert (await said(talk, "continueExec/runFile", {"uri": "file:///w/tool"}))["language"] == "bash"


async def test_a_selection_of_a_file_that_is_not_open_is_read_from_the_disk(talk: Any, tmp_path: Path) -> None:
    talk.initialize(folder=str(tmp_path))
    (tmp_path / "a.py").write_text("one\ntwo\n")
    where = {"start": {"line": 1, "character": 0}, "end": {"line": 2, "character": 0}}
    asked = await said(talk, "continueExec/runSelection", {"uri": (tmp_path / "a.py").as_uri(), "range": where})
    assert (asked["code"], asked["language"], asked["title"]) == ("two\n", "python", "selection of a.py")


async def test_snippets_are_named_by_any_name_of_their_language(talk: Any) -> None:
    talk.initialize()
    for name, known in (("PY", "python"), ("shellscript", "bash"), ("klingon", "klingon")):
        asked = await said(talk, "continueExec/runSnippet", {"language": name, "code": "x"})
        assert asked["language"] == known, "what is not known is the engine's to refuse"


async def test_a_run_whose_request_was_cancelled_is_ended(talk: Any) -> None:
    talk.initialize()
    talk.client.hold = asyncio.Event()
    stream = FakeStream("run_5")
    talk.client.streams.append(stream)
    talk.ask(1, "continueExec/run", {"argv": ["sleep", "1000"]})
    async with asyncio.timeout(10):
        await talk.client.called.wait()
    talk.tell("$/cancelRequest", {"id": 1})
    talk.client.hold.set()
    async with asyncio.timeout(10):
        while not talk.client.asked("run.cancel"):
            talk.client.called.clear()
            await talk.client.called.wait()
    assert talk.client.asked("run.cancel") == [{"run_id": "run_5"}]
    assert talk.answer(1)["error"]["code"] == -32800
    assert stream.closed and talk.of("continueExec/event") == []
