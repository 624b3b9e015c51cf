from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from continue_exec.app import agent_binary
from continue_exec.drivers.base import SandboxSpec
from continue_exec.engine.first_files import FirstFiles, Place
from continue_exec.engine.networks import Networks
from continue_exec.network.carry import Carried
from tests.support.mirror_target import make

CARRIED = Carried({"/etc/uv/uv.toml": "uv", "/usr/etc/npmrc": "npm"})


class Network:
    async def carried(self) -> Carried:
        return CARRIED


@pytest.fixture
def first(tmp_path: Path) -> FirstFiles:
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "f").write_text("f")
    spec = SandboxSpec("sb_1", tmp_path / "sb", tmp_path / "run", tmp_path / "host", agent_binary())
    return FirstFiles(spec, make(tmp_path / "host"), cast(Networks, Network()))


def place_in(folder: Path, *but: str) -> Place:
    def place(path: Path) -> Path | None:
        if any(str(path).startswith(prefix) for prefix in but):
            return None
        found = folder / str(path).strip("/")
        found.mkdir(parents=True, exist_ok=True)
        return found

    return place


@pytest.mark.may_block("writes files")
async def test_the_workspace_and_the_carried_files_are_written(first: FirstFiles, tmp_path: Path) -> None:
    await first.mirror.start()
    await first(place_in(tmp_path / "inside", "/usr"))
    assert (tmp_path / "inside" / str(tmp_path / "host" / "f").strip("/")).read_text() == "f"
    written = tmp_path / "inside" / "etc" / "uv" / "uv.toml"
    assert (written.read_text(), written.stat().st_mode & 0o777) == ("uv", 0o644)
    assert [item.entry.path for item in first.remaining(CARRIED)] == ["usr/etc/npmrc"]
    await first.mirror.stop()


@pytest.mark.may_block("writes files")
async def test_a_workspace_without_a_place_is_left_to_the_agent(first: FirstFiles, tmp_path: Path) -> None:
    await first.mirror.start()
    await first(lambda path: None)
    assert not (tmp_path / "mirror.state").exists()
    await first.mirror.stop()


def test_what_no_driver_asked_for_remains(first: FirstFiles) -> None:
    assert [item.entry.path for item in first.remaining(CARRIED)] == ["etc/uv/uv.toml", "usr/etc/npmrc"]
