from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from continue_exec.engine import changes_home
from continue_exec.errors import Conflict, NotSupported
from continue_exec.mirror.changes import Delta
from continue_exec.protocol import changes as c
from tests.support.both_sides import SIX, Both, opened
from tests.support.mirror_target import tree

pytestmark = pytest.mark.may_block("writes small files itself")


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    async with opened(tmp_path) as made:
        yield made


async def looked_at(both: Both) -> tuple[c.Change, list[Delta]]:
    (change,) = await both.list(hunks=True)
    deltas = {delta.path: delta for delta in await both.review.deltas()}
    return change, [deltas[path] for path in (change.path, change.old_path) if path]


async def test_every_kind_comes_home_and_nothing_is_sent_back(both: Both) -> None:
    (both.inside / "a").write_text("new")
    (both.inside / "a").chmod(0o755)
    (both.inside / "d" / "b").unlink()
    (both.inside / "d").rmdir()
    (both.inside / "d").write_text("a file in its place")
    (both.inside / "link").unlink()
    (both.inside / "link").symlink_to("d")
    (both.inside / "deep" / "er").mkdir(parents=True)
    (both.inside / "deep" / "er" / "f").write_text("f")
    (both.inside / "empty").mkdir(mode=0o700)
    pushes = len(both.agent.agent.pushes)  # type: ignore[attr-defined]
    done = await both.apply(all=True)
    assert done.left == () and tree(both.host) == tree(both.inside)
    sent = [entry.path for push in both.agent.agent.pushes[pushes:] for entry in push]  # type: ignore[attr-defined]
    assert "a" not in sent and "deep/er/f" not in sent, "what came from there is known to be there"
    assert await both.list() == [] and both.mirror.contested == {}


async def test_a_rename_moves_the_hosts_file(both: Both) -> None:
    (both.inside / "d" / "b").rename(both.inside / "moved")
    await both.apply("moved")
    assert tree(both.host) == tree(both.inside) and not (both.host / "d" / "b").exists()


async def test_neither_side_may_change_in_between(both: Both) -> None:
    (both.inside / "a").write_text("reviewed")
    change, deltas = await looked_at(both)
    (both.inside / "a").write_text("swapped")
    with pytest.raises(Conflict):
        changes_home.bring(both.review, change, c.Pick(path="a"), deltas)
    (both.inside / "a").write_text("reviewed")
    (both.host / "a").write_text("saved meanwhile")
    with pytest.raises(Conflict):
        changes_home.bring(both.review, change, c.Pick(path="a"), deltas)
    assert (both.host / "a").read_text() == "saved meanwhile"
    assert not list(both.host.glob(".continue-exec-*"))


async def test_the_hosts_mode_stays_unless_the_sandbox_changed_it(both: Both) -> None:
    (both.host / "a").chmod(0o600)
    (both.inside / "a").write_text("new")
    change, deltas = await looked_at(both)
    changes_home.bring(both.review, change, c.Pick(path="a"), deltas)
    assert (both.host / "a").stat().st_mode & 0o777 == 0o600


async def test_one_that_fails_stops_no_other(both: Both) -> None:
    (both.inside / "a").write_text("new")
    (both.inside / "d" / "b").write_text("new")
    deltas = {delta.path: [delta] for delta in await both.review.deltas()}
    picked = [(change, c.Pick(path=change.path), deltas[change.path]) for change in await both.list()]
    (both.host / "a").write_text("meanwhile")
    first, second = changes_home.bring_all(both.review, picked)
    assert isinstance(first, Conflict) and isinstance(second, changes_home.Brought)
    assert (both.host / "d" / "b").read_text() == "new" and both.review.home.journal.read() is None


async def test_hunks_of_a_rename_cannot_be_taken(both: Both) -> None:
    (both.inside / "a").rename(both.inside / "z")
    change, deltas = await looked_at(both)
    with pytest.raises(NotSupported):
        changes_home.bring(both.review, change, c.Pick(path="z", hunks=()), deltas)
    assert (both.host / "a").read_text() == SIX


async def test_what_came_home_can_be_merged_with_later(both: Both) -> None:
    (both.inside / "a").write_text(SIX + "seven\n")
    await both.apply("a")
    (both.inside / "a").write_text(SIX + "SEVEN\n")
    (both.host / "a").write_text("zero\n" + SIX + "seven\n")
    await both.mirror.flush(both.live)
    assert both.mirror.contested == {} and (both.inside / "a").read_text() == "zero\n" + SIX + "SEVEN\n"
