"""What the mirror pushes to. The engine hands in the agent; the mirror knows no more of it than this."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ..protocol.agent import PushItem, PushResult


class Target(Protocol):
    """A place that files are written to."""

    async def push(self, root: str, items: Iterable[PushItem]) -> PushResult:
        """Write `items`, in order, below `root` (absolute). Entries that could not be written are named in the result.

        An entry with `kind="delete"` may name what is not there. All that the mirror knows of in a folder is deleted
        before the folder; a folder in which the sandbox has something of its own stays. An entry whose `was` does not
        say what is there fails with the code `conflict`.

        Raises:
            ContinueExecError: nothing is known about what was written; the mirror sends all of it again.
        """
        ...

    async def look(self, root: str, paths: Iterable[str]) -> dict[str, str]:
        """What stands at paths below `root` inside, in the words of `PushEntry.was`. As programs there see it: the
        same files as the host sees them may have other times.

        Raises:
            ContinueExecError: it cannot be said.
        """
        ...
