from __future__ import annotations

import asyncio
from typing import Any

import pytest

from continue_exec.errors import ContinueExecError, NotSupported
from tests.support.fake_client import FakeStream, exited, out
from tests.unit.doors.lsp.asking import answered

CHANGE = {"path": "a", "kind": "modified", "type": "file", "version": "v"}


async def finished(talk: Any) -> None:
    stream = FakeStream("run_7")
    stream.put(out(1, b"x"), exited(2))
    talk.client.streams.append(stream)
    talk.ask(1, "continueExec/run", {"argv": ["true"]})
    await answered(talk, 1)


async def test_a_run_s_end_is_followed_by_the_news(talk: Any) -> None:
    talk.client.answers["run.changes"] = {"run_id": "run_7", "changes": [{"path": "a", "kind": "modified"}]}
    talk.client.answers["changes.list"] = {"sandbox_id": "sb_1", "workspace": "/w", "changes": [CHANGE] * 3}
    talk.initialize()
    await finished(talk)
    await talk.wire.until(lambda: talk.of("continueExec/changed"))
    assert talk.of("continueExec/changed") == [{"workspace": "/w", "runId": "run_7", "changed": 1, "total": 3}]
    last = [one["method"] for one in talk.wire.sent if "method" in one][-2:]
    assert last == ["continueExec/event", "continueExec/changed"]


@pytest.mark.parametrize(
    "changes", [{"sandbox_id": "sb_1", "workspace": "/w", "changes": []}, NotSupported("It cannot.")]
)
async def test_no_changes_are_no_news(talk: Any, changes: dict[str, Any] | ContinueExecError) -> None:
    talk.client.answers["run.changes"] = {"run_id": "run_7", "changes": []}
    talk.client.answers["changes.list"] = changes
    talk.initialize()
    await finished(talk)
    async with asyncio.timeout(20):
        while not talk.client.asked("changes.list"):
            talk.client.called.clear()
            await talk.client.called.wait()
    talk.ask(2, "continueExec/status")
    await answered(talk, 2)
    assert talk.of("continueExec/changed") == []


async def test_a_plain_editor_is_told_nothing(talk: Any) -> None:
    talk.initialize(events=False)
    await finished(talk)
    await talk.wire.until(lambda: talk.of("window/showMessage"))
    assert talk.client.asked("run.changes") == []
