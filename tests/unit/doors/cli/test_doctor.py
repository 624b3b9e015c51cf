from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import cli
from tests.support.local_engine import LocalEngine

REPORT = {
    "checks": [
        {"name": "runsc", "status": "ok", "message": "/usr/bin/runsc", "remedy": ""},
        {"name": "user-namespaces", "status": "failed", "message": "forbidden", "remedy": "sysctl a\nor ask"},
        {"name": "cgroups", "status": "warning", "message": "version 1", "remedy": ""},
    ],
    "ready": False,
}


async def test_report(engine: LocalEngine) -> None:
    engine.answers["engine.doctor"] = REPORT
    done = await cli("doctor")
    assert (done.code, done.text) == (
        1,
        "ok    runsc            /usr/bin/runsc\n"
        "FAIL  user-namespaces  forbidden\n"
        "                       → sysctl a\n"
        "                       → or ask\n"
        "warn  cgroups          version 1\n"
        "\nNot ready: 1 to mend.\n",
    )
    assert json.loads((await cli("doctor", "--json")).out) == REPORT
    engine.answers["engine.doctor"] = {"checks": REPORT["checks"][:1], "ready": True}  # type: ignore[index]
    assert ((done := await cli("doctor")).code, done.text.endswith("\nReady.\n")) == (0, True)


async def test_without_an_engine(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "file").write_text("")
    monkeypatch.setenv("CONTINUE_EXEC_HOME", str(place / "file" / "home"))
    done = await cli("doctor")
    assert done.code == 1
    assert "FAIL  engine" in done.text and "cannot be written" in done.text
    assert "platform" in done.text  # the driver's checks, made without it
