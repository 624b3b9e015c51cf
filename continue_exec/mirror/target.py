"""What the mirror pushes to. The engine hands in the agent; the mirror knows no more of it than this."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ..protocol.agent import PushItem, PushResult


class Target(Protocol):
    """A place that files are written to."""

    async def push(self, root: str, items: Iterable[PushItem]) -> PushResult:
        """Write `items`, in order, below `root` (absolute). Entries that could not be written are named in the result.

        Of an entry with `kind="delete"` the mirror needs: a file or link goes; a folder goes if nothing is left in it
        and otherwise stays, as in a checkout by git (what the sandbox made there is not the host's to delete).

        Raises:
            ContinueExecError: nothing is known about what was written; the mirror sends all of it again.
        """
        ...
