"""Unsaved texts on their way to the engine: gathered while one types, complete before every run."""

from __future__ import annotations

import asyncio
import logging
import os

from ...client import Client
from ...errors import ContinueExecError, EngineUnavailable
from ...tasks import Tasks
from .documents import Documents

log = logging.getLogger(__name__)

TYPING_SECONDS = 0.2
"""Between two flushes while one types, for programs inside that watch files. A run does not wait for it: it flushes."""

CLOSE_SECONDS = 1.0
"""For the engine to hear that this door's texts are gone; if it does not, it finds out by the door's process."""


class Buffers:
    """Keeps the engine's view of unsaved texts equal to the editor's.

    Every flush sends all unsaved texts of the workspace anew: there are few, and an engine that was restarted has none.
    """

    def __init__(self, client: Client, documents: Documents) -> None:
        self._client = client
        self._documents = documents
        self._tasks = Tasks("lsp buffers")
        self._lock = asyncio.Lock()
        self._sent: dict[str, set[str]] = {}
        """Workspace folder → paths whose text the engine holds."""
        self._due: set[str] = set()

    async def flush(self, folder: str, needed: str | None = None) -> None:
        """Bring the engine's texts of the workspace at `folder` up to date.

        A text that the engine refuses (a file that must not be mirrored) is left out with a word in the log, unless it
        is `needed`: then its error is raised.

        Raises:
            ContinueExecError: the engine cannot be reached, or refuses the text that is needed.
        """
        async with self._lock:
            dirty = await asyncio.to_thread(self._documents.dirty, folder)
            buffers: dict[str, str | None] = dict.fromkeys(self._sent.get(folder, set()) - set(dirty))
            buffers.update(dirty)
            if not buffers:
                return
            try:
                await self._send(folder, buffers)
                refused: set[str] = set()
            except EngineUnavailable:
                raise
            except ContinueExecError:
                refused = await self._send_singly(folder, buffers, needed)
            self._sent[folder] = set(dirty) - refused

    async def _send(self, folder: str, buffers: dict[str, str | None]) -> None:
        params = {
            "client": self._client.name,
            "pid": os.getpid(),
            "workspace": {"path": folder},
            "buffers": [{"path": path, "text": text} for path, text in buffers.items()],
        }
        await self._client.call("workspace.buffers", params)

    async def _send_singly(self, folder: str, buffers: dict[str, str | None], needed: str | None) -> set[str]:
        refused = set()
        for path, text in buffers.items():
            try:
                await self._send(folder, {path: text})
            except ContinueExecError as error:
                if path == needed:
                    raise
                refused.add(path)
                log.warning("the unsaved text of %s is not used: %s", path, error)
        return refused

    def changed(self, folder: str) -> None:
        """An editor changed something: flush soon, if the workspace has run before (typing starts no engine)."""
        if folder not in self._sent:
            return
        self._due.add(folder)
        if len(self._tasks) == 0:
            self._tasks.spawn("typing", self._while_typing())

    def ran(self, folder: str) -> None:
        """A run has been started in this workspace: from now on it is kept up to date."""
        self._sent.setdefault(folder, set())

    async def _while_typing(self) -> None:
        while self._due:
            await asyncio.sleep(TYPING_SECONDS)
            folder = self._due.pop()
            try:
                await self.flush(folder)
            except ContinueExecError as error:
                log.info("unsaved texts were not sent: %s", error)

    async def close(self, client: Client) -> None:
        """Clear everything sent, by a `client` that starts no engine."""
        await self._tasks.close()
        self._client = client
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                for folder, paths in self._sent.items():
                    if paths:
                        await self._send(folder, dict.fromkeys(paths))
        except (TimeoutError, ContinueExecError) as error:
            log.info("unsaved texts were not cleared: %s", error)
