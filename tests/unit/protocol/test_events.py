from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from continue_exec.protocol.events import RUN_EVENT, RunExited, RunOutput, RunStarted, from_frame
from continue_exec.protocol.frames import Kind


@given(st.binary(max_size=200))
def test_output_keeps_every_byte(data: bytes) -> None:
    event = RunOutput.of(4, "stdout", data)
    assert (event.text is None) != (event.base64 is None)
    again = RUN_EVENT.validate_json(event.model_dump_json())
    assert isinstance(again, RunOutput)
    assert again.data == data


@pytest.mark.parametrize(("kind", "stream"), [(Kind.STDOUT, "stdout"), (Kind.STDERR, "stderr")])
def test_a_frame_of_output_becomes_an_event(kind: Kind, stream: str) -> None:
    event = from_frame(kind, 9, b"\xff\x00")
    assert isinstance(event, RunOutput)
    assert (event.seq, event.stream, event.data, event.text) == (9, stream, b"\xff\x00", None)


def test_the_frames_number_counts() -> None:
    sent = RunExited(seq=1, exit_code=0, duration_ms=5)
    assert from_frame(Kind.EVENT, 12, sent.model_dump_json().encode()) == sent.model_copy(update={"seq": 12})


def test_the_type_decides_which_event_it_is() -> None:
    assert isinstance(RUN_EVENT.validate_python({"type": "started", "run_id": "run_1", "pid": 4}), RunStarted)
    with pytest.raises(ValidationError):
        RUN_EVENT.validate_python({"type": "unheard_of"})
