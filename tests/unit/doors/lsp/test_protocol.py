from __future__ import annotations

from typing import Any

from lsprotocol import types
from pygls.protocol.json_rpc import JsonRPCNotification, JsonRPCRequestMessage

from continue_exec.doors.lsp.protocol import converter

RAW = {"_FOO": 1, "my-key": {"class": [1, {"jsonrpc": "2.0"}]}, "": None}


def test_parameters_that_lsp_does_not_know_stay_as_they_are() -> None:
    made = converter()
    request = made.structure({"jsonrpc": "2.0", "id": 1, "method": "x", "params": RAW}, JsonRPCRequestMessage)
    assert request.params is RAW
    assert made.structure({"jsonrpc": "2.0", "method": "x"}, JsonRPCNotification).params is None


def test_errors_of_pygls_are_made_ours(talk: Any) -> None:
    talk.sidecar.protocol._send_response(1, error=types.ResponseError(-32603, "KeyError: 'x'", {"traceback": ["File"]}))
    assert talk.answer(1)["error"]["data"]["code"] == "internal"
    assert "File" not in str(talk.answer(1))
    talk.sidecar.protocol.refuse(None, -32700, "Skipped it.")
    assert talk.wire.sent[-1]["id"] is None


def test_answers_carry_results_as_they_are(talk: Any) -> None:
    talk.sidecar.protocol._send_response(1, result=RAW)
    assert talk.answer(1)["result"] == RAW
