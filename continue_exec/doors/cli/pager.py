"""Where a long answer goes: a pager on a terminal, else standard output as it is."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from types import TracebackType

from . import terminal

DEFAULT = "less"
LESS = "FRX"
"""As git sets it: leave at once if it fits on the screen, show colours, leave the text on the screen."""


class Page:
    """Takes lines. `use=False`: never a pager.

    Whoever closes the pager early has seen enough: what follows is dropped without a word.
    """

    def __init__(self, *, use: bool = True) -> None:
        self._pager = _start() if use and terminal.is_terminal(1) else None
        self.closed = False
        """Whether nobody reads any more."""

    def line(self, text: str) -> None:
        """One line, its end added. Bytes that are no text leave as they came."""
        data = text.encode("utf-8", "surrogateescape") + b"\n"
        if self._pager is None:
            sys.stdout.buffer.write(data)
            return
        assert self._pager.stdin is not None
        try:
            if not self.closed:
                self._pager.stdin.write(data)
        except BrokenPipeError:
            self.closed = True

    def __enter__(self) -> Page:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._pager is None:
            sys.stdout.buffer.flush()
            return
        assert self._pager.stdin is not None
        try:
            self._pager.stdin.close()
        except BrokenPipeError:
            pass
        while True:
            try:
                self._pager.wait()
                return
            except KeyboardInterrupt:
                continue  # Ctrl-C is the pager's own: it must not lose its terminal to the shell


def _start() -> subprocess.Popen[bytes] | None:
    words = shlex.split(os.environ.get("PAGER", DEFAULT))
    if not words or words == ["cat"]:
        return None
    sys.stdout.flush()
    try:
        return subprocess.Popen(words, stdin=subprocess.PIPE, env={"LESS": LESS, **os.environ})
    except OSError:
        return None  # there is none: the text alone will do
