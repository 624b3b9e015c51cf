"""The first files of a sandbox that has never run, written on the host before it boots: the workspace's, and what the
host's package configuration has to say inside. Faster than through the agent, by far for large workspaces
(docs/decisions/0005-first-mirror-from-the-host.md)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from ..drivers.base import SandboxSpec
from ..mirror.mirror import Mirror
from ..network.carry import Carried
from ..protocol.agent import PushItem
from .networks import Networks, files_of

Place = Callable[[Path], Path | None]


class FirstFiles:
    """A driver's `Fill`. What it did not write, or all if the driver never called it, is left to the agent."""

    def __init__(self, spec: SandboxSpec, mirror: Mirror, networks: Networks) -> None:
        self.spec = spec
        self.mirror = mirror
        self.networks = networks
        self._written: set[str] = set()

    async def __call__(self, place: Place) -> None:
        """See `Fill`.

        Raises:
            NotFound: the workspace is gone.
            DiskFull, SandboxFailed, OSError: the files cannot be written.
        """
        carried = await self.networks.carried()
        await asyncio.to_thread(self._carry, carried, place)
        if (folder := await asyncio.to_thread(place, self.spec.workspace)) is not None:
            await self.mirror.seed(self.spec.agent, folder)

    def remaining(self, carried: Carried) -> list[PushItem]:
        """Records of the carried files that are not inside yet."""
        return [item for item in files_of(carried) if item.entry.path not in self._written]

    def _carry(self, carried: Carried, place: Place) -> None:
        for item in files_of(carried):
            path = Path("/", item.entry.path)
            if (folder := place(path.parent)) is None:
                continue
            assert isinstance(item.data, bytes)
            (folder / path.name).write_bytes(item.data)
            os.chmod(folder / path.name, item.entry.mode)
            self._written.add(item.entry.path)
