from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from continue_exec.engine import changes
from continue_exec.errors import InvalidRequest, NotFound, NotSupported
from continue_exec.protocol import changes as c
from tests.support.both_sides import SIX, Both, opened

pytestmark = pytest.mark.may_block("writes small files itself")


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    async with opened(tmp_path) as made:
        yield made


def codes(done: c.ChangesApplied) -> dict[str, str]:
    return {one.path: one.code for one in done.left}


async def test_the_list(both: Both) -> None:
    (both.inside / "a").write_text(SIX.replace("two", "2"))
    (both.inside / "d" / "b").rename(both.inside / "moved")
    found = {change.path: change for change in await both.list(hunks=True)}
    assert sorted(found) == ["a", "moved"]
    assert (found["a"].insertions, found["a"].deletions, found["a"].kind) == (1, 1, "modified")
    (hunk,) = found["a"].hunks
    assert (hunk.old_start, hunk.old_text, hunk.new_text) == (2, "two\n", "2\n")
    assert (found["moved"].kind, found["moved"].old_path) == ("renamed", "d/b")
    assert [change.path for change in await both.list(paths=("a",))] == ["a"]
    with pytest.raises(NotFound):
        await both.list(run_id="run_never")


async def test_taking_all(both: Both) -> None:
    (both.inside / "a").write_text("new")
    (both.inside / ".envrc").write_text("rm -rf /")
    (both.inside / "out").symlink_to("/etc/passwd")
    done = await both.apply(all=True, dry_run=True)
    assert done.applied == ("a",) and (both.host / "a").read_text() == SIX
    done = await both.apply(all=True)
    assert done.applied == ("a",) and codes(done) == {".envrc": "refused", "out": "refused"}
    assert (both.host / "a").read_text() == "new" and not (both.host / ".envrc").exists()
    done = await both.apply(".envrc", yes=(".envrc",))
    assert done.applied == (".envrc",)
    assert [change.path for change in await both.list()] == ["out"]


async def test_by_name(both: Both) -> None:
    (both.inside / "d" / "b").write_text("1")
    (both.inside / "d" / "c").write_text("2")
    (both.inside / "a").rename(both.inside / "z")
    done = await both.apply("d", "never", "a")
    assert sorted(done.applied) == ["d/b", "d/c", "z"] and codes(done) == {"never": "not_found"}
    assert not (both.host / "a").exists(), "a rename is found by its old name as well"
    with pytest.raises(InvalidRequest):
        await both.apply()


async def test_only_as_it_was_looked_at(both: Both) -> None:
    (both.inside / "a").write_text("looked at")
    (change,) = await both.list()
    (both.inside / "a").write_text("changed since")
    pick = c.Pick(path="a", version=change.version)
    assert codes(await both.apply(picks=(pick,))) == {"a": "conflict"}
    assert codes(await both.discard(picks=(pick,))) == {"a": "conflict"}
    assert (both.host / "a").read_text() == SIX and (both.inside / "a").read_text() == "changed since"


async def test_conflicts_need_a_word(both: Both) -> None:
    (both.host / "a").write_text(SIX.replace("one", "host"))
    (both.inside / "a").write_text(SIX.replace("one", "inside"))
    (change,) = await both.list()
    assert change.conflict == "the same lines were changed on both sides"
    assert codes(await both.apply(all=True)) == {"a": "conflict"}
    assert codes(await both.apply("a")) == {"a": "conflict"}
    assert codes(await both.discard(all=True)) == {"a": "conflict"}
    done = await both.apply(picks=(c.Pick(path="a", take=c.Side.MERGED),))
    assert done.applied == ("a",)
    assert (both.host / "a").read_text() == (both.inside / "a").read_text()
    assert "<<<<<<< host\nhost\n=======\ninside\n>>>>>>> sandbox\n" in (both.host / "a").read_text()
    assert await both.list() == [] and both.mirror.contested == {}


async def test_a_conflict_can_be_decided_either_way(both: Both) -> None:
    for text, act in (("inside", both.apply), ("host", both.discard)):
        (both.host / "a").write_text(SIX.replace("one", f"host {act}"))
        (both.inside / "a").write_text(SIX.replace("one", f"inside {act}"))
        (change,) = await both.list()
        done = await act(picks=(c.Pick(path="a", version=change.version),))
        assert done.applied == ("a",) and done.left == ()
        assert text in (both.host / "a").read_text() and text in (both.inside / "a").read_text()
        assert both.mirror.contested == {}


async def test_an_unsaved_text_is_not_written_under(both: Both) -> None:
    both.mirror.set_buffers("editor", {"a": "unsaved"})
    await both.mirror.flush(both.live)
    (both.inside / "a").write_text("inside")
    assert codes(await both.apply("a")) == {"a": "conflict"}
    (proposal,) = (await changes.propose(both.live, c.ChangesApply(workspace=both.ref, all=True))).proposals
    assert proposal.text == "inside", "an editor can do it"


async def test_hunks(both: Both) -> None:
    (both.inside / "a").write_text(SIX.replace("two", "2").replace("five", "5"))
    (change,) = await both.list(hunks=True)
    first, second = (hunk.id for hunk in change.hunks)
    assert codes(await both.apply(picks=(c.Pick(path="a", hunks=("nothing",)),))) == {"a": "not_found"}
    await both.apply(picks=(c.Pick(path="a", hunks=(first,)),))
    assert (both.host / "a").read_text() == SIX.replace("two", "2")
    (change,) = await both.list(hunks=True)
    assert [hunk.id for hunk in change.hunks] == [second]
    await both.discard(picks=(c.Pick(path="a", hunks=(second,)),))
    assert (both.inside / "a").read_text() == SIX.replace("two", "2") and await both.list() == []


async def test_contents_of_all_sides(both: Both) -> None:
    (both.host / "a").write_text(SIX.replace("one", "host"))
    (both.inside / "a").write_text(SIX.replace("one", "inside"))

    async def content(side: c.Side, path: str = "a") -> c.Content:
        return await changes.content(both.live, c.ContentQuery(workspace=both.ref, path=path, side=side))

    for side, word in ((c.Side.HOST, "host"), (c.Side.SANDBOX, "inside"), (c.Side.BASE, "one"), (c.Side.MERGED, "<<<")):
        assert word in ((await content(side)).text or "")
    assert not (await content(c.Side.SANDBOX, "never")).exists
    assert (await content(c.Side.SANDBOX, "link")).target == "a"
    with pytest.raises(NotFound):
        await content(c.Side.MERGED, "d/b")


async def test_going_back(both: Both) -> None:
    for number in (1, 2):
        (both.inside / "a").write_text(f"run {number}")
        (both.inside / f"made{number}").write_text("made")
        both.review.ended(f"run_{number}")
        await both.review.settled()
    of = await changes.of_run(both.live, "run_2")
    assert {one.path: one.kind for one in of.changes} == {"a": "modified", "made2": "added"} and of.restorable
    assert sorted((await both.rewind("run_2")).applied) == ["a", "made2"]
    assert (both.inside / "a").read_text() == "run 1" and not (both.inside / "made2").exists()
    await both.rewind("run_1")
    assert (both.inside / "a").read_text() == SIX and await both.list() == []
    with pytest.raises(NotFound):
        await both.rewind("run_never")
    assert (await changes.of_run(both.live, "run_never")).changes == ()


async def test_what_was_thrown_away_comes_back(both: Both) -> None:
    (both.inside / "a").write_text("mine")
    await both.discard("a")
    name = both.review.history.entries[-1].runs[0]
    assert name.startswith("discard_") and (both.inside / "a").read_text() == SIX
    await both.rewind(name)
    assert (both.inside / "a").read_text() == "mine"


async def test_a_driver_without_a_copy_has_no_review(both: Both) -> None:
    both.live.review = None
    with pytest.raises(NotSupported):
        await both.list()
