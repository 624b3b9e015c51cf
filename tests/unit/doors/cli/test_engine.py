from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from continue_exec.errors import Conflict, NotFound
from tests.support.command_line import cli
from tests.support.local_engine import LocalEngine


async def test_status_starts_nothing(place: Path) -> None:
    done = await cli("status")
    assert (done.code, done.text) == (0, "engine     not running; it starts with the first command\n")
    assert json.loads((await cli("status", "--json")).out) == {"engine": None, "sandbox": None}
    assert not (place / "home").exists()


async def test_status(engine: LocalEngine) -> None:
    engine.answers["sandbox.get"] = NotFound("None.")
    done = await cli("status")
    assert f"pid {os.getpid()}, since 90 s ago" in done.text
    assert "none for this folder yet" in done.text
    engine.answers["sandbox.get"] = {
        "id": "sb_1",
        "state": "failed",
        "reason": "no room",
        "isolation": "gvisor",
        "workspace": {"path": "/w"},
        "used_at": 0,
    }
    text = (await cli("status")).text
    assert "sb_1, failed" in text and "no room" in text and "/w" in text


async def test_another_version_is_told(engine: LocalEngine) -> None:
    engine.version = "9.9"
    engine.answers["sandbox.get"] = NotFound("None.")
    assert "9.9 (this is " in (await cli("status")).text


async def test_engine_status_and_start(engine: LocalEngine) -> None:
    for verb in ("status", "start"):
        assert f"pid {os.getpid()}" in (await cli("engine", verb)).text
    assert json.loads((await cli("engine", "status", "--json")).out)["pid"] == os.getpid()


async def test_stop_without_an_engine(place: Path) -> None:
    assert (await cli("engine", "stop")).text == "The engine is not running.\n"


async def test_stop_waits_for_its_end(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    ending = []

    async def do_engine_stop(params: object) -> dict[str, object]:
        import asyncio

        ending.append(asyncio.get_running_loop().call_later(0.3, os.unlink, engine.socket))
        return {}

    monkeypatch.setattr(engine, "do_engine_stop", do_engine_stop, raising=False)
    done = await cli("engine", "stop")
    assert (done.code, done.text) == (0, "Stopped the engine.\n")
    assert ending and not engine.socket.exists()


async def test_stop_while_runs_are_active(engine: LocalEngine) -> None:
    engine.answers["engine.stop"] = Conflict("2 runs are active.")
    done = await cli("engine", "stop")
    assert (done.code, "--force" in done.words) == (125, True)


async def test_log(place: Path) -> None:
    assert (await cli("engine", "log")).code == 125
    (place / "home").mkdir()
    (place / "home" / "engine.log").write_bytes(b"words\xff\n")
    assert (await cli("engine", "log")).out == b"words\xff\n"


async def test_unknown_verb(place: Path) -> None:
    assert (await cli("engine", "dance")).code == 125
