"""Frames as the JSON lines of the NDJSON wire, without models: pydantic would cost every run 80 ms. Tests compare."""

from __future__ import annotations

import base64
import json
from typing import Any

from ...protocol.frames import Kind

_STREAMS = {int(Kind.STDOUT): "stdout", int(Kind.STDERR): "stderr"}


def event(kind: int, seq: int, payload: bytes) -> dict[str, Any]:
    """The event that a frame carries (protocol.events.from_frame, as a dict without nulls)."""
    if kind in _STREAMS:
        fields: dict[str, Any] = {"type": "output", "seq": seq, "stream": _STREAMS[kind]}
        try:
            fields["text"] = payload.decode()
        except UnicodeDecodeError:
            fields["base64"] = base64.b64encode(payload).decode()
        return fields
    body = json.loads(payload)
    fields = {"type": body.pop("type", ""), **body, "seq": seq}
    return {name: value for name, value in fields.items() if value is not None}


def line(kind: int, seq: int, payload: bytes) -> bytes:
    """One line, with its line break."""
    text = json.dumps(event(kind, seq, payload), separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="replace") + b"\n"  # a lone surrogate has no UTF-8
