"""`continue-exec`: the engine's methods as commands.

    commands    the table of commands; how to add one
    options     parsing: one parser per command, made only when that command runs
    say         tables, durations, colours, errors: everything a person reads
    descriptors raw bytes from and to file descriptors, without ever blocking the loop
    terminal    raw mode, size
    progress    the one line that says why nothing has come yet
    foreground  one run in the foreground: output, input, signals
    ndjson      events as the wire's JSON lines
    run         run, shell
    runs        attach, logs, ps, kill
    changes     diff, and the line after a run; patch: changes as a unified diff; pager
    apply       apply, discard, rewind; picking: hunk by hunk; ask: questions to a person
    review      what diff, apply and discard share
    preview     preview, and what follows run --preview
    sandboxes   ls, stop, rm, sync
    engine      status, engine
    doctor      doctor
    lsp         lsp

A command's module, and asyncio, are imported only when that command runs; pydantic and aiohttp never.
Exit codes: the command's own; 125 and up for errors of ours (errors.py); 128 + signal when a signal ended us.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ...errors import ContinueExecError


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of `continue-exec`: parse, run, and turn every end into an exit code."""
    from . import commands, say

    _standard_descriptors()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return commands.dispatch(words)
    except ContinueExecError as error:
        say.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has gone, as with `continue-exec ps | head -1`: end as SIGPIPE would have ended us.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except Exception as error:
        if os.environ.get("CONTINUE_EXEC_DEBUG"):
            raise
        say.line(f"a defect of ours: {type(error).__name__}: {error}")
        say.hint("Please report this, with the output of the same command under CONTINUE_EXEC_DEBUG=1.")
        return ContinueExecError.exit_code


def _standard_descriptors() -> None:
    """Make sure that 0, 1 and 2 are open: else the next file we open would become our standard output."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is not None and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may hold bytes that are no text
