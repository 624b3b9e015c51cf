from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continue_exec.doors.cli import ndjson
from continue_exec.protocol import events
from continue_exec.protocol.frames import Kind

EVENTS = [
    events.RunStarted(seq=1, run_id="run_1", pid=4),
    events.RunNotice(seq=2, code="timeout", message="é"),
    events.RunGap(seq=9, first_missing=1, bytes_missing=4, message="gone"),
    events.RunExited(seq=3, exit_code=0, duration_ms=1),
    events.RunExited(seq=3, exit_code=137, signal=9, reason="cancelled", duration_ms=1),
    events.RunFailed(seq=3, code="sandbox_lost", message="m"),
]


@pytest.mark.parametrize("event", EVENTS)
def test_events_are_the_wire_s(event: events.RunEvent) -> None:
    payload = event.model_dump_json().encode()
    ours = json.loads(ndjson.line(Kind.EVENT, event.seq, payload))
    assert ours == json.loads(events.from_frame(Kind.EVENT, event.seq, payload).model_dump_json(exclude_none=True))


@given(st.sampled_from([Kind.STDOUT, Kind.STDERR]), st.integers(1, 1 << 31), st.binary() | st.text().map(str.encode))
def test_output_is_the_wire_s(kind: Kind, seq: int, payload: bytes) -> None:
    ours = json.loads(ndjson.line(kind, seq, payload))
    assert ours == json.loads(events.from_frame(kind, seq, payload).model_dump_json(exclude_none=True))
    parsed = events.RUN_EVENT.validate_python(ours)
    assert isinstance(parsed, events.RunOutput) and parsed.data == payload


def test_one_line_each() -> None:
    assert ndjson.line(Kind.STDOUT, 1, b"a\nb\n").count(b"\n") == 1
    assert b"?" in ndjson.line(Kind.EVENT, 1, b'{"type":"notice","code":"x","message":"\\ud800"}')
