from __future__ import annotations

import pytest
from pydantic import ValidationError

from continue_exec.errors import Conflict
from continue_exec.model import (
    RUN_TRANSITIONS,
    SANDBOX_TRANSITIONS,
    Limits,
    RunState,
    SandboxState,
    TerminalSize,
    Workspace,
)


def test_nouns_are_frozen() -> None:
    workspace = Workspace(id="ws_0", path="/p")
    with pytest.raises(ValidationError):
        workspace.path = "/q"  # type: ignore[misc]


def test_fields_of_a_newer_peer_are_ignored() -> None:
    assert Workspace.model_validate({"id": "ws_0", "path": "/p", "colour": "red"}) == Workspace(id="ws_0", path="/p")


def test_what_a_run_may_become() -> None:
    assert RUN_TRANSITIONS.check(RunState.STARTING, RunState.RUNNING) is RunState.RUNNING
    assert RUN_TRANSITIONS.check(RunState.EXITED, RunState.EXITED) is RunState.EXITED
    with pytest.raises(Conflict, match="run that is exited cannot become running"):
        RUN_TRANSITIONS.check(RunState.EXITED, RunState.RUNNING)


@pytest.mark.parametrize(
    ("table", "states", "final"),
    [
        (RUN_TRANSITIONS, RunState, {RunState.EXITED, RunState.FAILED, RunState.LOST}),
        (SANDBOX_TRANSITIONS, SandboxState, {SandboxState.REMOVED}),
    ],
)
def test_every_state_has_its_row_and_can_end(table: object, states: type, final: set[object]) -> None:
    from continue_exec.model import Transitions

    assert isinstance(table, Transitions)
    assert set(table.table) == set(states)
    assert {state for state in table.table if table.is_final(state)} == final
    for state in table.table:
        seen, ahead = {state}, [state]
        while ahead:
            for after in table.table[ahead.pop()] - seen:
                seen.add(after)
                ahead.append(after)
        assert seen & final, f"{state} never ends"


@pytest.mark.parametrize(("rows", "cols"), [(0, 80), (24, 65536), (-1, 1)])
def test_terminal_sizes_fit_a_winsize(rows: int, cols: int) -> None:
    with pytest.raises(ValidationError):
        TerminalSize(rows=rows, cols=cols)


def test_no_memory_or_cpu_limit_by_default_but_one_on_processes() -> None:
    assert (Limits().memory_bytes, Limits().cpus) == (None, None)
    assert Limits().processes is not None
