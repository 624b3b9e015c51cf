"""From the engine's frames to `continueExec/event`: joins output, decodes it, keeps order and numbers.

Pure: no clock, no I/O. The pump (follow.py) says when to take what has gathered.
"""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass, field
from typing import Any

from ...protocol.events import FINAL_EVENTS
from ...protocol.frames import Kind

JOIN_BYTES = 64 * 1024
"""Output joined into one event at most. A single piece that is larger (the agent's are at most 128 KiB) stays whole:
an event's number must mean all of it."""

PRIME_EVENTS = 8
"""How many events before the one asked for are read again on attach, so that a character cut in two by the cut is
decoded as one. The cut-off half is in the last event of its stream, nearly always among these."""

STREAMS = {int(Kind.STDOUT): "stdout", int(Kind.STDERR): "stderr"}


@dataclass
class Pending:
    """Output being gathered."""

    stream: str
    first: int
    last: int
    size: int
    parts: list[str] = field(default_factory=list)


class Joiner:
    """One run's frames in, parameters of `continueExec/event` out.

    Args:
        run_id: of the run.
        after: events up to this number only set the decoders; nothing of them is handed out.
    """

    def __init__(self, run_id: str, after: int = 0) -> None:
        self.run_id = run_id
        self.seq = after
        self.size = 0
        self.urgent = False
        self.over = False
        self._after = after
        self._out: list[dict[str, Any] | Pending] = []
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {name: decoder("replace") for name in STREAMS.values()}

    def add(self, kind: int, seq: int, payload: bytes) -> None:
        """Take in one frame."""
        stream = STREAMS.get(kind)
        if stream is not None:
            text = self._decoders[stream].decode(payload)
            if seq > self._after:
                self._output(stream, seq, text, len(payload))
        elif seq > self._after:
            event = json.loads(payload)
            event["seq"] = seq
            if event.get("type") in FINAL_EVENTS:
                self._finish()
            self._event(seq, event)

    def _output(self, stream: str, seq: int, text: str, size: int) -> None:
        last = self._out[-1] if self._out else None
        if isinstance(last, Pending) and last.stream == stream and last.size + size <= JOIN_BYTES:
            last.parts.append(text)
            last.size += size
            last.last = seq
        else:
            self._out.append(Pending(stream, self.seq + 1, seq, size, [text]))
        self.seq = seq
        self.size += size

    def _event(self, seq: int, event: dict[str, Any]) -> None:
        self._out.append({"runId": self.run_id, "firstSeq": min(self.seq + 1, seq), "event": event})
        self.seq = max(self.seq, seq)
        self.urgent = True

    def _finish(self) -> None:
        """The command ended: what is left of a character that never came becomes U+FFFD, under the last number."""
        self.over = True
        for stream, decoder in self._decoders.items():
            if rest := decoder.decode(b"", True):
                self._out.append(Pending(stream, self.seq, self.seq, len(rest), [rest]))

    def notice(self, code: str, message: str) -> None:
        """Add word from the sidecar itself, under the last number."""
        event = {"type": "notice", "seq": self.seq, "code": code, "message": message}
        self._event(self.seq, event)

    def take(self) -> list[dict[str, Any]]:
        """Everything gathered, in order, as `continueExec/event`'s parameters."""
        out, self._out = self._out, []
        self.size, self.urgent = 0, False
        return [self._wire(item) if isinstance(item, Pending) else item for item in out]

    def _wire(self, item: Pending) -> dict[str, Any]:
        event = {"type": "output", "seq": item.last, "stream": item.stream, "text": "".join(item.parts)}
        return {"runId": self.run_id, "firstSeq": item.first, "event": event}
