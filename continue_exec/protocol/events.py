"""What a run tells whoever follows it, in order, numbered by `seq` from 1 without a gap.

On the binary wire (and on disk) `output` is a STDOUT or STDERR frame with raw bytes, every other event an
EVENT frame with this JSON; the frame's `stream` field is `seq`. On the NDJSON wire each is one line.
"""

from __future__ import annotations

import base64
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from ..model import Model, Usage
from .frames import Kind


class RunStarted(Model):
    """The command runs."""

    type: Literal["started"] = "started"
    seq: int = 0
    run_id: str
    pid: int | None = Field(default=None, description="inside the sandbox, where it is known yet")


class RunOutput(Model):
    """Bytes the command wrote. Exactly one of `text` and `base64` is set."""

    type: Literal["output"] = "output"
    seq: int = 0
    stream: Literal["stdout", "stderr"]
    text: str | None = Field(default=None, description="set when the bytes are valid UTF-8")
    base64: str | None = Field(default=None, description="set otherwise")

    @property
    def data(self) -> bytes:
        """The bytes, whichever way they travelled."""
        if self.text is not None:
            return self.text.encode()
        return base64.b64decode(self.base64 or "")

    @classmethod
    def of(cls, seq: int, stream: Literal["stdout", "stderr"], data: bytes) -> RunOutput:
        """Build one from raw bytes."""
        try:
            return cls(seq=seq, stream=stream, text=data.decode())
        except UnicodeDecodeError:
            return cls(seq=seq, stream=stream, base64=base64.b64encode(data).decode())


class RunNotice(Model):
    """Something a person should know: a limit reached, a host refused, output cut."""

    type: Literal["notice"] = "notice"
    seq: int = 0
    code: str = Field(description="`output_dropped`, `timeout`, `cancelled`, `egress_refused`, `engine_restarted`, ...")
    message: str


class RunGap(Model):
    """Events that this follower asked for are gone: the log keeps a bounded amount."""

    type: Literal["gap"] = "gap"
    seq: int = Field(default=0, description="of the last event that is gone")
    first_missing: int
    bytes_missing: int | None = Field(default=None, description="of output, where that is known")
    message: str


class RunExited(Model):
    """The command ended; nothing follows."""

    type: Literal["exited"] = "exited"
    seq: int = 0
    exit_code: int = Field(description="of the command; 128 + signal if one ended it")
    signal: int | None = None
    reason: str = Field(default="", description="empty when it ended by itself; else `cancelled`, `timeout`, ...")
    duration_ms: int
    usage: Usage = Usage()


class RunFailed(Model):
    """The command never started, or was lost; nothing follows."""

    type: Literal["failed"] = "failed"
    seq: int = 0
    code: str
    message: str
    hint: str = ""


RunEvent = Annotated[RunStarted | RunOutput | RunNotice | RunGap | RunExited | RunFailed, Field(discriminator="type")]
RUN_EVENT: TypeAdapter[RunEvent] = TypeAdapter(RunEvent)

FINAL_EVENTS = frozenset({"exited", "failed"})


def from_frame(kind: int, seq: int, payload: bytes) -> RunEvent:
    """The event that a frame of the binary wire carries."""
    if kind == Kind.STDOUT:
        return RunOutput.of(seq, "stdout", payload)
    if kind == Kind.STDERR:
        return RunOutput.of(seq, "stderr", payload)
    return RUN_EVENT.validate_json(payload).model_copy(update={"seq": seq})
