"""The table of commands.

To add one: a row in COMMANDS; in the module it names a function `NAME_options(parser)` that adds its options and a
function `NAME(options) -> int` (plain or async) that runs it; a section in docs/reference/cli.md (a test compares).
"""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import NamedTuple

from ... import __version__
from ...errors import InvalidRequest


class Command(NamedTuple):
    """One row: where the command lives, and what `help` says of it."""

    module: str
    summary: str


COMMANDS = {
    "run": Command("run", "Run a command, a file or a snippet in this folder's sandbox"),
    "shell": Command("run", "Open an interactive shell in the sandbox"),
    "attach": Command("runs", "Take a run into the foreground: output, input, Ctrl-C"),
    "logs": Command("runs", "Show what a run has written"),
    "ps": Command("runs", "List runs"),
    "kill": Command("runs", "End runs, or send them a signal"),
    "diff": Command("changes", "Show what the sandbox changed in the workspace"),
    "apply": Command("apply", "Bring the sandbox's changes home, by file or by hunk"),
    "discard": Command("apply", "Throw the sandbox's changes away"),
    "rewind": Command("apply", "Set the workspace inside to what it was before a run"),
    "preview": Command("preview", "Show, keep or discard what `run --preview` did"),
    "snapshot": Command("snapshot", "Save the sandbox as it is, and go back to what was saved"),
    "ls": Command("sandboxes", "List sandboxes"),
    "stop": Command("sandboxes", "End a sandbox's processes; its files stay"),
    "rm": Command("sandboxes", "Delete a sandbox with all its files"),
    "sync": Command("sandboxes", "Bring the sandbox's copy of the workspace up to date"),
    "fetch": Command("git", "Bring commits made in the sandbox home, as refs to look at and merge"),
    "status": Command("engine", "Show the engine and this folder's sandbox"),
    "doctor": Command("doctor", "Check this machine, and say how to mend what is missing"),
    "engine": Command("engine", "Start, stop or restart the engine; show its status or log"),
    "lsp": Command("lsp", "Serve an editor over stdin and stdout (Language Server Protocol)"),
    "help": Command("help", "Explain a command"),
}


def dispatch(words: list[str]) -> int:
    """Run the command line `words`; its exit code.

    Raises:
        ContinueExecError: what stood in the way.
    """
    name, rest = (words[0], words[1:]) if words else ("help", [])
    if name in ("-h", "--help"):
        name = "help"
    if name in ("-V", "--version"):
        print(f"continue-exec {__version__}")
        return 0
    if name not in COMMANDS:
        raise _unknown(name)
    module = importlib.import_module(f"{__package__}.{COMMANDS[name].module}")
    from . import options

    parsed = options.parse(name, getattr(module, f"{name}_options"), rest)
    result = getattr(module, name)(parsed)
    if inspect.iscoroutine(result):
        import asyncio

        result = asyncio.run(result)
    if sys.stdout is not None:  # it was closed when we were started
        sys.stdout.flush()
    return int(result)


def _unknown(name: str) -> InvalidRequest:
    import difflib

    near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
    what = "option" if name.startswith("-") else "command"
    hint = f"Did you mean `continue-exec {near[0]}`?" if near else "`continue-exec help` lists the commands."
    if not near and what == "command":
        hint = f"To run it in the sandbox: `continue-exec run -- {name}`. `continue-exec help` lists the commands."
    return InvalidRequest(f"There is no {what} {name}.", hint=hint)
