from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.both_sides import SIX, Both, opened

pytestmark = pytest.mark.may_block("writes small files itself")


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    async with opened(tmp_path) as made:
        yield made


def steps(both: Both, run_id: str) -> list[str]:
    entry = both.review.history.of_run(run_id)
    assert entry is not None
    return sorted(entry.steps)


async def test_a_run_has_what_changed_since_the_run_before(both: Both) -> None:
    (both.inside / "a").write_text("1")
    both.review.ended("run_1")
    await both.review.settled()
    both.active.append("run_2")
    (both.inside / "a").write_text("2")
    await both.review.settled()
    (both.inside / "new").write_text("made")
    (both.host / "d" / "b").write_text("by the host")
    await both.mirror.flush(both.live)
    both.active.clear()
    both.review.ended("run_2")
    await both.review.settled()
    both.review.ended("run_3")
    await both.review.settled()
    assert steps(both, "run_1") == ["a"] and steps(both, "run_2") == ["a", "new"] and steps(both, "run_3") == []
    assert both.review.history.restorable("run_2")


async def test_it_is_looked_at_when_it_is_quiet_and_only_then(both: Both) -> None:
    both.active.append("run_2")
    both.review.ended("run_1")
    await asyncio.sleep(0.1)
    assert both.review.history.of_run("run_1") is None, "another run goes on"
    both.active.clear()
    while both.review.history.of_run("run_1") is None:  # noqa: ASYNC110 - nobody is told of it
        await asyncio.sleep(0.01)


async def test_what_changed_while_no_engine_was_there_is_no_runs(both: Both) -> None:
    (both.inside / "a").write_text("1")
    both.review.ended("run_1")
    await both.review.settled()
    await both.restart()
    (both.inside / "d" / "b").write_text("in the background")
    await both.review.begin()
    both.review.ended("run_2")
    await both.review.settled()
    assert steps(both, "run_2") == []
    assert both.review.history.entries[1].runs == ("background",) and steps(both, "background") == ["d/b"]


async def test_bases_of_what_came_in_by_itself_are_kept(both: Both) -> None:
    both.review.bases.close()
    both.review.bases.path.unlink()
    (both.host / "data").write_bytes(b"\0")
    await both.review.begin()
    assert both.review.bases.get(both.mirror.state.entries["a"].digest) == SIX.encode()
    assert both.mirror.state.entries["d/b"].digest in both.review.bases


async def test_texts_that_nobody_has_any_more_go(both: Both) -> None:
    for number in range(40):
        (both.host / "a").write_text(f"{number}" * 50_000)
        await both.mirror.flush(both.live)
    before = both.review.bases.size
    both.review._tidy(0)
    assert both.review.bases.size < before / 4
    assert both.mirror.state.entries["a"].digest in both.review.bases


async def test_looks_at_the_same_time_do_not_disturb_one_another(both: Both) -> None:
    for number in range(200):
        (both.inside / f"n{number}").write_text("x")
    lists = [both.review.deltas() for _ in range(4)]
    surveys = [both.review.survey() for _ in range(4)]
    found = await asyncio.gather(*lists, *surveys)
    assert [len(one or ()) for one in found[:4]] == [200] * 4
