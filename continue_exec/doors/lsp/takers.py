"""Who takes a run's events: an editor that knows `continueExec/event`, or one that knows only LSP."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from lsprotocol.types import LogMessageParams, MessageType, ShowMessageParams
from pygls.lsp.server import LanguageServer

from .stdio import Wire

LOG_BYTES = 64 * 1024
"""Characters of one run's output that go to a plain editor's log; more makes editors slow, and the rest is in
`continue-exec logs`."""

TAIL_LINES = 5
"""Of the output, shown with the exit code."""

TAIL_BYTES = 600
"""Of those lines together: a message box holds no more."""


class EventTaker:
    """Sends `continueExec/event`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def take(self, params: dict[str, Any]) -> None:
        """Wait until the editor has read enough, then send. Raises ConnectionError: it has gone."""
        await self._wire.room()
        # Past pygls: its serializer would walk every string of a flood.
        message = {"jsonrpc": "2.0", "method": "continueExec/event", "params": params}
        body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        self._wire.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))


class PlainTaker:
    """For any LSP editor: output line by line to the log, and at the end one message with the exit code."""

    def __init__(self, server: LanguageServer, wire: Wire, run_id: str, title: str) -> None:
        self._server = server
        self._wire = wire
        self._run_id = run_id
        self._title = title
        self._rest = ""
        self._left = LOG_BYTES
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)

    async def take(self, params: dict[str, Any]) -> None:
        """Show one event. Raises ConnectionError: the editor has gone."""
        await self._wire.room()
        event = params["event"]
        match event["type"]:
            case "started":
                self._log(f"{self._title}: started as {self._run_id}")
            case "output":
                self._output(event["text"])
            case "notice" | "gap":
                self._log(f"{self._title}: {event['message']}", MessageType.Warning)
            case "exited":
                self._output("\n" if self._rest else "")
                self._exited(event)
            case "failed":
                words = f"{self._title}: {event['message']} {event.get('hint', '')}".strip()
                self._show(words, MessageType.Error)

    def _output(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        self._tail.extend(line.rstrip("\r") for line in lines if line.strip())
        if len(self._rest) > LOG_BYTES:
            self._rest = self._rest[-LOG_BYTES:]
        if self._left > 0 and lines:
            self._log("\n".join(lines)[: self._left])
            self._left -= sum(len(line) + 1 for line in lines)
            if self._left <= 0:
                self._log(f"{self._title}: there is more output: continue-exec logs {self._run_id}")

    def _exited(self, event: dict[str, Any]) -> None:
        reason = f" ({event['reason']})" if event.get("reason") else ""
        words = f"{self._title}: exit code {event['exit_code']}{reason} in {event['duration_ms'] / 1000:.1f} s"
        tail = "\n".join(self._tail)[-TAIL_BYTES:]
        words = f"{tail}\n{words}" if tail else words
        kind = MessageType.Info if event["exit_code"] == 0 else MessageType.Warning
        self._show(f"{words}. All of it: continue-exec logs {self._run_id}", kind)

    def _log(self, message: str, kind: MessageType = MessageType.Log) -> None:
        self._server.window_log_message(LogMessageParams(kind, message))

    def _show(self, message: str, kind: MessageType) -> None:
        self._server.window_show_message(ShowMessageParams(kind, message))
