from __future__ import annotations

from pathlib import Path
from typing import cast

from continue_exec.drivers.base import Check, Driver
from continue_exec.engine import doctor
from continue_exec.engine.folders import Folders


class Checked:
    def __init__(self, *checks: Check) -> None:
        self.checks = list(checks)

    async def check(self) -> list[Check]:
        return self.checks


def folders(tmp_path: Path) -> Folders:
    (tmp_path / "agent").write_bytes(b"x")
    return Folders(home=tmp_path, runtime=tmp_path, agent=tmp_path / "agent")


async def test_ready_is_nothing_failed(tmp_path: Path) -> None:
    driver = cast(Driver, Checked(Check("a", "ok", "fine"), Check("b", "warning", "so so", "mend it")))
    report = await doctor.report(driver, folders(tmp_path))
    assert report.ready and [c.name for c in report.checks] == ["a", "b", "agent"]
    driver = cast(Driver, Checked(Check("a", "failed", "not there", "install it")))
    assert not (await doctor.report(driver, folders(tmp_path))).ready


async def test_a_missing_agent_is_said(tmp_path: Path) -> None:
    found = folders(tmp_path)
    found.agent.unlink()
    report = await doctor.report(cast(Driver, Checked()), found)
    assert [(c.name, c.status, bool(c.remedy)) for c in report.checks] == [("agent", "failed", True)]
    assert not report.ready
