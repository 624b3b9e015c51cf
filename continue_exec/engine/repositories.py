"""`git.*`: the workspace's repositories inside the sandbox, and what is committed there on its way home."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from ..config import Settings
from ..drivers.base import Bind, Capability, Driver
from ..errors import NotSupported
from ..mirror.git import host
from ..mirror.git.fetch import Fetch, GitInside
from ..mirror.git.memory import Memory
from ..mirror.git.sync import Sync
from ..mirror.mirror import Mirror
from ..model import Sandbox
from ..protocol.changes import GitRefs
from .folders import Folders
from .live import Live

log = logging.getLogger(__name__)

MAX_BINDS = 256
"""Folders of objects that are shown; a workspace with more repositories gets copies of the others'."""


class Repositories:
    """The repositories of every workspace."""

    def __init__(self, settings: Settings, folders: Folders, driver: Driver) -> None:
        self.settings = settings
        self.folders = folders
        self.driver = driver

    def _enabled(self) -> bool:
        # Without binds the driver has no files of its own either: then inside is the host's own work tree.
        return self.settings.git != "none" and Capability.BINDS in self.driver.capabilities()

    def binds(self, sandbox: Sandbox) -> tuple[Bind, ...]:
        """The host's folders of objects, to be shown from this start on. Blocks for a millisecond.

        The workspace's own repository, its submodules, and those that were found in it before.
        """
        if not self._enabled():
            return ()
        workspace = sandbox.workspace.path
        folders = {workspace}
        for rel in Memory(self.folders.git_memory(sandbox.id)).known:
            folders.add(os.path.join(workspace, rel) if rel else workspace)
        found: list[str] = []
        for folder in sorted(folders):
            if not os.path.lexists(os.path.join(folder, ".git")):
                continue
            try:
                place = host.locate(workspace, folder, self.settings.git_folders)
            except host.Unfit as error:
                log.info("%s: %s", folder, error)
                continue
            found += [*place.objects, *host.submodule_objects(place)]
        return tuple(
            Bind(Path(objects), host.bind_name(objects), _hidden(objects))
            for objects in list(dict.fromkeys(found))[:MAX_BINDS]
        )

    def open(self, sandbox: Sandbox, mirror: Mirror) -> GitInside | None:
        """For a sandbox that is up: what brings repositories in and commits home. None: they stay out."""
        if not self._enabled():
            return None
        memory = Memory(self.folders.git_memory(sandbox.id))
        sync = Sync(sandbox.workspace.path, memory, mirror, self.settings.git_folders)
        return GitInside(sync, Fetch(sync, sandbox.id, self.folders.fetched(sandbox.id)))

    async def changed(self, live: Live) -> bool:
        """Whether something may have been committed inside since the last `fetch`. Some questions to the agent."""
        return live.git is not None and await live.git.home.changed(live)

    async def fetch(self, live: Live) -> GitRefs:
        """Bring home what was committed inside.

        Raises:
            NotSupported: Git is not inside.
        """
        if live.git is None:
            raise NotSupported(
                "Git is not inside this sandbox", hint='Set `git = "history"`, or use the driver `runsc`.'
            )
        return await live.git.home.fetch(live)


def _hidden(objects: str) -> tuple[str, ...]:
    """git reads alternates of alternates: as paths of the host they would make every command complain."""
    name = "info/alternates"
    return (name,) if os.path.lexists(os.path.join(objects, name)) else ()
