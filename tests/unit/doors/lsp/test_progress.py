from __future__ import annotations

import asyncio
from typing import Any

import pytest

from continue_exec.doors.lsp import progress
from continue_exec.doors.lsp.progress import Slow


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.01)


def kinds(talk: Any) -> list[str]:
    return [one["value"]["kind"] for one in talk.of("$/progress")]


async def granted(talk: Any) -> None:
    """The editor's answer to window/workDoneProgress/create."""
    create = "window/workDoneProgress/create"
    await talk.wire.until(lambda: talk.of(create))
    (asked,) = [one for one in talk.wire.sent if one.get("method") == create]
    talk.say({"jsonrpc": "2.0", "id": asked["id"], "result": None})
    await talk.wire.until(lambda: "begin" in kinds(talk))


async def test_a_short_step_shows_nothing(talk: Any) -> None:
    talk.initialize()
    before = len(talk.wire.sent)
    async with Slow(talk.sidecar, "Short", supported=True):
        pass
    assert len(talk.wire.sent) == before


async def test_a_long_step_begins_and_ends(talk: Any) -> None:
    talk.initialize()
    async with Slow(talk.sidecar, "Long", supported=True):
        await granted(talk)
    assert kinds(talk) == ["begin", "end"]
    assert talk.of("$/progress")[0]["value"]["title"] == "Long"
    assert not talk.sidecar.work_done_progress.tokens


async def test_a_failure_is_said_and_passed_on(talk: Any) -> None:
    talk.initialize()
    with pytest.raises(KeyError):
        async with Slow(talk.sidecar, "Long", supported=False, token="theirs"):
            await talk.wire.until(lambda: kinds(talk))
            raise KeyError
    assert [one["token"] for one in talk.of("$/progress")] == ["theirs", "theirs"]
    assert talk.of("$/progress")[1]["value"]["message"] == "failed"


async def test_an_editor_that_cannot_show_it_is_not_asked(talk: Any) -> None:
    talk.initialize()
    before = len(talk.wire.sent)
    async with Slow(talk.sidecar, "Long", supported=False):
        await asyncio.sleep(0.05)
    assert len(talk.wire.sent) == before
