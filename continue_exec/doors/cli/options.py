"""Parsing: argparse with our words, and the values that commands share."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ...errors import InvalidRequest, NotFound
from . import terminal

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|)")
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """argparse makes one for every option; without a width each asks shutil, which costs 6 ms of imports."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=min(terminal.size()[1], 110))


class Parser(argparse.ArgumentParser):
    """One command's parser. What is wrong with a command line is an `InvalidRequest`, like any other wrong request."""

    def __init__(self, command: str) -> None:
        super().__init__(
            prog=f"continue-exec {command}",
            formatter_class=_Formatter,
            allow_abbrev=False,
            add_help=False,
        )
        self.add_argument("-h", "--help", action="help", help="show this")

    def about(self, description: str, *, examples: Sequence[str], codes: str = "0: done", usage: str = "") -> None:
        """What the help says around the options."""
        if usage:
            self.usage = f"{self.prog} {usage}"
        self.description = description
        lines = ["examples:", *(f"  continue-exec {example}" for example in examples), ""]
        self.epilog = "\n".join([*lines, f"exit codes: {codes}; 125 and up: an error of continue-exec itself"])

    def error(self, message: str) -> NoReturn:
        """Called by argparse for a command line that it cannot parse."""
        raise InvalidRequest(f"{message[:1].upper()}{message[1:]}.", hint=f"`{self.prog} --help` shows the options.")


def parse(command: str, configure: Callable[[Parser], None], words: list[str]) -> argparse.Namespace:
    """Parse `words`. What follows the first `--` is kept apart, untouched, as `argv` (None: there was no `--`)."""
    parser = Parser(command)
    configure(parser)
    argv: list[str] | None = None
    if "--" in words:
        at = words.index("--")
        words, argv = words[:at], words[at + 1 :]
    options = parser.parse_args(words)
    options.argv = argv
    return options


def json_option(parser: Parser, help: str = "print the engine's answer as JSON") -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help=help)


def place_options(parser: Parser) -> None:
    """`--cwd` and `--workspace`: where a command runs."""
    parser.add_argument("--cwd", metavar="DIR", help="folder to run in (default: the current one)")
    parser.add_argument(
        "--workspace",
        metavar="DIR",
        help="folder to mirror (default: the Git work tree that holds DIR of --cwd, else that folder itself)",
    )


def place(options: argparse.Namespace) -> dict[str, Any]:
    """RunOptions' `cwd`, `workspace` and `workspace_root`, checked.

    Raises:
        NotFound: a folder is not there.
    """
    workspace = None if options.workspace is None else folder(options.workspace)
    cwd = here() if options.cwd is None else folder(options.cwd)
    if workspace is None:
        return {"cwd": cwd, "workspace": cwd, "workspace_root": False}
    if options.cwd is None and os.path.commonpath((cwd, workspace)) != workspace:
        cwd = workspace
    return {"cwd": cwd, "workspace": workspace, "workspace_root": True}


def here() -> str:
    """The current folder, links resolved. Raises NotFound: it has been deleted."""
    try:
        return os.path.realpath(os.getcwd())
    except FileNotFoundError:
        raise NotFound("The current folder has been deleted.", hint="Change to one that exists.") from None


def folder(path: str) -> str:
    """A folder that exists, absolute, links resolved. Raises NotFound, InvalidRequest."""
    if not os.path.exists(path):
        raise NotFound(f"There is no folder {path}.")
    if not os.path.isdir(path):
        raise InvalidRequest(f"{path} is not a folder.")
    if not os.path.isabs(path):
        path = os.path.join(here(), path)
    return os.path.realpath(path)


def workspace_ref() -> dict[str, Any]:
    """WorkspaceRef's JSON for the current folder."""
    return {"path": here()}


def seconds(text: str) -> float:
    """A duration: `90`, `1.5s`, `10m`, `2h`."""
    match = _DURATION.fullmatch(text)
    if match is None or (value := float(match[1]) * _SECONDS[match[2]]) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration: write 90, 1.5s, 10m or 2h")
    return value


def environment(assignments: Sequence[str]) -> dict[str, str]:
    """`K=V` sets, `K` alone passes the caller's own value on.

    Raises:
        InvalidRequest: there is no name, or no value to pass on.
    """
    env: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not name:
            raise InvalidRequest(f"--env {assignment} names no variable.", hint="Write --env NAME=VALUE.")
        if not equals:
            if name not in os.environ:
                raise InvalidRequest(f"--env {name}: no such variable is set here.", hint="Write --env NAME=VALUE.")
            value = os.environ[name]
        env[name] = value
    return env
