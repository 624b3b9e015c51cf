"""The real engine, in folders of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from continue_exec.client import Client

from .homes import Home, clean_environ

T = TypeVar("T")


@dataclass(frozen=True)
class RealEngine:
    """An engine that runs as this user. It has no pid here: tests end engines and others take their place, so ask."""

    home: Home

    @property
    def socket(self) -> Path:
        return self.home.folder / "run" / "engine.sock"

    @property
    def variables(self) -> dict[str, str]:
        """The whole environment of a door."""
        return {**clean_environ(), **self.home.variables}

    def client(self) -> Client:
        """A client; use it as `async with`."""
        return Client(self.socket, name="tests")

    def cli(self, *words: str, cwd: Path | None = None, timeout: float = 60, **options: Any) -> Any:
        """Run `continue-exec WORDS` to its end; stdout and stderr as text."""
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("text", True)
        return subprocess.run(
            [*cli_argv(), *words], cwd=cwd, env=self.variables, timeout=timeout, capture_output=True, **options
        )


def cli_argv() -> list[str]:
    """How the tests start the command line: the installed command, as a user does."""
    return [str(Path(sys.executable).parent / "continue-exec")]


def start(home: Home) -> RealEngine:
    """Start an engine, as the first door does. `home.variables` must be set in this process."""
    _with_client(lambda client: client.engine_status())
    return RealEngine(home)


def stop() -> None:
    """Remove every sandbox, then end the engine. Safe when it has ended already: another one then does the work."""

    async def clear(client: Client) -> None:
        for sandbox in (await client.sandbox_list()).sandboxes:
            await client.sandbox_remove(sandbox_id=sandbox.id)
        await client.engine_stop(force=True)

    _with_client(clear)


async def kill_engine(client: Client) -> None:
    """As by the OOM killer: with -9, and wait until the kernel is done with it."""
    pid = (await client.engine_status()).pid
    fd = os.pidfd_open(pid)
    try:
        os.kill(pid, signal.SIGKILL)
        loop = asyncio.get_running_loop()
        gone = loop.create_future()
        loop.add_reader(fd, gone.set_result, None)
        await gone
        loop.remove_reader(fd)
    finally:
        os.close(fd)


def _with_client(act: Callable[[Client], Awaitable[T]]) -> T:
    async def call() -> T:
        async with Client(name="tests") as client:
            return await act(client)

    return asyncio.run(call())
