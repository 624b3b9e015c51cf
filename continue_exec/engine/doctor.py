"""`engine.doctor`: is this host ready? The driver's checks and the engine's own, each with its remedy."""

from __future__ import annotations

import shutil

from ..drivers.base import Check, Driver
from ..protocol.methods import CheckResult, DoctorReport
from .folders import Folders

MIN_FREE = 1 << 30
"""Bytes. Below this a build or an install inside soon fails; nothing of ours needs that much."""


async def report(driver: Driver, folders: Folders) -> DoctorReport:
    """Every precondition, worst last only by chance: the order is the driver's."""
    checks = [*await driver.check(), _agent(folders), _disk(folders)]
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


def _disk(folders: Folders) -> Check:
    free = shutil.disk_usage(folders.home).free
    words = f"{free / (1 << 30):.1f} GiB free in {folders.home}"
    if free < MIN_FREE:
        return Check("disk", "warning", words, "Free some space, or move CONTINUE_EXEC_HOME.")
    return Check("disk", "ok", words)
