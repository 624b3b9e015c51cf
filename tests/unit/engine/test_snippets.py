"""Snippets on the fake driver: this host's own toolchains run them."""

from __future__ import annotations

from pathlib import Path

import pytest

from continue_exec.errors import InvalidRequest, OutsideWorkspace, ToolchainMissing

from .conftest import World


async def run(world: World, workspace: Path, **fields: object) -> bytes:
    active = await world.start(workspace, *fields.pop("argv", ()), **fields)  # type: ignore[misc]
    return await world.output(active.run.id)


async def test_code_in_a_language_that_is_named_or_guessed(world: World, workspace: Path) -> None:
    assert await run(world, workspace, code="print(6*7)", language="py") == b"42\n"
    assert await run(world, workspace, code="#!/bin/sh\necho $1 guessed\n", argv=("was",)) == b"was guessed\n"


async def test_a_file_runs_by_its_name_with_arguments(world: World, workspace: Path) -> None:
    (workspace / "main.py").write_text("import sys; print(sys.argv[1:])\n")
    assert await run(world, workspace, file="main.py", argv=("a b",)) == b"['a b']\n"
    assert await run(world, workspace, file=str(workspace / "main.py")) == b"[]\n"


async def test_a_version_is_asked_once(world: World, workspace: Path) -> None:
    live = await world.ensure(workspace)
    try:
        await run(world, workspace, code="const n: number = 42; console.log(n)", language="typescript")
    except ToolchainMissing as error:
        assert "needs" in error.message
    asked = dict(live.versions)
    assert asked and all(version is None or len(version) >= 2 for version in asked.values())


async def test_what_cannot_run_is_said(world: World, workspace: Path, tmp_path: Path) -> None:
    with pytest.raises(ToolchainMissing):
        await run(world, workspace, code="x", language="nim")
    with pytest.raises(InvalidRequest):
        await run(world, workspace, code="x", language="klingon")
    with pytest.raises(InvalidRequest):
        await run(world, workspace, code="...")
    (tmp_path / "outside.py").write_text("")
    with pytest.raises(OutsideWorkspace):
        await run(world, workspace, file=str(tmp_path / "outside.py"))
