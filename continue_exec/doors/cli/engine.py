"""`status` and `engine`: the engine's process, and what it holds for this folder."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import Any

from ... import __version__, paths
from ...client import Client, start
from ...errors import Conflict, ContinueExecError, EngineUnavailable, NotFound
from . import options as common
from . import say

ENDED_SECONDS = 20.0
"""For an engine that was told to end to release its socket."""


def status_options(parser: common.Parser) -> None:
    """Options of `status`."""
    parser.about(
        "Show the engine and the current folder's sandbox. Starts nothing.",
        examples=["status", "status --json"],
    )
    common.json_option(parser, "print the answers of engine.status and sandbox.get as JSON")


async def status(options: Namespace) -> int:
    """Engine and sandbox, as far as there are any."""
    engine = await _engine()
    sandbox = None if engine is None else await _sandbox()
    if options.json:
        say.json({"engine": engine, "sandbox": sandbox})
        return 0
    _print_engine(engine)
    if sandbox is not None:
        rootless = " (rootless)" if sandbox.get("rootless") else ""
        rows = [
            ("sandbox", f"{sandbox['id']}, {sandbox['state']}"),
            ("isolation", sandbox["isolation"] + rootless),
            ("workspace", say.short(sandbox["workspace"]["path"], 200)),
            ("used", say.ago(sandbox["used_at"])),
        ]
        if sandbox.get("reason"):
            rows.append(("reason", say.short(sandbox["reason"], 200)))
        say.table(rows)
    elif engine is not None:
        say.table([("sandbox  ", "none for this folder yet; the first run makes it")])
    return 0


async def _engine() -> dict[str, Any] | None:
    async with Client(start_engine=False) as client:
        try:
            return await client.call("engine.status")
        except EngineUnavailable:
            return None


async def _sandbox() -> dict[str, Any] | None:
    async with Client(start_engine=False) as client:
        try:
            return await client.call("sandbox.get", {"workspace": common.workspace_ref()})
        except ContinueExecError as error:
            if not isinstance(error, NotFound):
                say.error(error)
            return None


def _print_engine(engine: dict[str, Any] | None) -> None:
    if engine is None:
        say.table([("engine   ", "not running; it starts with the first command")])
        return
    version = engine["version"] + ("" if engine["version"] == __version__ else f" (this is {__version__})")
    say.table(
        [
            ("engine   ", f"{version}, pid {engine['pid']}, since {say.ago(engine['started_at'])}"),
            ("sandboxes", str(engine["sandboxes"])),
            ("runs", f"{engine['active_runs']} active"),
            ("log", engine["log"]),
        ]
    )


def engine_options(parser: common.Parser) -> None:
    """Options of `engine`."""
    parser.about(
        "The engine is one process per user; commands start it, and it ends by itself when nobody needs it.\n"
        "Sandboxes and their runs go on without it and are adopted by the next one.",
        examples=["engine status", "engine restart", "engine stop --force", "engine log"],
    )
    verbs = ("start", "stop", "restart", "status", "log")
    parser.add_argument("verb", choices=verbs, metavar="VERB", help=", ".join(verbs))
    parser.add_argument("--force", "-f", action="store_true", help="with stop and restart: also while runs are active")
    common.json_option(parser)


async def engine(options: Namespace) -> int:
    """What the verb says."""
    if options.verb == "log":
        return _log()
    if options.verb in ("stop", "restart"):
        stopped = await _stop(force=options.force)
        if options.verb == "stop":
            if not options.json:
                print("Stopped the engine." if stopped else "The engine is not running.")
            return 0
    if options.verb in ("start", "restart"):
        async with Client() as client:
            await client.call("engine.status")
    found = await _engine()
    if options.json:
        say.json(found)
    else:
        _print_engine(found)
    return 0


def _log() -> int:
    try:
        with open(start.log_path(), "rb") as file:
            while data := file.read(1 << 16):
                os.write(1, data)
    except FileNotFoundError:
        raise NotFound(f"There is no log yet at {start.log_path()}.") from None
    return 0


async def _stop(*, force: bool) -> bool:
    """End the engine and wait until it is gone; whether there was one."""
    import asyncio

    async with Client(start_engine=False) as client:
        try:
            await client.call("engine.stop", {"force": force})
        except EngineUnavailable:
            return False
        except Conflict as error:
            error.hint = error.hint or "Add --force: the runs go on, and the next engine adopts them."
            raise
    for _ in range(int(ENDED_SECONDS / start.RETRY_SECONDS)):
        connection = await start.connect(paths.engine_socket())
        if connection is None:
            return True
        connection.close()
        await asyncio.sleep(start.RETRY_SECONDS)  # another process's end: nothing tells us
    raise EngineUnavailable("The engine said that it ends, but it still answers.", data={"log": str(start.log_path())})
