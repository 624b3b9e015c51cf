from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import cli
from tests.support.local_engine import LocalEngine

from .reviewing import asked, begin


def picked(engine: LocalEngine, method: str = "changes.apply") -> dict[str, Any]:
    picks: Any = asked(engine, method)["picks"]
    return {pick["path"]: pick for pick in picks}


async def test_all(engine: LocalEngine, tmp_path: Path) -> None:
    begin(engine, tmp_path)
    done = await cli("apply", "--all", cwd=tmp_path)
    assert done.code == 1
    assert done.text.splitlines() == [
        "Applied:",
        "  a.txt",
        "  bin",
        "  gone",
        "  sub/new",
        "Left:",
        "  .envrc: It needs its own yes.",
        "  both: Both sides changed it.",
        "    → Look.",
    ]
    assert asked(engine, "changes.apply")["all"] is True


async def test_by_path(engine: LocalEngine, tmp_path: Path) -> None:
    both = begin(engine, tmp_path)
    done = await cli("apply", "a.txt", "sub", "--dry-run", cwd=tmp_path)
    assert (done.code, done.text) == (0, "Would be applied:\n  a.txt\n  sub/new\n")
    assert picked(engine) == {
        name: {"path": name, "take": "sandbox", "version": (both.change(name) or {})["version"]}
        for name in ("a.txt", "sub/new")
    }
    assert asked(engine, "changes.apply")["dry_run"] is True
    done = await cli("apply", "--json", "a.txt", cwd=tmp_path)
    assert json.loads(done.out) == {"applied": ["a.txt"], "left": []}
    assert (await cli("apply", "same", cwd=tmp_path)).text == "Nothing to do.\n"
    assert (await cli("apply", "missing", cwd=tmp_path)).code == 125
    assert (await cli("apply", "/etc/passwd", cwd=tmp_path)).code == 125


async def test_a_conflict_is_not_taken_by_its_name_alone(engine: LocalEngine, tmp_path: Path) -> None:
    both = begin(engine, tmp_path)
    done = await cli("apply", "both", cwd=tmp_path)
    assert (done.code, "Left:\n  both: Both sides" in done.text) == (1, True)
    assert "version" not in picked(engine)["both"]
    assert (await cli("apply", "--merged", "both", cwd=tmp_path)).code == 0
    assert picked(engine)["both"]["take"] == "merged"
    assert (await cli("apply", ".", "--sandbox", "both", cwd=tmp_path)).code == 1  # .envrc
    version = (both.change("both") or {})["version"]
    assert picked(engine)["both"] == {"path": "both", "take": "sandbox", "version": version}


async def test_a_yes_is_for_one_file(engine: LocalEngine, tmp_path: Path) -> None:
    begin(engine, tmp_path)
    assert (await cli("apply", ".envrc", cwd=tmp_path)).code == 1
    assert (await cli("apply", "--yes", ".envrc", cwd=tmp_path)).code == 0
    assert asked(engine, "changes.apply")["yes"] == [".envrc"]
    done = await cli("apply", "--yes", "sub", cwd=tmp_path)
    assert (done.code, "each file needs its own yes" in done.words) == (125, True)
    assert (await cli("apply", "--yes", "same", cwd=tmp_path)).code == 125


async def test_by_hunk(engine: LocalEngine, tmp_path: Path) -> None:
    both = begin(engine, tmp_path)
    first, second = ((both.change("a.txt") or {})["hunks"][n]["id"] for n in (0, 1))
    assert (await cli("apply", "--hunk", second, cwd=tmp_path)).code == 0
    assert picked(engine)["a.txt"]["hunks"] == [second]
    assert (await cli("apply", "a.txt", "--hunk", first[:6], second, cwd=tmp_path)).code == 0
    assert picked(engine)["a.txt"]["hunks"] == [first, second]
    done = await cli("apply", "--hunk", "00000000", cwd=tmp_path)
    assert (done.code, "no hunk 00000000" in done.words) == (125, True)
    assert (await cli("apply", "--hunk", first[:3], cwd=tmp_path)).code == 125
    assert (await cli("apply", "bin", "--hunk", first, cwd=tmp_path)).code == 125


@pytest.mark.parametrize("command", ["apply", "discard"])
async def test_without_a_terminal_something_must_be_named(engine: LocalEngine, tmp_path: Path, command: str) -> None:
    begin(engine, tmp_path)
    done = await cli(command, cwd=tmp_path)
    assert (done.code, f"Say what to {command}" in done.words, "hint:" in done.words) == (125, True, True)
    assert not [name for name, _ in engine.calls if name == f"changes.{command}"]


async def test_discard(engine: LocalEngine, tmp_path: Path) -> None:
    both = begin(engine, tmp_path)
    done = await cli("discard", "both", cwd=tmp_path)
    assert (done.code, done.text) == (0, "Discarded:\n  both\n")
    assert picked(engine, "changes.discard")["both"]["version"] == (both.change("both") or {})["version"]
    done = await cli("discard", "--all", "-n", cwd=tmp_path)
    assert done.text.splitlines()[1:] == ["  .envrc", "  a.txt", "  bin", "  both", "  gone", "  sub/new"]
    assert len(picked(engine, "changes.discard")) == 6
    hunk = (both.change("a.txt") or {})["hunks"][0]["id"]
    assert (await cli("discard", "--hunk", hunk, cwd=tmp_path)).code == 0
    assert picked(engine, "changes.discard")["a.txt"]["hunks"] == [hunk]


async def test_rewind_goes_to_the_run_s_own_workspace(engine: LocalEngine, tmp_path: Path) -> None:
    engine.answers["run.get"] = {"id": "run_0123", "sandbox_id": "sb_1"}
    engine.answers["sandbox.get"] = {"id": "sb_1", "workspace": {"path": "/some/where"}}
    engine.answers["changes.rewind"] = {"applied": ["a"], "left": []}
    done = await cli("rewind", "run_01", "--dry-run", cwd=tmp_path)
    assert (done.code, done.text) == (0, "Would be set back:\n  a\n")
    workspace = {"path": "/some/where", "root": True}
    assert asked(engine, "changes.rewind") == {"workspace": workspace, "run_id": "run_0123", "dry_run": True}
