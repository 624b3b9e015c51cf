from __future__ import annotations

from typing import Any

import pytest

from tests.unit.doors.lsp.asking import answered


@pytest.mark.parametrize(
    ("scheme", "side", "content", "text"),
    [
        ("ce-sandbox", "sandbox", {"exists": True, "text": "ü\r\n"}, "ü\r\n"),
        ("ce-base", "base", {"exists": False}, ""),
        ("ce-merged", "merged", {"exists": True, "text": "<<<<<<<"}, "<<<<<<<"),
        ("ce-sandbox", "sandbox", {"exists": True, "base64": "AAE="}, "A binary file.\n"),
        ("ce-sandbox", "sandbox", {"exists": True, "type": "symlink", "target": "x"}, "x"),
        ("ce-sandbox", "sandbox", {"exists": True, "type": "folder"}, "A folder.\n"),
    ],
)
async def test_a_virtual_document(talk: Any, scheme: str, side: str, content: dict[str, Any], text: str) -> None:
    talk.client.answers["workspace.resolve"] = {"path": "/w"}
    talk.client.answers["changes.content"] = {"path": "s/a b", "side": side, **content}
    talk.initialize()
    schemes = talk.answer(0)["result"]["capabilities"]["workspace"]["textDocumentContent"]["schemes"]
    assert scheme in schemes
    for number, uri in enumerate((f"{scheme}:///w/s/a%20b", f"{scheme}:/w/s/a%20b"), 1):
        talk.ask(number, "workspace/textDocumentContent", {"uri": uri})
        assert (await answered(talk, number))["result"] == {"text": text}
    assert talk.client.asked("changes.content")[0] == {"workspace": {"path": "/w"}, "path": "s/a b", "side": side}


async def test_other_schemes_are_not_ours(talk: Any) -> None:
    talk.initialize()
    talk.ask(1, "workspace/textDocumentContent", {"uri": "file:///etc/passwd"})
    assert (await answered(talk, 1))["error"]["data"]["code"] == "invalid_request"
