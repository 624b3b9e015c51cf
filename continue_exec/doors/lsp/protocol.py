"""pygls's protocol, with what a sidecar needs to differ.

- Parameters of our own requests and of executeCommand stay as the JSON they came as: pygls would make tuples of them
  and mangle keys such as `my-key` in an `env`.
- Every error carries our `{code, message, hint, data}`, and none a traceback.
- Documents are kept by documents.py, not by pygls, whose lines are Python's and not LSP's.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from cattrs import Converter
from lsprotocol import types
from pygls.protocol import LanguageServerProtocol, default_converter, lsp_method
from pygls.protocol.json_rpc import JsonRPCNotification, JsonRPCRequestMessage, JsonRPCResponseMessage

from . import rpc


def converter() -> Converter:
    """pygls's converter, but for messages that no LSP type describes."""
    made: Converter = default_converter()  # type: ignore[no-untyped-call]
    made.register_structure_hook(JsonRPCRequestMessage, _raw_request)
    made.register_structure_hook(JsonRPCNotification, _raw_notification)
    made.register_structure_hook(JsonRPCResponseMessage, _raw_response)
    return made


def _raw_request(message: dict[str, Any], _: type) -> JsonRPCRequestMessage:
    return JsonRPCRequestMessage(message["id"], message["method"], message["jsonrpc"], message.get("params"))


def _raw_notification(message: dict[str, Any], _: type) -> JsonRPCNotification:
    return JsonRPCNotification(message["method"], message["jsonrpc"], message.get("params"))


def _raw_response(message: dict[str, Any], _: type) -> JsonRPCResponseMessage:
    return JsonRPCResponseMessage(message["id"], message["jsonrpc"], message.get("result"))


class SidecarProtocol(LanguageServerProtocol):
    """See the module."""

    execute_command: Callable[[Any], Any]
    """Set by the server: handles `workspace/executeCommand` with its parameters as JSON."""
    offers: dict[str, Any]
    """Set by the server: what `capabilities.experimental` says."""
    contents: types.TextDocumentContentOptions
    """Set by the server: schemes of virtual documents."""

    def get_message_type(self, method: str) -> type[Any] | None:  # type: ignore[override]  # there it is cached
        """LSP's type of a message; none for those taken as they are."""
        if method == types.WORKSPACE_EXECUTE_COMMAND:
            return None
        found: type[Any] | None = super().get_message_type(method)
        return found

    @lsp_method(types.INITIALIZE)
    def lsp_initialize(self, params: types.InitializeParams) -> Generator[Any, Any, types.InitializeResult]:
        """Also says what we offer beyond LSP."""
        result: types.InitializeResult = yield from super().lsp_initialize(params)
        result.capabilities.experimental = self.offers
        if result.capabilities.workspace is not None:  # pygls does not know this one
            result.capabilities.workspace.text_document_content = self.contents
        return result

    @lsp_method(types.WORKSPACE_EXECUTE_COMMAND)
    async def lsp_workspace__execute_command(self, params: Any) -> Any:  # type: ignore[override]  # any handler will do
        """Parameters as JSON, to the server."""
        return await self.execute_command(params)

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: Any) -> Generator[Any, Any, None]:
        """To documents.py only."""
        yield self.fm.features[types.TEXT_DOCUMENT_DID_OPEN], (params,), None

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: Any) -> Generator[Any, Any, None]:
        """To documents.py only."""
        yield self.fm.features[types.TEXT_DOCUMENT_DID_CHANGE], (params,), None

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: Any) -> Generator[Any, Any, None]:
        """To documents.py only."""
        yield self.fm.features[types.TEXT_DOCUMENT_DID_CLOSE], (params,), None

    def _send_response(self, msg_id: Any, result: Any = None, error: types.ResponseError | None = None) -> None:
        if error is not None:
            message = error.message or "The request failed."
            error = types.ResponseError(error.code, message, rpc.safe_data(error.code, message, error.data))
        super()._send_response(msg_id, result, error)

    def refuse(self, msg_id: str | int | None, code: int, message: str) -> None:
        """Answer with an error; without an id if the request's could not be told."""
        body = {"code": code, "message": message, "data": rpc.safe_data(code, message, None)}
        self._send_data({"jsonrpc": self.VERSION, "id": msg_id, "error": body})
