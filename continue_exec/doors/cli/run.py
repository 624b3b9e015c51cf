"""`run` and `shell`: start a command in this folder's sandbox."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from typing import Any

from ...client import Client
from ...errors import InvalidRequest, NotFound
from . import options as common
from . import say, terminal
from .foreground import Foreground

DOOR = "cli"

# A constant script, the argument of an explicit shell: the better of the two that there is.
FIND_SHELL = "command -v bash >/dev/null 2>&1 && exec bash; exec sh"


def run_options(parser: common.Parser) -> None:
    """Options of `run`."""
    parser.about(
        "Run a command, a file or a snippet in the sandbox of the workspace that holds the current folder.\n"
        "The workspace is mirrored in first; files the command writes stay in the sandbox.\n"
        "Standard input is forwarded only with --stdin or --tty: `run` in a loop must not eat the loop's input.",
        usage="[OPTIONS] -- COMMAND [ARG ...]\n       continue-exec run [OPTIONS] FILE\n"
        "       continue-exec run [OPTIONS] --language LANGUAGE (-c CODE | -)",
        examples=[
            "run -- pytest -q",
            "run script.py",
            "run --language python -c 'print(6*7)'",
            "run --language go - < main.go",
            "run --stdin -- wc -l < data.txt",
            "run --tty -- vim notes.txt",
            "run --detach --timeout 2h -- make",
            "run --preview -- ./install.sh",
        ],
        codes="the command's own, 128 + N if signal N ended it; 127: no such command or toolchain",
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="run this file by its language; `-`: code from stdin")
    parser.add_argument("--language", "-l", metavar="LANGUAGE", help="the language of FILE, CODE or `-`")
    parser.add_argument("--code", "-c", metavar="CODE", help="run this snippet")
    common.place_options(parser)
    _env_option(parser)
    parser.add_argument("--timeout", type=common.seconds, metavar="TIME", help="end it after 90, 1.5s, 10m or 2h")
    parser.add_argument("--stdin", "-i", action="store_true", help="forward standard input")
    parser.add_argument("--tty", "-t", action="store_true", help="give it this terminal (implies --stdin)")
    parser.add_argument("--detach", "-d", action="store_true", help="print the run's id and leave it running")
    parser.add_argument(
        "--no-sync", action="store_true", help="use what is inside, without the mirror: frees a full disk"
    )
    parser.add_argument(
        "--preview", action="store_true", help="in a throwaway copy of the sandbox; then show what it did, and ask"
    )
    parser.add_argument("--title", default="", help="what to call it in lists")
    common.json_option(parser, "print events as JSON, one a line, instead of the output")


def _env_option(parser: common.Parser) -> None:
    parser.add_argument(
        "--env",
        "-e",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="set a variable; without a value, pass on the one that is set here",
    )


async def run(options: Namespace) -> int:
    """Run it, in the foreground unless detached."""
    what = _what(options)
    if options.tty:
        terminal.require("--tty")
        if options.detach or options.json:
            raise InvalidRequest("--tty cannot be combined with --detach or --json.")
    return await _start(options, what, tty=options.tty)


async def _start(options: Namespace, what: dict[str, Any], *, tty: bool) -> int:
    argv = what.pop("argv", ())
    env = common.environment(options.env)
    if tty and "TERM" in os.environ:
        env.setdefault("TERM", os.environ["TERM"])
    async with Client(name=DOOR) as client:
        params = client.run_params(
            argv,
            **what,
            **common.place(options),
            env=env,
            timeout_s=getattr(options, "timeout", None),
            stdin=getattr(options, "stdin", False),
            tty=terminal.size() if tty else None,
            sync=not getattr(options, "no_sync", False),
            title=getattr(options, "title", "shell"),
            preview=getattr(options, "preview", False),
        )
        if getattr(options, "detach", False):
            started = await client.call("run.start", params)
            if options.json:
                say.json(started)
            else:
                print(started["id"])
            return 0
        shown = Foreground(
            client, as_json=getattr(options, "json", False), stdin=getattr(options, "stdin", False), tty=tty
        )
        code = await shown.run("run.stream", params)
        if "preview" in params and shown.run_id:
            from .preview import decide

            await decide(client, shown.run_id)
        elif shown.run_id and terminal.is_terminal(2) and not shown.interrupted and not getattr(options, "json", False):
            from .changes import note

            await note(client, shown.run_id)
        return code


def _what(options: Namespace) -> dict[str, Any]:
    """RunOptions' `argv`, or `code` and `language`, or `file`: exactly one of the three was meant."""
    given = [options.argv is not None, options.code is not None, options.file is not None]
    if sum(given) != 1:
        raise InvalidRequest(
            "Say what to run, once: -- COMMAND, a FILE, or -c CODE.", hint="`continue-exec run --help` shows examples."
        )
    if options.argv is not None:
        if not options.argv:
            raise InvalidRequest("There is no command after --.")
        if options.language is not None:
            raise InvalidRequest("--language is for a file or a snippet, not for a command.")
        return {"argv": options.argv}
    if options.code is not None or options.file == "-":
        if options.language is None:
            raise InvalidRequest("A snippet needs its --language.", hint="For instance --language python.")
        return {"code": _snippet(options), "language": options.language}
    return {"file": _file(options.file, options.cwd), "language": options.language}


def _snippet(options: Namespace) -> str:
    if options.code is not None:
        return str(options.code)
    if options.stdin or options.tty:
        raise InvalidRequest("Standard input cannot be both the code and the command's input.")
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise InvalidRequest("The code on standard input is not UTF-8.") from None


def _file(name: str, cwd: str | None) -> str:
    path = os.path.join(cwd or "", name)
    if not os.path.exists(path):
        raise NotFound(f"There is no file {path}.", hint=f"To run a command: `continue-exec run -- {name}`.")
    if not os.path.isfile(path):
        raise InvalidRequest(f"{path} is not a file.")
    return path


def shell_options(parser: common.Parser) -> None:
    """Options of `shell`."""
    parser.about(
        "Open an interactive shell (bash if there is one, else sh) in the sandbox, in the current folder.",
        examples=["shell", "shell --env DEBUG=1", "shell -- zsh -l"],
        usage="[OPTIONS] [-- SHELL [ARG ...]]",
        codes="the shell's own",
    )
    common.place_options(parser)
    _env_option(parser)


async def shell(options: Namespace) -> int:
    """A terminal in the sandbox."""
    if not terminal.is_terminal(0):
        raise InvalidRequest(
            "A shell needs a terminal, and standard input is not one.",
            hint="To run a script: `continue-exec run --stdin -- sh < script`.",
        )
    return await _start(options, {"argv": options.argv or ["sh", "-c", FIND_SHELL]}, tty=True)
