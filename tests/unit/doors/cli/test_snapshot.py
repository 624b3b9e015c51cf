from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import cli
from tests.support.local_engine import LocalEngine


def snapshot(**fields: Any) -> dict[str, Any]:
    return {
        "id": "snap_0123456789ab",
        "sandbox_id": "sb_1",
        "workspace": "/w",
        "name": "first",
        "memory": False,
        "parent_id": None,
        "size_bytes": 2 << 20,
        "created_at": time.time(),
        **fields,
    }


async def test_create_says_what_it_holds(engine: LocalEngine, tmp_path: Path) -> None:
    engine.answers["snapshot.create"] = snapshot(memory=True)
    done = await cli("snapshot", "create", "first", "--memory", cwd=tmp_path)
    assert done.text.startswith("Saved as first (files and memory, 2")
    called = await engine.called("snapshot.create")
    assert (called["name"], called["memory"], called["workspace"]["path"]) == ("first", True, str(tmp_path))


async def test_list_is_of_this_workspace_or_of_all(engine: LocalEngine, tmp_path: Path) -> None:
    found = {"snapshots": [snapshot(), snapshot(name="second\x1b[2J", memory=True)]}
    engine.answers["snapshot.list"] = found
    lines = (await cli("snapshot", "list", cwd=tmp_path)).text.splitlines()
    assert lines[0].split() == ["NAME", "ID", "HOLDS", "SIZE", "MADE", "WORKSPACE"] and len(lines) == 3
    assert "\x1b" not in lines[2] and "files and memory" in lines[2]
    assert (await engine.called("snapshot.list"))["workspace"]["path"] == str(tmp_path)
    assert json.loads((await cli("snapshot", "list", "--all", "--json")).out) == found


@pytest.mark.parametrize(
    ("verb", "method", "words"),
    [("restore", "restore", "Restored first"), ("rm", "remove", "Deleted first"), ("show", "get", "first  snap_01")],
)
async def test_one_is_named(engine: LocalEngine, tmp_path: Path, verb: str, method: str, words: str) -> None:
    engine.answers[f"snapshot.{method}"] = snapshot()
    assert (await cli("snapshot", verb, "first", cwd=tmp_path)).text.startswith(words)
    called = await engine.called(f"snapshot.{method}")
    assert called == {"workspace": {"path": str(tmp_path)}, "snapshot": "first"} or called["snapshot"] == "first"
    await cli("snapshot", verb, "snap_0123", cwd=tmp_path)


async def test_rename(engine: LocalEngine, tmp_path: Path) -> None:
    engine.answers["snapshot.rename"] = snapshot(name="second")
    assert (await cli("snapshot", "rename", "first", "second", cwd=tmp_path)).text == "first is second now.\n"
    assert (await engine.called("snapshot.rename"))["name"] == "second"


@pytest.mark.parametrize(
    "words", [("restore",), ("rename", "a"), ("rm", "a", "b"), ("list", "--memory"), ("burn",), ("show",)]
)
async def test_what_makes_no_sense_is_refused(words: tuple[str, ...]) -> None:
    done = await cli("snapshot", *words)
    assert done.code == 125 and done.words
