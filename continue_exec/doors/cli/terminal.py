"""The terminal that we were started on: its size, and raw mode that is always undone."""

from __future__ import annotations

import atexit
import os
import termios
import tty
from types import TracebackType

from ...errors import InvalidRequest

DEFAULT_SIZE = (24, 80)
"""Rows and columns of a terminal that does not say."""


def is_terminal(fd: int) -> bool:
    """Whether `fd` is a terminal; a closed descriptor is none."""
    try:
        return os.isatty(fd)
    except OSError:
        return False


def require(command: str) -> None:
    """Raises InvalidRequest: standard input is not a terminal."""
    if not is_terminal(0):
        raise InvalidRequest(
            f"{command} needs a terminal, and standard input is not one.",
            hint="Leave --tty out; to send a pipe or a file to the command, use --stdin.",
        )


def size() -> tuple[int, int]:
    """Rows and columns."""
    for fd in (1, 0, 2):
        try:
            found = os.get_terminal_size(fd)
        except OSError:
            continue
        if found.lines > 0 and found.columns > 0:
            return found.lines, found.columns
    return DEFAULT_SIZE


class Raw:
    """While entered, every key goes to the run as a byte, Ctrl-C too. However it is left, the terminal is as before."""

    def __init__(self, fd: int = 0) -> None:
        self.fd = fd
        self._before = termios.tcgetattr(fd)

    def __enter__(self) -> Raw:
        atexit.register(self.restore)
        self.enter()
        return self

    def enter(self) -> None:
        """Raw mode (again, after a stop and a continue)."""
        tty.setraw(self.fd, termios.TCSANOW)

    def restore(self) -> None:
        """As it was. Harmless if the terminal is gone."""
        try:
            termios.tcsetattr(self.fd, termios.TCSANOW, self._before)
        except (termios.error, OSError):
            pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.restore()
        atexit.unregister(self.restore)
