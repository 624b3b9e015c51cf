"""A sandbox as Git inside sees it, made of a folder and local processes. What counts is tests/e2e/test_git.py."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import BinaryIO

from continue_exec.errors import CommandNotFound, NotFound
from continue_exec.mirror.git.inside import Said
from continue_exec.protocol.agent import FileStat, PushItem, PushResult
from tests.support.mirror_target import DiskTarget
from tests.support.repositories import IDENTITY


class DiskInside:
    """Absolute paths inside are paths below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.commands: list[tuple[str, ...]] = []
        self.pushes = 0
        self.git = "git"

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    async def push(self, root: str, items: Iterable[PushItem]) -> PushResult:
        self.pushes += 1
        self.at(root).mkdir(parents=True, exist_ok=True)
        return await DiskTarget(self.at(root)).push(root, list(items))

    async def stat(self, path: str) -> FileStat:
        return self._stat(path)

    def _stat(self, path: str) -> FileStat:
        try:
            found = self.at(path).lstat()
        except OSError:
            return FileStat(path=path, kind="missing")
        kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink"}
        kind = kinds.get(stat.S_IFMT(found.st_mode), "other")
        return FileStat(path=path, kind=kind, size=found.st_size, mtime_ns=found.st_mtime_ns)  # type: ignore[arg-type]

    async def list(self, path: str) -> tuple[FileStat, ...]:
        try:
            return tuple(self._stat(f"{path}/{name}") for name in sorted(os.listdir(self.at(path))))
        except OSError:
            raise NotFound(path) from None

    async def read(self, path: str, offset: int = 0, length: int = -1) -> AsyncIterator[bytes]:
        if self._stat(path).kind != "file":
            raise NotFound(path)
        data = self.at(path).read_bytes()[offset:]
        yield data if length < 0 else data[:length]

    async def which(self, program: str) -> str | None:
        return None

    async def command(
        self,
        argv: tuple[str, ...],
        cwd: str,
        *,
        input: bytes = b"",
        into: BinaryIO | None = None,
        limit: int = 1 << 20,
        timeout_s: float = 30.0,
    ) -> Said:
        self.commands.append(argv)
        program = self.git if argv[0] == "git" else argv[0]
        try:
            done = await asyncio.to_thread(self._run, [program, *argv[1:]], cwd, input)
        except FileNotFoundError:
            raise CommandNotFound(program) from None
        if len(done.stdout) > limit:
            return Said(137, b"", "", cut=True)
        if into is not None:
            into.write(done.stdout)
        words = done.stderr.decode(errors="replace").splitlines()
        return Said(done.returncode, b"" if into else done.stdout, words[0] if words else "")

    def _run(self, argv: list[str], cwd: str, input: bytes) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(argv, cwd=self.at(cwd), input=input, capture_output=True, env={**os.environ, **IDENTITY})
