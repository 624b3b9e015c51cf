"""Questions to a person at the terminal."""

from __future__ import annotations

import sys

from . import terminal
from .descriptors import Input


def possible() -> bool:
    """Whether somebody can be asked: we read from a terminal and can be read on one."""
    return terminal.is_terminal(0) and terminal.is_terminal(2)


async def line(question: str) -> str | None:
    """What is typed, without blanks around it, in lower case; None: there is nobody any more (end of file)."""
    sys.stdout.flush()
    sys.stderr.write(question)
    sys.stderr.flush()
    data = await Input(0).read()
    if not data:
        sys.stderr.write("\n")
        return None
    return data.decode(errors="replace").strip().lower()
