from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from continue_exec import config
from continue_exec.drivers.base import Capability
from continue_exec.engine.folders import Folders
from continue_exec.engine.repositories import Repositories
from continue_exec.errors import NotSupported
from continue_exec.mirror.git.memory import Known, Memory
from continue_exec.model import Sandbox, SandboxState, Workspace
from tests.support.repositories import git, repository

if TYPE_CHECKING:
    from .conftest import World

pytestmark = pytest.mark.may_block("runs git")


class Driver:
    def __init__(self, *offered: Capability) -> None:
        self.offered = frozenset(offered)

    def capabilities(self) -> frozenset[Capability]:
        return self.offered


def make(tmp_path: Path, *offered: Capability, **settings: Any) -> Repositories:
    folders = Folders(home=tmp_path / "home", runtime=tmp_path / "run", agent=tmp_path / "agent")
    return Repositories(config.load(**settings), folders, Driver(*offered))  # type: ignore[arg-type]


def box(folder: Path) -> Sandbox:
    workspace = Workspace(id="ws_1", path=str(folder))
    fields: dict[str, Any] = {
        "template": "host",
        "driver": "runsc",
        "isolation": "gvisor",
        "created_at": 1,
        "used_at": 1,
    }
    return Sandbox(id="sb_1", workspace=workspace, state=SandboxState.CREATING, **fields)


def test_what_is_shown(tmp_path: Path) -> None:
    folder, library = repository(tmp_path / "r"), repository(tmp_path / "library")
    git(folder, "submodule", "--quiet", "add", str(library), "sub")
    found = make(tmp_path, Capability.BINDS).binds(box(folder))

    assert [str(bind.source) for bind in found] == [f"{folder}/.git/objects", f"{folder}/.git/modules/sub/objects"]
    assert len({bind.name for bind in found}) == 2


def test_repositories_that_were_found_before_are_shown_too(tmp_path: Path) -> None:
    folder = repository(tmp_path / "r")
    repository(folder / "own")
    repositories = make(tmp_path, Capability.BINDS)
    memory = Memory(repositories.folders.git_memory("sb_1"))
    memory.known = {"": Known(), "own": Known(), "gone": Known()}
    memory.save()

    assert [str(bind.source) for bind in repositories.binds(box(folder))] == [
        f"{folder}/.git/objects", f"{folder}/own/.git/objects"
    ]  # fmt: skip


def test_alternates_of_a_shown_folder_are_hidden(tmp_path: Path) -> None:
    origin = repository(tmp_path / "origin")
    git(tmp_path, "clone", "-q", "--shared", str(origin), "clone")

    assert make(tmp_path, Capability.BINDS).binds(box(tmp_path / "clone")) == ()
    found = make(tmp_path, Capability.BINDS, git_folders=(origin,)).binds(box(tmp_path / "clone"))
    assert [(os.fspath(bind.source), bind.hidden) for bind in found] == [
        (f"{tmp_path}/clone/.git/objects", ("info/alternates",)), (f"{origin}/.git/objects", ())
    ]  # fmt: skip


@pytest.mark.parametrize(("offered", "settings"), [((), {}), ((Capability.BINDS,), {"git": "none"})])
def test_git_stays_out(tmp_path: Path, offered: tuple[Capability, ...], settings: dict[str, str]) -> None:
    folder = repository(tmp_path / "r")
    repositories = make(tmp_path, *offered, **settings)

    assert repositories.binds(box(folder)) == ()
    assert repositories.open(box(folder), None) is None  # type: ignore[arg-type]


def test_no_repository_shows_nothing(tmp_path: Path) -> None:
    assert make(tmp_path, Capability.BINDS).binds(box(tmp_path)) == ()


async def test_where_git_is_not_inside_nothing_can_come_home(world: World, tmp_path: Path) -> None:
    live = await world.ensure(tmp_path)

    assert not await world.sandboxes.repositories.changed(live)
    with pytest.raises(NotSupported, match="not inside"):
        await world.sandboxes.repositories.fetch(live)
