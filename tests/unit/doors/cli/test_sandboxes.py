from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from continue_exec.errors import NotFound
from tests.support.command_line import Terminal, cli
from tests.support.local_engine import LocalEngine


def box(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"sb_{number:012}",
        "workspace": {"id": "ws_1", "path": f"/w/{number}"},
        "template": "host",
        "driver": "runsc",
        "isolation": "gvisor",
        "state": "running",
        "created_at": time.time(),
        "used_at": time.time() - 300,
        **more,
    }


@pytest.fixture(autouse=True)
def boxes(engine: LocalEngine) -> None:
    engine.answers |= {
        "sandbox.list": {"sandboxes": [box(1), box(2, rootless=True, state="stopped")]},
        "sandbox.get": box(1),
        "sandbox.stop": box(1, state="stopped"),
        "sandbox.remove": {},
    }


async def test_ls(engine: LocalEngine) -> None:
    assert (await cli("ls")).text == (
        "SANDBOX          STATE    ISOLATION          USED       WORKSPACE\n"
        "sb_000000000001  running  gvisor             5 min ago  /w/1\n"
        "sb_000000000002  stopped  gvisor (rootless)  5 min ago  /w/2\n"
    )
    assert len(json.loads((await cli("ls", "--json")).out)["sandboxes"]) == 2
    engine.answers["sandbox.list"] = {"sandboxes": []}
    assert (await cli("ls")).text == "No sandboxes.\n"


async def test_stop(engine: LocalEngine, tmp_path: Path) -> None:
    assert (await cli("stop", cwd=tmp_path)).text == "Stopped sb_000000000001, of /w/1.\n"
    assert await engine.called("sandbox.get") == {"workspace": {"path": str(tmp_path)}}
    await cli("stop", "sb_0")
    assert await engine.called("sandbox.get", 2) == {"sandbox_id": "sb_0"}
    assert len((await cli("stop", "--all")).text.splitlines()) == 2
    assert json.loads((await cli("stop", "--json")).out)["state"] == "stopped"
    assert (await cli("stop", "sb_0", "--all")).code == 125


async def test_rm_asks(engine: LocalEngine, terminal: Terminal) -> None:
    done = await cli("rm")
    assert (done.code, "Add --force" in done.words) == (125, True)
    assert not [name for name, _ in engine.calls if name == "sandbox.remove"]
    await terminal.start("rm", "--all")
    await terminal.until(b"Delete? [y/N] ")
    terminal.type(b"n\r")
    assert await terminal.end() == 1
    assert not [name for name, _ in engine.calls if name == "sandbox.remove"]


async def test_rm_after_a_yes(engine: LocalEngine, terminal: Terminal) -> None:
    await terminal.start("rm")
    await terminal.until(b"Delete? [y/N] ")
    terminal.type(b"yes\r")
    await terminal.until(b"Deleted sb_000000000001")
    assert await terminal.end() == 0
    assert await engine.called("sandbox.remove") == {"sandbox_id": "sb_000000000001"}


async def test_rm_by_force(engine: LocalEngine) -> None:
    assert len((await cli("rm", "--all", "--force")).text.splitlines()) == 2


async def test_rm_of_nothing(engine: LocalEngine) -> None:
    engine.answers["sandbox.get"] = NotFound("There is no sandbox for this folder.")
    done = await cli("rm", "--force")
    assert (done.code, done.words) == (125, "continue-exec: There is no sandbox for this folder.\n")


async def test_sync(engine: LocalEngine) -> None:
    engine.answers["workspace.sync"] = {
        "files": 1,
        "bytes": 2048,
        "deleted": 3,
        "duration_ms": 1500,
        "left_out": [".env"],
    }
    assert (await cli("sync")).text == (
        "Up to date: 1 file, 2.0 KiB, 3 deleted in 1 s.\nLeft out (secrets, or unreadable):\n  .env\n"
    )
    assert json.loads((await cli("sync", "--json")).out)["files"] == 1
