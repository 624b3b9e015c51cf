"""`$/progress` for steps that turn out to be long: a first boot, a first mirror. Short ones show nothing."""

from __future__ import annotations

import asyncio
import uuid
from types import TracebackType

from lsprotocol.types import ProgressToken, WorkDoneProgressBegin, WorkDoneProgressEnd
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer

from ...tasks import Tasks

QUIET_SECONDS = 0.3
"""A step shorter than this shows no progress: flicker tells nobody anything."""


class Slow:
    """An async context manager around a step that may be long.

    Args:
        title: what a person reads meanwhile.
        supported: whether the client said `window.workDoneProgress`.
        token: of the request itself, if the client sent one (`workDoneToken`); it needs no `supported`.
    """

    def __init__(
        self, server: LanguageServer, title: str, *, supported: bool, token: ProgressToken | None = None
    ) -> None:
        self._server = server
        self._title = title
        self._supported = supported or token is not None
        self._token = token
        self._begun = False
        self._tasks = Tasks("lsp progress")

    async def __aenter__(self) -> Slow:
        if self._supported:
            self._tasks.spawn(self._title, self._show())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self._tasks.close()
        if self._begun and self._token is not None:
            progress = self._server.work_done_progress
            progress.end(self._token, WorkDoneProgressEnd(message="failed" if error is not None else None))
            progress.tokens.pop(self._token, None)

    async def _show(self) -> None:
        await asyncio.sleep(QUIET_SECONDS)
        progress = self._server.work_done_progress
        if self._token is None:
            token = f"continue-exec-{uuid.uuid4()}"
            try:
                await progress.create_async(token)
            except JsonRpcException:
                return  # the client cannot just now; the step goes on without
            self._token = token
        self._begun = True
        progress.begin(self._token, WorkDoneProgressBegin(title=self._title, cancellable=False))
