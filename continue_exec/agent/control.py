"""JSON of control frames. The agent is untrusted: whatever it sends becomes a model, or a `ProtocolError`.

A frame bounds the size (1 MiB); here nesting, numbers and shapes are bounded too, so that nothing absurd
reaches the engine's database or the editor.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError

from ..errors import ContinueExecError, ProtocolError, TooLarge, from_wire
from ..model import Model
from ..protocol.agent import Exited
from ..protocol.frames import MAX_PAYLOAD

AnyModel = TypeVar("AnyModel", bound=Model)


LONGEST_WORDS = 4096
"""Characters of an error's message or hint that are kept."""


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -(1 << 63) <= (value := int(digits)) < 1 << 63:
        raise ProtocolError("The agent sent a number beyond 64 bits.")
    return value


def _constant(name: str) -> NoReturn:
    raise ProtocolError(f"The agent sent {name}, which is not JSON.")


_decode = json.JSONDecoder(parse_int=_integer, parse_constant=_constant).decode
_encode = json.JSONEncoder(separators=(",", ":")).encode


def encode_request(id: int, method: str, params: dict[str, Any]) -> bytes:
    """A request's payload.

    Raises:
        TooLarge: it does not fit a frame.
    """
    payload = _encode({"id": id, "method": method, "params": params}).encode()
    if len(payload) > MAX_PAYLOAD:
        raise TooLarge(
            f"A request `{method}` of {len(payload)} bytes is over the limit of {MAX_PAYLOAD}.",
            hint="Pass less in arguments and environment; put large data into a file or on standard input.",
        )
    return payload


def decode(payload: memoryview) -> dict[str, Any]:
    """The object that a control frame holds.

    Raises:
        ProtocolError: it is not a JSON object in UTF-8 with sane numbers and nesting.
    """
    try:
        message = _decode(str(payload, "utf-8"))
    except RecursionError:
        raise ProtocolError("The agent sent JSON nested too deep.") from None
    except ValueError as error:
        raise ProtocolError(f"The agent sent what is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise ProtocolError("The agent sent JSON that is not an object.")
    return message


def shape(type: type[AnyModel], body: Any) -> AnyModel:
    """`body` as a model.

    Raises:
        ProtocolError: it lacks a field, or one has the wrong type.
    """
    try:
        return type.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ProtocolError(f"The agent sent a bad {type.__name__}: {where}: {first['msg']}.") from None


def error_of(body: Any) -> ContinueExecError:
    """The error that a response carries, its words cut to a sane length.

    Raises:
        ProtocolError: it is not an object.
    """
    if not isinstance(body, dict):
        raise ProtocolError("The agent sent an error that is not an object.")
    cut = {key: value[:LONGEST_WORDS] if isinstance(value, str) else value for key, value in body.items()}
    return from_wire(cut)


def check_exit(note: Exited) -> None:
    """Refuse an exit that no process has.

    Raises:
        ProtocolError: a number is out of its range.
    """
    signal = 1 if note.signal is None else note.signal
    if not 0 <= note.exit_code <= 255 or not 1 <= signal <= 64 or min(note.end, note.duration_ms) < 0:
        raise ProtocolError("The agent sent an exit that no process has.")
