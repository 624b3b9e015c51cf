"""The HTTP door with an engine that is scripted: translation only."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from pydantic import ValidationError

from continue_exec import __version__
from continue_exec.doors.http import HttpDoor, dumped, parsed
from continue_exec.engine.engine import Engine
from continue_exec.errors import NotFound
from continue_exec.model import Model, Run, RunState
from continue_exec.protocol import changes as c
from continue_exec.protocol import methods as m
from continue_exec.protocol.frames import Kind, Stretch, encode
from continue_exec.protocol.methods import FRAMES_TYPE

RUN = Run(id="run_1", sandbox_id="sb_1", argv=("x",), cwd="/w", state=RunState.RUNNING, created_at=1.0)


class Scripted:
    """Answers as told; records what reached it."""

    def __init__(self) -> None:
        self.requests = 0
        self.used_at = 0.0
        self.calls: list[tuple[str, Model]] = []
        self.stdin = bytearray()
        self.stopped = 0
        self.released = asyncio.Event()
        self.abandoned = asyncio.Event()
        self.runs = SimpleNamespace(active={}, stdin=self._stdin)

    async def call(self, method: str, params: Model) -> Model:
        self.calls.append((method, params))
        if method == "run.get":
            raise NotFound("no such run", hint="look", data={"a": 1})
        if method == "run.list":
            raise RuntimeError("a defect")
        return m.Nothing()

    async def stream(self, method: str, params: Model) -> tuple[Run, AsyncGenerator[bytes | Stretch, None]]:
        return RUN, self._pieces()

    async def _pieces(self) -> AsyncGenerator[bytes | Stretch, None]:
        try:
            whole = encode(Kind.STDOUT, 1, b"\xff") + encode(
                Kind.EVENT, 2, json.dumps({"type": "notice", "code": "c", "message": "m"}).encode()
            )
            yield whole[:5]
            yield whole[5:]
            await self.released.wait()
        finally:
            self.abandoned.set()

    async def _stdin(self, run_id: str, data: bytes, *, eof: bool = False) -> None:
        self.stdin += data + (b"<eof>" if eof else b"")

    def on_stop(self) -> None:
        self.stopped += 1


class Served:
    def __init__(self, engine: Scripted, http: aiohttp.ClientSession) -> None:
        self.engine = engine
        self.http = http

    async def post(self, method: str, body: object = None, **headers: str) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        async with self.http.post(f"http://engine/v1/{method}", data=data, headers=headers) as answer:
            assert answer.headers["X-Continue-Exec"].endswith(__version__)
            return answer.status, json.loads(await answer.read())


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    engine = Scripted()
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="cx-") as folder:
        path = Path(folder) / "engine.sock"
        door = HttpDoor(cast(Engine, engine))
        await door.listen(path)
        assert path.stat().st_mode & 0o777 == 0o600
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as http:
            yield Served(engine, http)
        await door.close()


async def test_parameters_become_models(served: Served) -> None:
    assert await served.post("run.signal", {"run_id": "r", "signal": 9}) == (200, {})
    assert served.engine.calls == [("run.signal", m.RunSignal(run_id="r", signal=9))]
    assert served.engine.requests == 0 and served.engine.used_at > 0


async def test_errors_keep_code_hint_and_data(served: Served) -> None:
    status, body = await served.post("run.get", {"run_id": "r"})
    assert (status, body) == (404, {"code": "not_found", "message": "no such run", "hint": "look", "data": {"a": 1}})


async def test_a_defect_shows_no_traceback(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    status, body = await served.post("run.list", {})
    assert status == 500 and body["code"] == "internal" and "RuntimeError" not in json.dumps(body)
    assert "a defect" in caplog.text


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"signal": 9}', b'{"run_id": "r", "signal": 99}', b"\xff\xfe"])
async def test_bad_parameters_are_named(served: Served, body: bytes) -> None:
    status, answer = await served.post("run.signal", body)
    assert status == 400 and answer["code"] == "invalid_request" and "run.signal" in answer["message"]


async def test_unknown_methods_and_paths(served: Served) -> None:
    assert (await served.post("no.such"))[0] == 404
    async with served.http.get("http://engine/anything") as answer:
        assert answer.status == 404 and (await answer.json())["code"] == "not_found"


async def test_a_stream_as_frames_and_as_lines(served: Served) -> None:
    served.engine.released.set()
    async with served.http.post(
        "http://engine/v1/run.follow", json={"run_id": "r"}, headers={"Accept": FRAMES_TYPE}
    ) as a:
        assert a.headers["X-Run-Id"] == "run_1"
        assert await a.read() == b"".join([bytes(piece) async for piece in served.engine._pieces()])
    async with served.http.post("http://engine/v1/run.follow", json={"run_id": "r"}) as a:
        lines = [json.loads(line) for line in (await a.read()).splitlines()]
    assert lines == [
        {"type": "output", "seq": 1, "stream": "stdout", "base64": "/w=="},
        {"type": "notice", "seq": 2, "code": "c", "message": "m"},
    ]


@pytest.mark.parametrize("first", [b"head", None])
async def test_a_stretch_of_a_file_arrives_whole(served: Served, tmp_path: Path, first: bytes | None) -> None:
    data = os.urandom(3 << 20)
    (tmp_path / "log").write_bytes(b"before" + data + b"after")
    with (tmp_path / "log").open("rb") as file:
        stretch = Stretch(file.fileno(), 6, len(data))

        async def pieces() -> AsyncGenerator[bytes | Stretch, None]:
            if first:
                yield first
            yield stretch
            yield stretch
            yield b"tail"

        served.engine._pieces = pieces  # type: ignore[method-assign,assignment]
        async with served.http.post(
            "http://engine/v1/run.follow", json={"run_id": "r"}, headers={"Accept": FRAMES_TYPE}
        ) as answer:
            assert await answer.read() == (first or b"") + data + data + b"tail"
        assert await served.post("run.signal", {"run_id": "r", "signal": 9}) == (200, {}), "the connection goes on"


async def test_a_client_that_goes_away_in_the_middle_of_a_file_ends_its_stream(served: Served, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(bytes(8 << 20))
    with (tmp_path / "log").open("rb") as file:
        stretch = Stretch(file.fileno(), 0, 8 << 20)

        async def pieces() -> AsyncGenerator[bytes | Stretch, None]:
            try:
                yield b"head"
                while True:
                    yield stretch
            finally:
                served.engine.abandoned.set()

        served.engine._pieces = pieces  # type: ignore[method-assign,assignment]
        answer = await served.http.post(
            "http://engine/v1/run.follow", json={"run_id": "r"}, headers={"Accept": FRAMES_TYPE}
        )
        await answer.content.readany()
        answer.close()
        await asyncio.wait_for(served.engine.abandoned.wait(), 5)


async def test_a_client_that_goes_away_ends_its_stream(served: Served) -> None:
    answer = await served.http.post("http://engine/v1/run.follow", json={"run_id": "r"})
    await answer.content.readany()
    answer.close()
    await asyncio.wait_for(served.engine.abandoned.wait(), 5)


async def test_stdin_as_a_streamed_body(served: Served) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    headers = {"Content-Type": "application/octet-stream"}
    async with served.http.post("http://engine/v1/run.stdin?run_id=r&eof=0", data=body(), headers=headers) as answer:
        assert answer.status == 200
    assert served.engine.stdin == b"onetwo"
    async with served.http.post("http://engine/v1/run.stdin?run_id=r", data=body(), headers=headers) as answer:
        assert answer.status == 200
    assert served.engine.stdin.endswith(b"<eof>")


async def test_an_idle_engine_of_another_version_makes_way(served: Served) -> None:
    status, body = await served.post("run.signal", {"run_id": "r", "signal": 9}, **{"Expect-Version": "9.0.0"})
    assert (status, body["code"], served.engine.stopped) == (409, "version_mismatch", 1)
    status, _ = await served.post("run.signal", {"run_id": "r", "signal": 9}, **{"Expect-Version": "0.0.1"})
    assert (status, served.engine.stopped) == (200, 1), "an older door is served"
    served.engine.runs.active["run_1"] = RUN
    status, _ = await served.post("run.signal", {"run_id": "r", "signal": 9}, **{"Expect-Version": "9.0.0"})
    assert (status, served.engine.stopped) == (200, 1), "but not while something runs"


def test_names_that_are_no_utf8_travel_as_lone_surrogates() -> None:
    """JSON's grammar has them, and Python's parser reads them; pydantic's own refuses both ways."""
    left = c.Left(path="caf\udce9", code="x", message="\u00e9")
    body = dumped(left)
    assert json.loads(body)["path"] == "caf\udce9"
    assert parsed(c.Left, body) == left
    assert parsed(c.Left, dumped(c.Left(path="a", code="x", message="m"))).path == "a"
    for wrong in (b'{"path":"\\udce9"', b'{"path":"\\udce9"}', b"[" * 100_000 + b"\\ud", b'{"path":1}', b"null"):
        with pytest.raises(ValidationError):
            parsed(c.Left, wrong)
