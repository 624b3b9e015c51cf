"""Background tasks that have a name, a reference and an owner. Nothing else calls `asyncio.create_task`.

A bare task can be garbage-collected while it runs and its exception goes unseen (asyncio documentation,
"Save a reference to the result of this function"); here both are impossible.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Tasks:
    """A group of background tasks with one owner, which ends them all by `close`.

    Unlike asyncio.TaskGroup it may live as long as an object does, and one task's failure is
    logged and does not end the others.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, name: str, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start `coro`; an exception other than cancellation is logged with the task's name."""
        task = asyncio.get_running_loop().create_task(coro, name=f"{self.name}: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task %r failed", task.get_name(), exc_info=error)

    async def close(self) -> None:
        """Cancel what still runs and wait until all of it has ended."""
        current = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not current]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __len__(self) -> int:
        return len(self._tasks)
