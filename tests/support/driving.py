"""Drivers as the tests drive them: in a process of their own (driver_shell.py), as root or as an ordinary user.

To run the driver's suites in one more place: a row in `PLACES`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from continue_exec import app
from continue_exec.drivers.runsc import locate
from continue_exec.errors import from_wire
from tests.support import machine
from tests.support.homes import Home
from tests.support.users import OrdinaryUser

ROOT = Path(__file__).resolve().parents[2]

LIMITS = {"memory_bytes": None, "cpus": None, "processes": 4096}


@dataclass(frozen=True)
class Place:
    """A driver, and who runs it."""

    driver: str
    user: bool
    """As an ordinary user, in a user namespace; else as whoever runs the tests."""

    @property
    def name(self) -> str:
        return f"{self.driver}-{'user' if self.user else 'root'}"


# An ordinary user cannot test what root does; root can test both.
REAL = [Place("runsc", True), *([Place("runsc", False)] if os.geteuid() == 0 else [])]
PLACES = [*REAL, Place("fake", False)]


@dataclass
class Result:
    """A command's end."""

    code: int | None
    stdout: str
    stderr: str


class Driving:
    """A driver's process and one sandbox's spec."""

    def __init__(self, place: Place, home: Home, user: OrdinaryUser | None) -> None:
        self.place = place
        self.home = home
        self.user = user
        self.process: asyncio.subprocess.Process | None = None
        self.runsc = ""
        self.environ: dict[str, str] = {}
        workspace = home.folder / "project"
        self.spec: dict[str, Any] = {
            "sandbox_id": "sb_contract",
            "folder": str(home.folder / "sandbox"),
            "sockets": str(home.folder / "run" / "sb"),
            "workspace": str(workspace),
            "agent": str(self._agent()),
            "limits": LIMITS,
        }

    def _agent(self) -> Path:
        binary = app.agent_binary()
        copied = self.user.folder / "repo" / binary.relative_to(ROOT) if self.user else binary
        return copied if copied.exists() else binary

    async def open(self) -> None:
        """Start the driver's process: what an engine's start is."""
        shell = (ROOT / "tests" / "support" / "driver_shell.py").read_text()
        python = self.user.python if self.user else sys.executable
        options = dict(self.user.identity) if self.user else {"env": dict(os.environ), "cwd": ROOT}
        options["env"] = {**options["env"], **self.environ}
        # Shared by all tests of this run, as by all sandboxes of a user.
        layers = str(self.user.folder if self.user else Path(os.environ["CONTINUE_EXEC_HOME"])) + "/layers"
        self.process = await asyncio.create_subprocess_exec(
            python,
            *("-c", shell, self.place.driver, layers, self.runsc),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 24,
            **options,
        )

    async def kill(self) -> None:
        """kill -9: what an engine's crash is."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    async def close(self) -> None:
        """End the driver's process in order."""
        if self.process is not None and self.process.returncode is None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            await self.process.wait()

    def send(self, verb: str, **more: Any) -> None:
        """Give an order and do not wait."""
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": verb, "spec": self.spec, **more}).encode() + b"\n")

    async def answer(self) -> Any:
        """The next answer.

        Raises:
            ContinueExecError: the one that the driver raised.
        """
        assert self.process is not None and self.process.stdout is not None
        line = await self.process.stdout.readline()
        assert line, "the driver's process has ended: its words are above"
        body = json.loads(line)
        if "error" in body:
            raise from_wire(body["error"])
        return body["ok"]

    async def do(self, verb: str, **more: Any) -> Any:
        self.send(verb, **more)
        return await self.answer()

    async def run(self, *argv: str) -> Result:
        """Run a command inside."""
        return Result(**await self.do("run", argv=list(argv)))

    async def sh(self, script: str) -> Result:
        return await self.run("sh", "-c", script)

    async def left(self) -> list[str]:
        """What is left of the sandbox on the host: processes and mounts."""
        own = self.process.pid if self.process is not None else 0
        marks = [Path(self.spec["folder"]), Path(self.spec["sockets"])]
        return [one.what for one in await asyncio.to_thread(machine.settle, marks) if one.pid != own]

    def host_processes(self, name: str) -> list[int]:
        """Pids of the sandbox's runsc processes whose first word is `name`."""
        found = []
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                words = Path("/proc", entry, "cmdline").read_bytes().split(b"\0") if entry.isdigit() else []
                if words and words[0] == name.encode() and f"--root={self.spec['folder']}/state".encode() in words:
                    found.append(int(entry))
        return found


def of(request: pytest.FixtureRequest) -> tuple[Place, OrdinaryUser | None]:
    """The place that is the fixture's parameter, with its user."""
    place: Place = request.param
    return place, request.getfixturevalue("ordinary_user") if place.user else None


@contextlib.asynccontextmanager
async def driving(place: Place, user: OrdinaryUser | None) -> AsyncIterator[Driving]:
    """A driver in its process and, at the end, nothing: the sandbox is destroyed and must have left nothing."""
    assert app.agent_binary().is_file(), "build the agent first: scripts/build-agent"
    if place.driver == "runsc":
        assert locate.find(None), "install runsc first: scripts/install-runsc"
    home = Home.make("cd-")
    (home.folder / "project").mkdir()
    if user is not None and os.geteuid() == 0:
        for path in (home.folder, *home.folder.iterdir()):
            os.chown(path, user.uid, user.gid)
    found = Driving(place, home, user)
    await found.open()
    try:
        yield found
    finally:
        if found.process is None or found.process.returncode is not None:
            await found.open()
        await found.do("destroy")
        await found.close()
        found.process = None
        left = await found.left()
        await asyncio.to_thread(home.remove)
        assert not left, left
        assert not home.folder.exists(), "files were left behind that even their owner could not delete"
