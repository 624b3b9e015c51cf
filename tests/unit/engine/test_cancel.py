from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, cast

import pytest

from continue_exec.agent.connection import AgentConnection
from continue_exec.engine import cancel
from continue_exec.engine.streams import ActiveRun
from continue_exec.errors import SandboxFailed


class Tree:
    """A process tree as the agent's `signal` sees it."""

    def __init__(self, active: ActiveRun, processes: int, *, deaf: int = 0, respawns: int = 0) -> None:
        self.active = active
        self.processes = processes
        self.deaf = deaf
        self.respawns = respawns
        self.sent: list[int] = []

    async def signal(self, stream: int, number: int) -> int:
        assert stream == self.active.stream
        self.sent.append(number)
        reached = self.processes
        if number == signal.SIGTERM:
            self.processes = self.deaf
        elif number == signal.SIGKILL:
            self.processes = max(0, min(self.respawns, self.processes))
            self.respawns -= 1
        if not self.processes or number == signal.SIGKILL:
            self.active.ended.set()
        return reached


async def end(tree: Tree, grace_s: float = 0.1) -> list[int]:
    await cancel.end_tree(cast(AgentConnection, cast(Any, tree)), tree.active, grace_s)
    return tree.sent


async def test_an_obedient_tree_gets_term_only(make_active: Callable[..., ActiveRun]) -> None:
    assert await end(Tree(make_active(), 5)) == [signal.SIGTERM, 0]


async def test_a_deaf_tree_is_killed_after_the_grace(make_active: Callable[..., ActiveRun]) -> None:
    sent = await end(Tree(make_active(), 5, deaf=2))
    assert sent[0] == signal.SIGTERM and sent[-2:] == [signal.SIGKILL, signal.SIGKILL]


async def test_a_daemon_that_outlives_its_command_is_killed_too(make_active: Callable[..., ActiveRun]) -> None:
    tree = Tree(make_active(), 2, deaf=1)
    tree.active.ended.set()
    sent = await end(tree)
    assert 0 in sent and sent[-1] == signal.SIGKILL and tree.processes == 0


async def test_a_tree_that_forks_while_it_dies_takes_rounds(make_active: Callable[..., ActiveRun]) -> None:
    tree = Tree(make_active(), 9, deaf=9, respawns=4)
    assert (await end(tree, 0.0)).count(signal.SIGKILL) == 5 + 1
    assert tree.processes == 0


async def test_what_survives_kill_is_said(
    make_active: Callable[..., ActiveRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancel, "KILL_ROUNDS", 3)
    with pytest.raises(SandboxFailed, match="survive"):
        await end(Tree(make_active(), 1, deaf=1, respawns=100), 0.0)
