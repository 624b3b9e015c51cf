from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from continue_exec.engine.streams import ActiveRun
from continue_exec.model import Run, RunState
from continue_exec.protocol.agent import Exited
from continue_exec.store.runlog import RunLog

MIB = 1 << 20


@pytest.fixture
def make_active(tmp_path: Path) -> Iterator[Callable[..., ActiveRun]]:
    """An active run whose log is real and whose end only sets its event."""
    made: list[ActiveRun] = []

    def ended(active: ActiveRun, note: Exited) -> None:
        active.log.final("exited", exit_code=note.exit_code, duration_ms=note.duration_ms)
        active.ended.set()

    def make(run_id: str = "run_0") -> ActiveRun:
        run = Run(id=run_id, sandbox_id="sb", argv=("x",), cwd="/w", state=RunState.STARTING, created_at=1.0)
        active = ActiveRun(run, 1, RunLog.create(tmp_path / run_id, MIB, MIB), ended)
        made.append(active)
        return active

    yield make
    for active in made:
        active.log.close()
