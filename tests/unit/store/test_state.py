from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from continue_exec.errors import HostUnready
from continue_exec.model import Run, RunState, Sandbox, SandboxState, Workspace
from continue_exec.store.state import State


def sandbox(number: int, state: SandboxState = SandboxState.RUNNING) -> Sandbox:
    workspace = Workspace(id=f"ws_{number}", path=f"/w/{number}")
    return Sandbox(
        id=f"sb_{number}", workspace=workspace, template="host", driver="fake", isolation="none", state=state,
        created_at=1.0, used_at=float(number),
    )  # fmt: skip


def run(number: int, state: RunState = RunState.EXITED) -> Run:
    return Run(
        id=f"run_{number:012x}", sandbox_id="sb_1", argv=("a", "ü"), cwd="/w", state=state, created_at=float(number)
    )


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = State(tmp_path / "state.db")
    yield opened
    opened.close()


def test_sandboxes_by_use_state_and_workspace(state: State) -> None:
    one, two = sandbox(1), sandbox(2, SandboxState.STOPPED)
    state.save_sandbox(one)
    state.save_sandbox(two)
    assert state.sandboxes() == [two, one]
    assert state.sandboxes(SandboxState.RUNNING) == [one]
    assert state.sandbox_of("/w/2") == two
    state.save_run(run(1), 1)
    state.delete_sandbox("sb_1")
    assert state.sandboxes() == [two] and state.runs() == []


def test_runs_are_kept_across_openings(tmp_path: Path) -> None:
    first = State(tmp_path / "state.db")
    first.save_run(run(1, RunState.RUNNING), 7)
    first.close()
    again = State(tmp_path / "state.db")
    assert again.runs(active=True) == [(run(1, RunState.RUNNING), 7)]
    again.save_run(run(1), 7)
    assert again.runs(active=True) == [] and again.runs(sandbox_id="sb_1") == [(run(1), 7)]
    again.close()


def test_runs_by_prefix_and_the_surplus(state: State) -> None:
    for number in range(20):
        state.save_run(run(number, RunState.RUNNING if number == 0 else RunState.EXITED), number)
    assert [r.id for r, _ in state.runs(limit=2)] == [run(19).id, run(18).id]
    assert [r.id for r in state.runs_matching(run(3).id)] == [run(3).id]
    assert len(state.runs_matching("run_")) == 10
    assert state.runs_matching("run_%") == []
    surplus = state.surplus_runs(15)
    assert surplus == [run(n).id for n in (4, 3, 2, 1)], "the active one stays, however old"
    state.delete_runs(surplus)
    assert state.surplus_runs(15) == []


def test_a_checkpoint_empties_the_write_ahead_log_into_the_file(tmp_path: Path) -> None:
    state = State(tmp_path / "state.db")
    state.save_run(run(1), 1)
    (tmp_path / "copy").mkdir()
    state.checkpoint()
    (tmp_path / "copy" / "state.db").write_bytes((tmp_path / "state.db").read_bytes())
    copied = State(tmp_path / "copy" / "state.db")
    assert copied.runs() == [(run(1), 1)], "the file alone has it"
    copied.close()
    state.save_run(run(2), 2)
    state.close()


def test_a_newer_or_damaged_file_is_refused_in_words(tmp_path: Path) -> None:
    State(tmp_path / "newer.db").close()
    with sqlite3.connect(tmp_path / "newer.db") as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(HostUnready, match="newer"):
        State(tmp_path / "newer.db")
    (tmp_path / "broken.db").write_bytes(b"not a database, not at all" * 100)
    with pytest.raises(HostUnready) as caught:
        State(tmp_path / "broken.db")
    assert "move it away" in caught.value.hint
