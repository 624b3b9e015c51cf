"""Errors as JSON-RPC has them: a number, a sentence, and in `data` the error as every door sends it."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pygls.exceptions import JsonRpcException

from ...errors import ContinueExecError, InternalError, InvalidRequest, NotSupported, ProtocolError

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
NOT_INITIALIZED = -32002
REQUEST_CANCELLED = -32800
REQUEST_FAILED = -32803
"""Numbers of JSON-RPC 2.0 and LSP 3.17 ("ErrorCodes"). RequestFailed: valid, but it did not work out."""

_OTHERS: dict[int, type[ContinueExecError]] = {
    PARSE_ERROR: ProtocolError,
    INVALID_REQUEST: ProtocolError,
    NOT_INITIALIZED: ProtocolError,
    METHOD_NOT_FOUND: NotSupported,
    INVALID_PARAMS: InvalidRequest,
}


def number(error: ContinueExecError) -> int:
    """The JSON-RPC number of an error of ours."""
    if isinstance(error, InvalidRequest):
        return INVALID_PARAMS
    return INTERNAL_ERROR if isinstance(error, InternalError) else REQUEST_FAILED


def exception(error: ContinueExecError, code: int | None = None) -> JsonRpcException:
    """What a handler raises so that the client gets the error verbatim."""
    return JsonRpcException(error.message, code or number(error), error.to_wire())


def invalid_params(method: str, error: ValidationError) -> InvalidRequest:
    """A validation error in one sentence that names every field."""
    faults = [f"{'.'.join(str(part) for part in item['loc']) or 'params'}: {item['msg']}" for item in error.errors()]
    return InvalidRequest(f"{method}: {'; '.join(faults[:10])}.", hint="docs/reference/lsp-messages.md has the fields.")


def safe_data(code: int, message: str, data: Any) -> Any:
    """`data` for an error of pygls's own: ours if it is, else made from the number. Never a traceback."""
    if isinstance(data, dict) and {"code", "message", "hint"} <= set(data):
        return data
    if code == REQUEST_CANCELLED:
        return None
    return _OTHERS.get(code, InternalError)(message).to_wire()
