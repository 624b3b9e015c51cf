"""Commands of ours inside: not runs, nobody follows them. Short, bounded in time and in what they may say."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import BinaryIO

from ..agent.connection import AgentConnection
from ..errors import SandboxLost
from ..mirror.git.inside import Said
from ..protocol.agent import Exec, Exited
from ..protocol.frames import Kind

_WORDS = 4096
"""Bytes kept of standard error."""

_QUIET = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}


class _Keeper:
    """A sink that keeps so much and no more."""

    def __init__(self, into: BinaryIO | None, limit: int) -> None:
        self._into = into
        self._left = limit
        self.out = bytearray()
        self.words = bytearray()
        self.note: Exited | None = None
        self.cut = False
        self.ended = asyncio.Event()
        """It has ended, or said too much, or the connection is gone."""

    def started(self, pid: int) -> None:
        """Nothing to note."""

    def output(self, kind: int, data: memoryview) -> None:
        """Keep it."""
        if kind == Kind.STDERR:
            self.words += data[: _WORDS - len(self.words)]
            return
        if self.cut or len(data) > self._left:
            self.cut = True
            self.ended.set()
            return
        self._left -= len(data)
        if self._into is not None:
            self._into.write(data)
        else:
            self.out += data

    def exited(self, note: Exited) -> None:
        """All of it is there."""
        self.note = note
        self.ended.set()

    def lost(self) -> None:
        """Nothing more comes."""
        self.ended.set()


async def command(
    agent: AgentConnection,
    argv: tuple[str, ...],
    cwd: str,
    env: Mapping[str, str],
    *,
    input: bytes = b"",
    into: BinaryIO | None = None,
    limit: int = 1 << 20,
    timeout_s: float = 30.0,
) -> Said:
    """Run a command inside to its end.

    Args:
        agent: the sandbox's.
        argv, cwd, env: the command, its folder, its variables.
        input: its standard input.
        into: where standard output goes; None: into the answer.
        limit: bytes of standard output; with one more it is killed.
        timeout_s: after so many seconds it is killed.

    Raises:
        CommandNotFound, NotFound: there is no such program, or folder.
        SandboxLost: the connection ended.
    """
    keeper, stream = _Keeper(into, limit), agent.new_stream()
    params = Exec(stream=stream, run_id=f"own-{stream}", argv=argv, cwd=cwd, env={**env, **_QUIET}, stdin=bool(input))
    await agent.exec(params, keeper)
    try:
        try:
            async with asyncio.timeout(timeout_s):
                if input:
                    await agent.stdin(stream, input)
                    await agent.stdin(stream, b"")
                await keeper.ended.wait()
        except TimeoutError:
            keeper.cut = True
        if keeper.note is None and not keeper.cut:
            raise SandboxLost("The sandbox was lost while a command of the engine's ran in it.")
    finally:
        if not agent.closed.is_set():
            if keeper.note is None:
                await agent.signal(stream, 9)
            await agent.forget(stream)
    code = keeper.note.exit_code if keeper.note is not None and not keeper.cut else 137
    words = bytes(keeper.words).decode(errors="replace").strip().splitlines()
    return Said(code, bytes(keeper.out), words[0] if words else "", cut=keeper.cut)
