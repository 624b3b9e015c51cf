"""JSON from an agent that may be anything."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continue_exec.agent import control
from continue_exec.errors import CommandNotFound, ContinueExecError, ProtocolError, TooLarge
from continue_exec.protocol.agent import Exited, FileStat
from continue_exec.protocol.frames import MAX_PAYLOAD

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_objects_come_through(message: dict[str, Any]) -> None:
    assert control.decode(memoryview(json.dumps(message).encode())) == message


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text().map(str.encode) | json_values.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_a_protocol_error(payload: bytes) -> None:
    try:
        found = control.decode(memoryview(payload))
    except ProtocolError:
        return
    assert isinstance(found, dict)


@pytest.mark.parametrize(
    "bomb",
    [
        b"[" * MAX_PAYLOAD,
        b'{"a":' * (MAX_PAYLOAD // 5),
        b'{"a":' + b"1" * 900_000 + b"}",
        b'{"a": -Infinity}',
        b'{"a": 1e',
    ],
)
def test_bombs(bomb: bytes) -> None:
    with pytest.raises(ProtocolError):
        control.decode(memoryview(bomb))


def test_names_that_are_no_text_survive() -> None:
    message = control.decode(memoryview(b'{"path": "a\\udcff", "kind": "missing"}'))
    assert control.shape(FileStat, message).path == "a\udcff"
    assert b'"a\\udcff"' in control.encode_request(1, "stat", {"path": "a\udcff"})


def test_a_bad_shape_names_the_field() -> None:
    with pytest.raises(ProtocolError, match=r"FileStat: size"):
        control.shape(FileStat, {"path": "/", "kind": "file", "size": "many"})


def test_a_request_that_fits_no_frame() -> None:
    with pytest.raises(TooLarge, match="exec"):
        control.encode_request(1, "exec", {"argv": ["x" * MAX_PAYLOAD]})


def test_errors() -> None:
    found = control.error_of({"code": "command_not_found", "message": "m" * 100_000, "hint": "h", "data": 3})
    assert isinstance(found, CommandNotFound)
    assert (len(found.message), found.hint, found.data) == (control.LONGEST_WORDS, "h", {})
    assert type(control.error_of({})) is ContinueExecError
    with pytest.raises(ProtocolError):
        control.error_of("no")


@pytest.mark.parametrize(
    "fields", [{"exit_code": -1}, {"exit_code": 256}, {"signal": 0}, {"signal": 65}, {"end": -1}, {"duration_ms": -1}]
)
def test_impossible_exits(fields: dict[str, int]) -> None:
    possible = {"stream": 1, "run_id": "r", "exit_code": 137, "signal": 9, "end": 0}
    control.check_exit(Exited.model_validate(possible))
    with pytest.raises(ProtocolError):
        control.check_exit(Exited.model_validate({**possible, **fields}))
