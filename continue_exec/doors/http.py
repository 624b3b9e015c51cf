"""The engine's socket: `POST /v1/noun.verb`, JSON in, JSON or a stream of events out (aiohttp).

Anything that is not a known method with valid parameters is answered with an error object; nothing a client sends
ends the engine, and a client that goes away ends only its own answer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, TypeVar, cast

from aiohttp import web
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from .. import __version__
from ..engine.engine import Engine
from ..errors import ContinueExecError, InternalError, InvalidRequest, NotFound, TooLarge, VersionMismatch
from ..protocol.events import from_frame
from ..protocol.frames import Parser, Stretch
from ..protocol.methods import FRAMES_TYPE, METHODS, NDJSON_TYPE
from ..protocol.versions import ENGINE_PROTOCOL

log = logging.getLogger(__name__)

Message = TypeVar("Message", bound=BaseModel)

MAX_BODY = 64 << 20
"""Bytes of one request: an editor's largest unsaved buffer fits."""
KEEPALIVE_S = 75.0
"""Longer than the client keeps an idle connection, so that it is never closed just as a request is written."""
BANNER = f"{ENGINE_PROTOCOL} {__version__}"


class HttpDoor:
    """Serves one engine on one Unix socket."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._runner: web.AppRunner | None = None

    async def listen(self, path: Path) -> None:
        """Make the socket (0600, in a folder of mode 0700) and begin to serve."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/v1/{method}", self._handle)
        app.router.add_route("*", "/{rest:.*}", self._unknown)
        # handler_cancellation: a follower whose client has gone must not wait for the next event.
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, keepalive_timeout=KEEPALIVE_S, shutdown_timeout=1.0
        )
        await self._runner.setup()
        path.unlink(missing_ok=True)
        await web.UnixSite(self._runner, path).start()
        path.chmod(0o600)

    async def close(self) -> None:
        """Stop serving; answers in progress are cut off and their clients reconnect to the next engine."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        return _failure(NotFound(f"{request.method} {request.path} is not here", hint="POST to /v1/noun.verb."))

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        engine = self.engine
        engine.requests += 1
        try:
            return await self._dispatch(request, request.match_info["method"])
        except ContinueExecError as error:
            return _failure(error)
        except web.HTTPRequestEntityTooLarge:
            return _failure(TooLarge(f"The request is larger than {MAX_BODY >> 20} MiB"))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("request %s failed", request.path)
            return _failure(InternalError(f"{request.path} failed inside the engine"))
        finally:
            engine.requests -= 1
            engine.used_at = time.time()

    async def _dispatch(self, request: web.Request, name: str) -> web.StreamResponse:
        self._check_version(request.headers.get("Expect-Version"))
        method = METHODS.get(name)
        if method is None:
            raise NotFound(f"There is no method {name}", hint="docs/reference/methods.md lists them.")
        if name == "run.stdin" and request.content_type == "application/octet-stream":
            return await self._stdin(request)
        try:
            params = parsed(method.params, await request.read() or b"{}")
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in error.errors())
            raise InvalidRequest(f"{name}: {problems}") from None
        if not method.stream:
            result = await self.engine.call(name, params)
            return _answer(200, dumped(result))
        run, pieces = await self.engine.stream(name, params)
        frames = request.headers.get("Accept") == FRAMES_TYPE
        response = web.StreamResponse(
            headers={
                "Content-Type": FRAMES_TYPE if frames else NDJSON_TYPE,
                "X-Run-Id": run.id,
                "X-Continue-Exec": BANNER,
            }
        )
        await response.prepare(request)
        try:
            if frames:
                await _send_frames(request, response, pieces)
            else:
                async for line in _lines(pieces):
                    await response.write(line)
            await response.write_eof()
        except Exception:
            # The status is out: only a connection that breaks can say that the answer is not whole.
            if request.transport is not None:
                request.transport.abort()
            raise
        finally:
            await pieces.aclose()
        return response

    def _check_version(self, expected: str | None) -> None:
        """A newer door is served, unless nothing runs: then this engine makes way for its own."""
        # Only a newer one: two installed versions would else replace each other's engine for ever.
        if expected and _newer(expected) and not self.engine.runs.active and self.engine.requests == 1:
            self.engine.on_stop()
            raise VersionMismatch(
                f"This engine is version {__version__}, the client {expected}; it ends, as nothing runs.",
                hint="Ask again: the client's own engine starts.",
                data={"replaced": True},
            )

    async def _stdin(self, request: web.Request) -> web.StreamResponse:
        run_id = request.query.get("run_id", "")
        async for piece in request.content.iter_any():
            await self.engine.runs.stdin(run_id, piece)
        if request.query.get("eof", "1") != "0":
            await self.engine.runs.stdin(run_id, b"", eof=True)
        return _answer(200, b"{}")


def parsed(kind: type[Message], body: bytes) -> Message:
    """A message from JSON.

    Names that are no UTF-8 come as lone surrogates (`\\udcff`), which is JSON, but not to pydantic's own parser.

    Raises:
        ValidationError: it is none.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError:
        if b"\\ud" not in body.lower():
            raise
        try:
            plain = json.loads(body)
        except (ValueError, RecursionError):
            plain = None
        if plain is None:
            raise
        return kind.model_validate(plain)


def dumped(message: BaseModel) -> bytes:
    """A message as JSON; names that are no UTF-8 with lone surrogates, which pydantic refuses to write."""
    try:
        return message.model_dump_json().encode()
    except PydanticSerializationError:
        return json.dumps(message.model_dump(mode="json"), separators=(",", ":")).encode()


def _newer(version: str) -> bool:
    def numbers(text: str) -> list[int]:
        return [int(part) for part in re.findall(r"\d+", text)]

    return numbers(version) > numbers(__version__)


def _answer(status: int, body: bytes) -> web.Response:
    return web.Response(
        status=status, body=body, headers={"Content-Type": "application/json", "X-Continue-Exec": BANNER}
    )


def _failure(error: ContinueExecError) -> web.Response:
    return _answer(error.status, json.dumps(error.to_wire()).encode())


async def _send_frames(
    request: web.Request, response: web.StreamResponse, pieces: AsyncIterator[bytes | Stretch]
) -> None:
    """Pieces as chunks of the answer; what stands in a file goes to the socket without passing through us."""
    loop = asyncio.get_running_loop()
    begun = False
    async for piece in pieces:
        # aiohttp sends the answer's head with the first piece that it writes.
        if isinstance(piece, bytes) or not begun:
            await response.write(bytes(piece))
            begun = True
            continue
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        transport.write(b"%x\r\n" % piece.size)
        try:
            await loop.sendfile(transport, cast(IO[bytes], piece), piece.offset, piece.size, fallback=False)
        except BrokenPipeError as error:
            raise ConnectionResetError("the client has gone") from error  # the name that aiohttp knows it by
        transport.write(b"\r\n")


async def _lines(pieces: AsyncIterator[bytes | Stretch]) -> AsyncIterator[bytes]:
    parser = Parser()
    async for piece in pieces:
        frames = parser.feed(bytes(piece))
        lines = [from_frame(*frame).model_dump_json(exclude_none=True) + "\n" for frame in frames]
        if lines:
            yield "".join(lines).encode()
