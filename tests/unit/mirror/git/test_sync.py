from __future__ import annotations

import os

from tests.support.repositories import commit

from .conftest import World


async def test_a_repository_is_made_and_then_left_alone(world: World) -> None:
    world.host("tag", "v1")

    assert await world.bring() == ()
    assert world.boxed("status", "--porcelain=v1", "--branch") == "## main"
    assert world.boxed("for-each-ref") == world.host("for-each-ref")
    assert world.boxed("fsck") == ""
    old = (1, 1)
    for path in world.folder.rglob("*"):
        os.utime(path, old, follow_symlinks=False)
    await world.bring()
    pushes, commands = world.inside.pushes, len(world.inside.commands)

    for _ in range(3):
        await world.bring()

    assert (world.inside.pushes, len(world.inside.commands)) == (pushes, commands), "nothing changed, nothing is asked"


async def test_moves_of_the_host_follow(world: World) -> None:
    await world.bring()
    world.host("switch", "-q", "-c", "feature")
    made = commit(world.folder, "more")
    world.host("tag", "t")

    await world.bring()

    assert world.boxed("rev-parse", "HEAD", "refs/tags/t", "feature") == "\n".join([made] * 3)
    assert world.boxed("status", "--porcelain=v1", "--branch") == "## feature"
    world.host("switch", "-q", "main")
    world.host("branch", "-D", "feature")
    await world.bring()
    assert world.boxed("branch", "--format=%(refname)") == "refs/heads/main"


async def test_what_the_sandbox_moved_is_kept_and_the_hosts_is_beside_it(world: World) -> None:
    await world.bring()
    own = commit(world.box, "own")
    theirs = commit(world.folder, "theirs")

    (note,) = await world.bring()

    assert "both sides moved main" in note
    assert world.boxed("rev-parse", "main", "host/main") == f"{own}\n{theirs}"


async def test_a_lost_memory_counts_as_both_moved(world: World) -> None:
    await world.bring()
    own = commit(world.box, "own")
    (world.base / "memory").unlink()
    world.open()
    theirs = commit(world.folder, "theirs")

    await world.bring()

    assert world.boxed("rev-parse", "main", "host/main") == f"{own}\n{theirs}"


async def test_an_unfinished_repository_is_made_again(world: World) -> None:
    await world.bring()
    (world.box / ".git/HEAD").unlink()
    (world.base / "memory").unlink()
    world.open()

    assert await world.bring() == ()
    assert world.boxed("status", "--porcelain=v1", "--branch") == "## main"


async def test_a_git_that_was_removed_or_made_inside_is_left_so(world: World) -> None:
    world.box.mkdir(parents=True)
    world.boxed("init", "-q")
    assert "of its own" in (await world.bring())[0]

    (world.box / ".git/HEAD").unlink()
    world.host("tag", "older")
    await world.bring()
    assert world.boxed("tag") == "older"
    (world.box / ".git/HEAD").unlink()
    world.host("tag", "news")
    assert "removed inside" in (await world.bring())[0]
    assert not (world.box / ".git/HEAD").exists()


async def test_a_locked_index_is_waited_for(world: World) -> None:
    await world.bring()
    (world.box / ".git/index.lock").write_text("")
    made = commit(world.folder, "more")

    assert "at work" in (await world.bring())[0]
    (world.box / ".git/index.lock").unlink()
    assert await world.bring() == ()
    assert world.boxed("rev-parse", "HEAD") == made


async def test_a_tracked_file_that_stays_out_is_skipped_until_it_comes_in(world: World) -> None:
    commit(world.folder, "secret")
    world.out = {"secret"}

    await world.bring()
    assert world.boxed("status", "--porcelain=v1") == ""
    assert world.boxed("ls-files", "-t", "secret") == "S secret"
    world.out = set()
    await world.bring()
    assert world.boxed("ls-files", "-t", "secret") == "H secret"


async def test_settings_that_the_sandbox_changed_stay(world: World) -> None:
    await world.bring()
    world.host("remote", "add", "origin", "https://example.com/1")
    await world.bring()
    assert world.boxed("config", "remote.origin.url") == "https://example.com/1"

    world.boxed("config", "user.name", "Somebody Inside")
    world.host("remote", "set-url", "origin", "https://example.com/2")
    await world.bring()
    assert world.boxed("config", "user.name") == "Somebody Inside"


async def test_a_workspace_that_is_a_part_of_a_work_tree_has_none(world: World) -> None:
    world.sync.workspace = str(world.folder / "sub")

    assert "only a part" in (await world.sync.bring_in(world.inside))[0]
    assert not (world.box / ".git").exists()


async def test_without_git_inside_it_says_so(world: World) -> None:
    await world.bring()
    world.inside.git = "no-such-git"
    world.host("tag", "news")

    assert "could not be moved" in (await world.bring())[0]
