"""`doctor`: is this machine ready, and what mends it? Works even when the engine cannot start."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ...client import Client
from ...errors import ContinueExecError
from . import options as common
from . import say

MARKS = {"ok": ("ok", say.GREEN), "warning": ("warn", say.YELLOW), "failed": ("FAIL", say.RED)}


def doctor_options(parser: common.Parser) -> None:
    """Options of `doctor`."""
    parser.about(
        "Check everything that continue-exec needs of this machine, and say how to mend what is missing.",
        examples=["doctor", "doctor --json"],
        codes="0: ready; 1: not ready",
    )
    common.json_option(parser)


async def doctor(options: Namespace) -> int:
    """Print the report."""
    report = await _report()
    if options.json:
        say.json(report)
    else:
        _print(report)
    return 0 if report["ready"] else 1


async def _report() -> dict[str, Any]:
    """The engine's report; if there is no engine, why, and the driver's checks made here."""
    async with Client() as client:
        try:
            return await client.call("engine.doctor")
        except ContinueExecError as error:
            remedy = error.hint if "doctor" not in error.hint else ""
            if log := error.data.get("log"):
                remedy = f"{remedy} Its log is {log}.".strip()
            broken = {"name": "engine", "status": "failed", "message": error.message, "remedy": remedy}
    return {"checks": [broken, *await _checks_here()], "ready": False}


async def _checks_here() -> list[dict[str, Any]]:
    from dataclasses import asdict

    try:
        from ...drivers.runsc import RunscDriver

        return [asdict(check) for check in await RunscDriver().check()]
    except (ContinueExecError, ImportError, OSError) as error:
        message = f"The driver's checks could not be made: {error}"
        return [{"name": "driver", "status": "failed", "message": message, "remedy": "Install continue-exec again."}]


def _print(report: dict[str, Any]) -> None:
    width = max(len(check["name"]) for check in report["checks"])
    for check in report["checks"]:
        mark, code = MARKS[check["status"]]
        print(f"{say.colour(mark.ljust(4), code)}  {check['name'].ljust(width)}  {check['message']}")
        if check.get("remedy"):
            for text in check["remedy"].splitlines():
                print(f"      {''.ljust(width)}  {say.colour('→ ' + text, say.DIM)}")
    failed = sum(check["status"] == "failed" for check in report["checks"])
    print("\nReady." if report["ready"] else f"\nNot ready: {failed} to mend.")
