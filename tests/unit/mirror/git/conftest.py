from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from continue_exec.mirror.git.fetch import Fetch
from continue_exec.mirror.git.memory import Memory
from continue_exec.mirror.git.sync import Sync
from tests.support.inside import DiskInside
from tests.support.repositories import git, repository


class World:
    """A work tree on the host, a folder that stands for the sandbox, and both directions between them."""

    def __init__(self, base: Path) -> None:
        self.folder = repository(base / "project", commits=2)
        self.inside = DiskInside(base / "box")
        self.base = base
        self.out: set[str] = set()
        """Paths that the mirror leaves out."""
        self.open()

    def open(self) -> None:
        """As a new engine does."""
        self.sync = Sync(str(self.folder), Memory(self.base / "memory"), self)
        self.home = Fetch(self.sync, "sb_1", self.base / "scratch")

    def repositories(self) -> Mapping[str, str]:
        return {"": str(self.folder)}

    def holds(self, path: str) -> bool:
        return path not in self.out and os.path.lexists(self.folder / path)

    @property
    def box(self) -> Path:
        """The work tree inside."""
        return self.inside.at(str(self.folder))

    async def bring(self) -> tuple[str, ...]:
        """Mirror files (as the mirror does, roughly), then Git."""
        self.box.mkdir(parents=True, exist_ok=True)
        for path in self.folder.iterdir():
            if path.name != ".git" and path.name not in self.out and path.is_file():
                shutil.copy2(path, self.box / path.name)
        return await self.sync.bring_in(self.inside)

    def host(self, *words: str) -> str:
        return git(self.folder, *words)

    def boxed(self, *words: str) -> str:
        return git(self.box, *words)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests run git, of the tests' own process."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.may_block("runs git"))
