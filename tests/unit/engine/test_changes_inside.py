from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from continue_exec.engine import changes_inside
from continue_exec.errors import Conflict
from continue_exec.protocol import changes as c
from tests.support.both_sides import SIX, Both, opened
from tests.support.mirror_target import tree

pytestmark = pytest.mark.may_block("writes small files itself")


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    async with opened(tmp_path) as made:
        yield made


async def test_everything_that_was_done_is_undone(both: Both) -> None:
    before = tree(both.host)
    (both.inside / "a").write_text("new")
    (both.inside / "d" / "b").rename(both.inside / "moved")
    (both.inside / "d").rmdir()
    (both.inside / "d").write_text("file")
    (both.inside / "link").unlink()
    (both.inside / "link").mkdir()
    (both.inside / "link" / "f").write_text("")
    (both.inside / "deep" / "er").mkdir(parents=True)
    (both.inside / "deep" / "er" / "f").write_text("f")
    done = await both.discard(all=True)
    done = await both.discard(all=True) if done.left else done
    assert done.left == () and tree(both.inside) == before == tree(both.host) and await both.list() == []


async def test_only_what_is_named_goes(both: Both) -> None:
    (both.inside / "new").mkdir()
    for name in ("x", "y"):
        (both.inside / "new" / name).write_text(name)
    await both.discard("new/x")
    assert (both.inside / "new" / "y").read_text() == "y" and not (both.inside / "new" / "x").exists()
    await both.discard("new")
    assert not (both.inside / "new").exists()


async def test_what_changes_meanwhile_stays(both: Both) -> None:
    (both.inside / "a").write_text("reviewed")
    (delta,) = await both.review.deltas()
    (change,) = await both.list()
    (both.inside / "a").write_text("newer")
    done, left = await changes_inside.discard(both.live, both.review, [(change, c.Pick(path="a"), [delta])])
    assert done == [] and [one.path for one in left] == ["a"]
    with pytest.raises(Conflict):
        await changes_inside.put(both.live, both.review, delta, b"x", 0o644)
    assert (both.inside / "a").read_text() == "newer"


async def test_the_agent_has_the_last_look(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written between our look and the agent's write."""
    (both.inside / "a").write_text("reviewed")
    look = both.agent.agent.stat  # type: ignore[attr-defined]

    async def stale(path: str) -> object:
        return (await look(path)).model_copy(update={"mtime_ns": 5})

    monkeypatch.setattr(both.agent.agent, "stat", stale)  # type: ignore[attr-defined]
    done = await both.discard("a")
    assert done.applied == () and [one.code for one in done.left] == ["conflict"]
    assert (both.inside / "a").read_text() == "reviewed" and both.mirror.contested == {}
    monkeypatch.undo()
    assert (await both.discard("a")).applied == ("a",) and (both.inside / "a").read_text() == SIX


async def test_going_back_does_not_take_what_was_never_looked_at(both: Both) -> None:
    (both.inside / "a").write_text("1")
    both.review.ended("run_1")
    await both.review.settled()
    steps = both.review.history.since("run_1")
    assert steps is not None
    (both.inside / "a").write_text("since the last look")
    done, left = await changes_inside.rewind(both.live, both.review, steps)
    assert done == [] and [one.code for one in left] == ["conflict"]
    assert (both.inside / "a").read_text() == "since the last look"


async def test_what_is_not_kept_cannot_come_back(both: Both) -> None:
    for text in ("1", "2"):
        (both.inside / "a").write_text(text)
        both.review.ended(f"run_{text}")
        await both.review.settled()
    both.review.history.blobs.close()
    both.review.history.blobs.path.unlink()
    done = await both.rewind("run_2")
    assert done.applied == () and [one.code for one in done.left] == ["not_found"]
    assert (both.inside / "a").read_text() == "2"
