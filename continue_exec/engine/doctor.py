"""`engine.doctor`: is this host ready? The driver's checks and the engine's own, each with its remedy."""

from __future__ import annotations

from ..drivers.base import Check, Driver
from ..protocol.methods import CheckResult, DoctorReport
from .folders import Folders


async def report(driver: Driver, folders: Folders) -> DoctorReport:
    """Every precondition, and whether all that are needed are met."""
    checks = [*await driver.check(), _agent(folders)]
    results = tuple(CheckResult(name=c.name, status=c.status, message=c.message, remedy=c.remedy) for c in checks)
    return DoctorReport(checks=results, ready=all(check.status != "failed" for check in results))


def _agent(folders: Folders) -> Check:
    if folders.agent.is_file():
        return Check("agent", "ok", f"{folders.agent}")
    return Check(
        "agent",
        "failed",
        f"The agent's binary {folders.agent} is missing",
        "Run scripts/build-agent in a checkout, or install the package again.",
    )
