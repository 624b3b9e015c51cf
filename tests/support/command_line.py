"""`continue-exec` as a process of its own: with pipes, or on a pseudo-terminal."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass

ARGV = [sys.executable, "-c", "import sys; from continue_exec.doors.cli import main; sys.exit(main())"]
PATIENCE = 20.0


@dataclass
class Done:
    """What a command line left behind."""

    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def words(self) -> str:
        """Standard error."""
        return self.err.decode()


async def start(
    *words: str, cwd: str | os.PathLike[str] | None = None, env: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    """Start it with pipes."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *ARGV, *words, cwd=cwd, env={**os.environ, **(env or {})}, stdin=pipe, stdout=pipe, stderr=pipe
    )


async def cli(
    *words: str,
    input: bytes = b"",
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
) -> Done:
    """Run it to its end."""
    process = await start(*words, cwd=cwd, env=env)
    out, err = await asyncio.wait_for(process.communicate(input), PATIENCE)
    assert process.returncode is not None
    return Done(process.returncode, out, err)


class Terminal:
    """It on a pseudo-terminal of its own, as a person would see it."""

    def __init__(self, *, rows: int = 24, cols: int = 80) -> None:
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        self.process: asyncio.subprocess.Process | None = None
        self.resize(rows, cols)

    def resize(self, rows: int, cols: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    async def start(self, *words: str, cwd: str | os.PathLike[str] | None = None) -> Terminal:
        self.process = await asyncio.create_subprocess_exec(
            *ARGV, *words, cwd=cwd, stdin=self.slave, stdout=self.slave, stderr=self.slave, preexec_fn=self._own
        )
        return self

    @staticmethod
    def _own() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    async def until(self, text: bytes) -> bytes:
        """Read until `text` has been seen; what was seen up to its end, which is then forgotten."""
        try:
            async with asyncio.timeout(PATIENCE):
                while text not in self.seen:
                    await self._read()
        except TimeoutError:
            raise AssertionError(f"waited for {text!r}, saw {self.seen!r}") from None
        end = self.seen.index(text) + len(text)
        found, self.seen = self.seen[:end], self.seen[end:]
        return found

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(self.master, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self.master)
        self.seen += os.read(self.master, 65536)

    async def end(self) -> int:
        """Wait for its end, reading on; the exit code."""
        assert self.process is not None
        waiting = asyncio.ensure_future(self.process.wait())
        async with asyncio.timeout(PATIENCE):
            while not waiting.done():
                reading = asyncio.ensure_future(self._read())
                await asyncio.wait((waiting, reading), return_when=asyncio.FIRST_COMPLETED)
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
        return await waiting

    @property
    def is_as_before(self) -> bool:
        """Whether the terminal's mode is what it was."""
        return termios.tcgetattr(self.slave) == self.before

    async def close(self) -> None:
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        os.close(self.master)
        os.close(self.slave)
