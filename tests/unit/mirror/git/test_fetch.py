from __future__ import annotations

import pytest

from continue_exec.mirror.git import fetch
from continue_exec.mirror.git.inside import State
from continue_exec.mirror.git.memory import Known
from continue_exec.mirror.git.merge import View
from continue_exec.protocol.agent import FileStat
from tests.support.repositories import commit

from .conftest import World

A, B, C = "a" * 40, "b" * 40, "c" * 40


def state(refs: dict[str, str], head: str = "ref: refs/heads/main") -> State:
    return State(True, refs, head, FileStat(path="", kind="missing"), False, b"")


def test_only_what_the_sandbox_moved_comes_home() -> None:
    known = Known(base=View({"refs/heads/main": A, "refs/heads/old": A}, "ref: refs/heads/main", ""))
    inside = state(
        {"refs/heads/main": B, "refs/heads/old": A, "refs/heads/same": C, "refs/tags/t": B, "refs/remotes/o/x": B}
    )

    found = fetch.choose(inside, known, {"refs/heads/old": C, "refs/heads/same": C}, "sb_1")

    assert found.wanted == {"refs/heads/main": B, "refs/tags/t": B}
    assert found.notes == []


def test_a_detached_head_comes_home_unless_the_host_has_it() -> None:
    assert fetch.choose(state({}, A), Known(), {}, "sb_1").wanted == {"HEAD": A}
    assert fetch.choose(state({}, A), Known(), {"refs/heads/main": A}, "sb_1").wanted == {}


@pytest.mark.parametrize("there", ["refs/continue-exec/sb_1/a", "refs/continue-exec/sb_1/a/b/c"])
def test_a_ref_in_the_way_is_named(there: str) -> None:
    found = fetch.choose(state({"refs/heads/a/b": A}), Known(), {there: A}, "sb_1")

    assert found.wanted == {}
    assert f"git update-ref -d {there}" in found.notes[0]


async def test_commits_come_home_once(world: World) -> None:
    await world.bring()
    assert (await world.home.fetch(world.inside)).refs == ()
    assert not await world.home.changed(world.inside)
    made = commit(world.box, "own", message="made inside")
    assert await world.home.changed(world.inside)

    (ref,) = (await world.home.fetch(world.inside)).refs

    assert (ref.host_name, ref.commit, ref.old_commit, ref.subject) == (
        "refs/continue-exec/sb_1/main", made, "", "made inside"
    )  # fmt: skip
    assert world.host("rev-parse", ref.host_name) == made
    assert not await world.home.changed(world.inside)
    asked = len(world.inside.commands)
    (again,) = (await world.home.fetch(world.inside)).refs
    assert (again.old_commit, len(world.inside.commands)) == (made, asked), "it is there: no pack is made"
    assert list((world.base / "scratch").iterdir()) == []


@pytest.mark.parametrize("name", ["refs/continue-exec", "logs", "logs/refs"])
async def test_nothing_is_written_where_a_link_of_the_hosts_leads_out(world: World, name: str) -> None:
    await world.bring()
    commit(world.box, "own")
    outside, link = world.base / "outside", world.folder / ".git" / name
    outside.mkdir()
    if link.exists():
        link.rename(link.with_name("moved"))
    link.symlink_to(outside)

    answer = await world.home.fetch(world.inside)

    assert answer.refs == () and "leads out" in answer.notes[0]
    assert list(outside.iterdir()) == []


async def test_a_sandbox_without_git_says_so(world: World) -> None:
    await world.bring()
    commit(world.box, "own")
    world.inside.git = "no-such-git"

    answer = await world.home.fetch(world.inside)

    assert answer.refs == () and "nothing came home" in answer.notes[0]
