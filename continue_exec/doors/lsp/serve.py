"""The sidecar's life: bytes in, messages to the server, the end.

It ends when the editor says `exit`, when its input ends, or when the editor's process is gone. Nothing that arrives
ends it otherwise: what is no message is answered with an error and skipped.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from typing import Any

from pygls.exceptions import JsonRpcException

from ...tasks import Tasks
from . import rpc
from .framing import Garbage, Parser
from .server import Sidecar
from .stdio import Wire, read_pieces

log = logging.getLogger(__name__)

ANSWERS_HIGH = 8 << 20
"""Bytes of answers that may wait for an editor that does not read; then its requests wait as well."""

FINISH_SECONDS = 2.0
"""For the editor to read the last answers."""


class Life:
    """Feeds one sidecar."""

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar
        self._protocol = sidecar.protocol
        self._initialized = False
        self._shutdown = False
        self._tasks = Tasks("lsp life")
        self._gone = asyncio.Event()

    async def run(self, fd: int) -> int:
        """Read until the end; the exit code that LSP asks for (0 after `shutdown`, or when the input just ends)."""
        reading = self._tasks.spawn("read", self._read(fd))
        gone = self._tasks.spawn("editor", self._gone.wait())
        try:
            await asyncio.wait({reading, gone}, return_when=asyncio.FIRST_COMPLETED)
            return int(reading.result()) if reading.done() else 1
        finally:
            await self._tasks.close()

    async def _read(self, fd: int) -> int:
        parser = Parser()
        async for piece in read_pieces(fd):
            for body in parser.feed(piece):
                if isinstance(body, Garbage):
                    self._protocol.refuse(None, rpc.PARSE_ERROR, f"Skipped {body}.")
                elif (code := self.message(body)) is not None:
                    return code
            if self._sidecar.wire.waiting > ANSWERS_HIGH:
                await self._sidecar.wire.room()
        if parser.pending:
            log.warning("the input ended inside a message")
        return 0

    def message(self, body: bytes) -> int | None:
        """Handle one message; an exit code if it is the last."""
        try:
            message = json.loads(body)
        except (ValueError, RecursionError) as error:
            self._protocol.refuse(None, rpc.PARSE_ERROR, f"A message is not JSON: {error}.")
            return None
        if fault := _fault(message):
            self._protocol.refuse(_id(message), rpc.INVALID_REQUEST, fault)
            return None
        method = message.get("method")
        if method == "exit":
            return 0 if self._shutdown else 1
        if method is None or self._may(method, message):
            self._handle(message)
        if method == "shutdown" and self._initialized:
            self._shutdown = True
        return None

    def _may(self, method: str, message: dict[str, Any]) -> bool:
        """Whether a request or notification comes at its time; a request that does not is refused."""
        if self._shutdown:
            code, fault = rpc.INVALID_REQUEST, f"{method} came after shutdown."
        elif method == "initialize":
            code, fault = rpc.INVALID_REQUEST, "initialize came twice." if self._initialized else ""
        else:
            code, fault = rpc.NOT_INITIALIZED, "" if self._initialized else f"{method} came before initialize."
        if fault and "id" in message:
            self._protocol.refuse(message["id"], code, fault)
        return not fault

    def _handle(self, message: dict[str, Any]) -> None:
        method = message.get("method")
        if method == "initialize" and not self._initialized:
            self._watch(message.get("params"))
        try:
            self._protocol.handle_message(self._protocol.structure_message(message))
        except JsonRpcException as error:
            if method is not None and "id" in message:
                self._protocol.refuse(
                    message["id"], rpc.INVALID_PARAMS, f"{method} has parameters that LSP does not know."
                )
            else:
                log.warning("ignored a malformed %s: %s", method or "answer", error)
            return
        except Exception:
            log.exception("a message could not be handled")
            if method is not None and "id" in message:
                self._protocol.refuse(message["id"], rpc.INTERNAL_ERROR, f"{method} failed inside the sidecar.")
            return
        if method == "initialize" and not self._initialized and hasattr(self._protocol, "server_capabilities"):
            self._initialized = True

    def _watch(self, params: Any) -> None:
        """End with the editor's process (LSP, `InitializeParams.processId`).

        Called before `initialize` is answered: an editor that has its answer may be gone the next moment.
        A process that we cannot see is not one that ended: the editor may live on another machine or in another
        namespace. The end of our input tells us then.
        """
        pid = params.get("processId") if isinstance(params, dict) else None
        if not isinstance(pid, int) or pid <= 0 or not hasattr(os, "pidfd_open"):
            return
        try:
            fd = os.pidfd_open(pid)
        except (OSError, OverflowError) as error:
            log.info("the editor's process %d cannot be watched: %s", pid, error)
            return
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(fd)
            os.close(fd)
            log.warning("the editor's process %d is gone", pid)
            self._gone.set()

        loop.add_reader(fd, ended)


def _id(message: Any) -> str | int | None:
    value = message.get("id") if isinstance(message, dict) else None
    return value if isinstance(value, (str, int)) and not isinstance(value, bool) else None


def _fault(message: Any) -> str:
    """What keeps this from being a JSON-RPC 2.0 message; empty if nothing does."""
    if not isinstance(message, dict):
        return "A message is a JSON object (LSP has no batches)."
    if message.get("jsonrpc") != "2.0":
        return 'A message says "jsonrpc": "2.0".'
    if "id" in message and message["id"] is not None and _id(message) is None:
        return "An id is a string or a number."
    method = message.get("method")
    if method is None:
        answer = "result" in message or isinstance(message.get("error"), dict)
        return "" if answer and "id" in message else "A message has a method, or an id with a result or an error."
    if not isinstance(method, str):
        return "A method is a string."
    return (
        "" if isinstance(message.get("params", {}), (dict, list, type(None))) else "Parameters are an object or a list."
    )


async def serve(fd_in: int, fd_out: int) -> int:
    """Be a sidecar on two descriptors; the exit code."""
    wire = await Wire.open(fd_out)
    sidecar = Sidecar(wire)
    sidecar.protocol.set_writer(wire)
    try:
        return await Life(sidecar).run(fd_in)
    finally:
        await sidecar.close()
        await wire.finish(FINISH_SECONDS)
