"""Changes brought home from a real sandbox, as root and as an ordinary user, each with an engine of its own."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from continue_exec.client import Client

from .engines import RealEngine
from .users import OrdinaryUser

_START = """
import asyncio
from continue_exec.client import Client

async def main():
    async with Client(name="tests") as client:
        await client.engine_status()

asyncio.run(main())
"""


@dataclass
class Reviewing:
    """One workspace and its sandbox."""

    client: Client
    workspace: Path
    user: OrdinaryUser | None

    @property
    def outside(self) -> Path:
        """A place beside the workspace, for what must neither be read nor written."""
        return self.workspace.parent / "outside"

    async def inside(self, *argv: str) -> str:
        """Run a command inside to its end; it must succeed. Its output."""
        result = await self.client.execute(list(argv), workspace=self.workspace)
        assert result.exit_code == 0, (argv, result.stdout, result.stderr)
        return result.stdout.decode()

    async def sh(self, script: str) -> str:
        return await self.inside("sh", "-c", script)

    async def python(self, script: str) -> str:
        return await self.inside("python3", "-c", script)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        return await self.client.call(method, {"workspace": {"path": str(self.workspace)}, **params})

    async def listed(self) -> dict[str, Any]:
        """`changes.list`, whole."""
        return await self.call("changes.list", hunks=True)

    async def changes(self) -> dict[str, dict[str, Any]]:
        """Path → Change."""
        return {change["path"]: change for change in (await self.listed())["changes"]}

    async def apply(self, *paths: str, **more: Any) -> tuple[set[str], dict[str, str]]:
        """Bring home (no path: all); returns what came, and why the rest did not, by path."""
        which = {"picks": [{"path": path} for path in paths]} if paths else {"all": True}
        done = await self.call("changes.apply", **which, **more)
        return set(done["applied"]), {left["path"]: f"{left['code']}: {left['message']}" for left in done["left"]}

    def own(self) -> None:
        """What the test wrote becomes the user's own."""
        if self.user is not None and os.geteuid() == 0:
            for path in (self.workspace.parent, *self.workspace.parent.rglob("*")):
                os.chown(path, self.user.uid, self.user.gid, follow_symlinks=False)

    def git(self, *words: str) -> None:
        options = dict(self.user.identity) if self.user is not None else {}
        subprocess.run(["git", *words], **{**options, "cwd": self.workspace}, check=True, timeout=30)


@asynccontextmanager
async def reviewing(engine: RealEngine, user: OrdinaryUser | None) -> AsyncIterator[Reviewing]:
    """A fresh workspace, gone at the end with its sandbox; `user`: with an engine of that user's."""
    home = user.home if user is not None else engine.home
    if user is not None:
        started = user.run([user.python, "-c", _START])
        assert started.returncode == 0, started.stderr
    with tempfile.TemporaryDirectory(prefix="w-", dir="/tmp") as folder:
        workspace = Path(folder, "project")
        workspace.mkdir()
        if user is not None and os.geteuid() == 0:
            os.chown(folder, user.uid, user.gid)
        async with Client(home.folder / "run" / "engine.sock", name="tests") as client:
            place = Reviewing(client, workspace, user)
            place.own()
            try:
                yield place
            finally:
                for sandbox in (await client.sandbox_list()).sandboxes:
                    if sandbox.workspace.path == str(workspace):
                        await client.sandbox_remove(sandbox_id=sandbox.id)
                if user is not None:
                    await client.engine_stop(force=True)
