"""A host that is a folder: its files, its variables, its tools are what the test writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from continue_exec.network.host import Host
from continue_exec.network.sources.base import Found


class FolderHost(Host):
    """`write` makes a system file (absolute) or one of the home (relative); `tool` a program on its PATH."""

    fetched: dict[str, tuple[str, str]]

    def write(self, path: str, text: str) -> Path:
        target = self.path(path) if path.startswith("/") else self.home / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def tool(self, name: str, script: str) -> None:
        path = self.root / "tools" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def fetch(self, url: str, accept: str, *, ca: str = "") -> tuple[str, str] | None:
        found = self.fetched.get(url)
        if found is None:
            self.failed.append(url)
        return found


@pytest.fixture
def host(tmp_path: Path) -> FolderHost:
    home = tmp_path / "home"
    home.mkdir()
    made = FolderHost(env={"PATH": str(tmp_path / "root" / "tools")}, home=home, root=tmp_path / "root")
    made.fetched = {}
    return made


def hosts(found: Found) -> set[str]:
    """The rules that follow, as they are written."""
    return {str(rule) for rule in found.rules()}
