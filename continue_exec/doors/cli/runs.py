"""`attach`, `logs`, `ps`, `kill`: runs that were started before, here or from an editor."""

from __future__ import annotations

import shlex
import signal
import time
from argparse import Namespace
from typing import Any

from ...client import Client
from ...errors import ContinueExecError, InvalidRequest
from ...protocol.frames import Kind
from . import ndjson, say, terminal
from . import options as common
from .descriptors import Output
from .foreground import Foreground

RUN_HELP = "the run's id, or the beginning of it"


def attach_options(parser: common.Parser) -> None:
    """Options of `attach`."""
    parser.about(
        "Take a run into the foreground, as if it had been started here: its output so far and from now on, its\n"
        "exit code, and Ctrl-C ends it. To watch without that, use `logs --follow`.",
        examples=["attach run_5f2a", "attach --since-now run_5f2a"],
        codes="the command's own",
    )
    parser.add_argument("run", metavar="ID", help=RUN_HELP)
    parser.add_argument("--since-now", action="store_true", help="leave out what it has written before")
    parser.add_argument(
        "--stdin", "-i", action="store_true", help="forward standard input (always, if it has a terminal)"
    )
    common.json_option(parser, "print events as JSON, one a line, instead of the output")


async def attach(options: Namespace) -> int:
    """Follow a run, with everything a foreground has."""
    async with Client() as client:
        run = await client.call("run.get", {"run_id": options.run})
        tty = run.get("tty") is not None and terminal.is_terminal(0) and not options.json
        after = int(run.get("last_seq", 0)) if options.since_now else 0
        ended = run["state"] not in ("starting", "running")
        if ended and options.since_now:
            after = max(0, after - 1)  # its end is what there is to see
        shown = Foreground(client, as_json=options.json, stdin=options.stdin and not ended, tty=tty and not ended)
        return await shown.run("run.follow", {"run_id": run["id"], "after": after})


def logs_options(parser: common.Parser) -> None:
    """Options of `logs`."""
    parser.about(
        "Show what a run has written: its standard output on ours, its standard error on ours. Ctrl-C ends the\n"
        "watching, not the run.",
        examples=["logs run_5f2a", "logs -f run_5f2a", "logs --json run_5f2a"],
    )
    parser.add_argument("run", metavar="ID", help=RUN_HELP)
    parser.add_argument("--follow", "-f", action="store_true", help="go on until it ends")
    common.json_option(parser, "print events as JSON, one a line")


async def logs(options: Namespace) -> int:
    """Print a run's events."""
    stdout, stderr = Output(1), Output(2)
    outputs = {int(Kind.STDOUT): stdout, int(Kind.STDERR): stderr}
    try:
        async with Client() as client:
            stream = await client.open_stream("run.follow", {"run_id": options.run, "wait": options.follow})
            async for kind, seq, payload in stream:
                if options.json:
                    await stdout.write(ndjson.line(kind, seq, payload))
                elif kind in outputs:
                    await outputs[kind].write(payload)
                elif (event := ndjson.event(kind, seq, payload))["type"] in ("notice", "gap", "failed"):
                    say.line(str(event.get("message", "")))
    finally:
        stdout.close()
        stderr.close()
    return 0


def ps_options(parser: common.Parser) -> None:
    """Options of `ps`."""
    parser.about("List active runs, newest first.", examples=["ps", "ps -a", "ps --here --json"])
    parser.add_argument("--all", "-a", action="store_true", help="also those that have ended")
    parser.add_argument("--here", action="store_true", help="only those of the current folder's workspace")
    parser.add_argument("--limit", "-n", type=int, default=50, metavar="N", help="at most so many (default: 50)")
    common.json_option(parser)


async def ps(options: Namespace) -> int:
    """Print a table of runs."""
    if not 1 <= options.limit <= 1000:
        raise InvalidRequest("--limit must lie between 1 and 1000.")
    query: dict[str, Any] = {"active": not options.all, "limit": options.limit}
    if options.here:
        query["workspace"] = common.workspace_ref()
    async with Client() as client:
        answer = await client.call("run.list", query)
    if options.json:
        say.json(answer)
        return 0
    rows = [("RUN", "STATE", "STARTED", "TIME", "COMMAND")]
    rows += [
        (run["id"], _state(run), say.ago(run["created_at"]), _time(run), say.short(run.get("title") or _command(run)))
        for run in answer["runs"]
    ]
    if len(rows) > 1:
        say.table(rows)
    else:
        print("No runs." if options.all else "No active runs.")
    return 0


def _state(run: dict[str, Any]) -> str:
    if run["state"] != "exited":
        return str(run["state"])
    return f"{run.get('reason') or 'exited'} ({run.get('exit_code')})"


def _time(run: dict[str, Any]) -> str:
    if run.get("started_at") is None:
        return "-"
    return say.duration((run.get("ended_at") or time.time()) - run["started_at"])


def _command(run: dict[str, Any]) -> str:
    return shlex.join(run["argv"])


def kill_options(parser: common.Parser) -> None:
    """Options of `kill`."""
    parser.about(
        "End runs for certain: TERM to every process of each, KILL after the grace; returns when nothing is left.\n"
        "With --signal, send that signal instead, and nothing more.",
        examples=["kill run_5f2a", "kill --grace 10s run_5f2a run_77", "kill -s USR1 run_5f2a"],
        codes="0: all done; else that of the last error",
    )
    parser.add_argument("runs", nargs="+", metavar="ID", help=RUN_HELP)
    parser.add_argument("--signal", "-s", metavar="SIGNAL", help="a name or a number: INT, SIGUSR1, 9")
    parser.add_argument("--grace", type=common.seconds, default=2.0, metavar="TIME", help="before KILL (default: 2s)")


async def kill(options: Namespace) -> int:
    """End or signal each; go on if one cannot be."""
    number = None if options.signal is None else signal_number(options.signal)
    code = 0
    async with Client() as client:
        for run_id in options.runs:
            try:
                if number is None:
                    await client.call("run.cancel", {"run_id": run_id, "grace_s": min(options.grace, 60.0)})
                else:
                    await client.call("run.signal", {"run_id": run_id, "signal": number})
            except ContinueExecError as error:
                say.error(error)
                code = error.exit_code
    return code


def signal_number(text: str) -> int:
    """A signal's number from its name or number.

    Raises:
        InvalidRequest: there is no such signal.
    """
    name = text.upper().removeprefix("SIG")
    if text.isdigit() and 1 <= int(text) <= 64:
        return int(text)
    if (known := getattr(signal, f"SIG{name}", None)) is not None and isinstance(known, signal.Signals):
        return int(known)
    raise InvalidRequest(f"There is no signal {text}.", hint="`kill -l` lists them.")
