"""`continueExec/changed`: after a run of this sidecar, whether there is something to review."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ...client import Client
from ...errors import ContinueExecError
from ...protocol import lsp
from ...protocol.events import FINAL_EVENTS
from ...tasks import Tasks
from .follow import Taker

log = logging.getLogger(__name__)


class News:
    """Tells the editor. `send`: a notification's name and parameters."""

    def __init__(self, client: Client, send: Callable[[str, dict[str, Any]], None]) -> None:
        self._client = client
        self._send = send
        self._tasks = Tasks("lsp news")

    def after(self, taker: Taker, folder: str, run_id: str) -> Taker:
        """`taker`, and then the news of the run in the workspace at `folder`."""
        return _Ending(taker, lambda: self._tasks.spawn(run_id, self._tell(folder, run_id)))

    async def _tell(self, folder: str, run_id: str) -> None:
        try:
            changed = len((await self._client.call("run.changes", {"run_id": run_id}))["changes"])
            answer = await self._client.call("changes.list", {"workspace": {"path": folder}})
        except ContinueExecError as error:
            log.info("no news of the changes of %s: %s", run_id, error)  # whoever asks for them hears it
            return
        if total := len(answer["changes"]):
            news = lsp.ChangesNews(workspace=answer["workspace"], run_id=run_id, changed=changed, total=total)
            self._send("continueExec/changed", news.model_dump(mode="json", by_alias=True))

    async def close(self) -> None:
        """What has not been told is not told."""
        await self._tasks.close()


class _Ending:
    def __init__(self, taker: Taker, then: Callable[[], Any]) -> None:
        self._taker = taker
        self._then = then

    async def take(self, params: dict[str, Any]) -> None:
        await self._taker.take(params)
        if params["event"]["type"] in FINAL_EVENTS:
            self._then()
