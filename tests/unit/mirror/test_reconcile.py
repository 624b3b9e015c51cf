"""What becomes of a host's change where the sandbox changed the same path: through a mirror, on two real folders."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.both_sides import SIX, Both, opened

pytestmark = pytest.mark.may_block("writes small files itself")


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    async with opened(tmp_path) as made:
        yield made


async def flush(both: Both) -> dict[str, str]:
    await both.mirror.flush(both.live)
    return both.mirror.contested


def host(both: Both, text: str, path: str = "a") -> None:
    (both.host / path).write_text(text)


def inside(both: Both, text: str, path: str = "a") -> None:
    (both.inside / path).write_text(text)


async def test_changes_in_different_places_are_merged_inside(both: Both) -> None:
    host(both, SIX.replace("one", "ONE"))
    inside(both, SIX.replace("six", "SIX"))
    assert await flush(both) == {}
    assert (both.inside / "a").read_text() == SIX.replace("one", "ONE").replace("six", "SIX")
    assert (both.host / "a").read_text() == SIX.replace("one", "ONE")
    host(both, SIX.replace("one", "1"))
    assert await flush(both) == {}, "and again, on what was merged"
    assert (both.inside / "a").read_text() == SIX.replace("one", "1").replace("six", "SIX")


async def test_the_same_lines_are_contested_until_one_side_gives_way(both: Both) -> None:
    host(both, SIX.replace("one", "host"))
    inside(both, SIX.replace("one", "inside"))
    assert await flush(both) == {"a": "the same lines were changed on both sides"}
    assert "inside" in (both.inside / "a").read_text() and "host" in (both.host / "a").read_text()
    assert any("a: the same lines" in note for note in (await both.mirror.flush(both.live)).notes)
    inside(both, SIX)
    assert await flush(both) == {}, "the sandbox took its change back"
    assert "host" in (both.inside / "a").read_text()


@pytest.mark.parametrize("data", [b"\0host", b"host"])
async def test_what_is_no_text_or_has_no_base_is_contested(both: Both, data: bytes) -> None:
    if data == b"host":
        both.mirror.blobs = None
    (both.host / "a").write_bytes(data)
    inside(both, "other")
    assert await flush(both) == {"a": "changed on both sides"}
    assert (both.inside / "a").read_text() == "other"


async def test_alike_on_both_sides_is_settled(both: Both) -> None:
    host(both, "same")
    inside(both, "same")
    os.symlink("x", both.host / "new")
    os.symlink("x", both.inside / "new")
    assert await flush(both) == {}
    host(both, "news")
    assert await flush(both) == {} and (both.inside / "a").read_text() == "news"


async def test_only_touched_inside_is_no_change(both: Both) -> None:
    os.utime(both.inside / "a")
    host(both, "news")
    assert await flush(both) == {} and (both.inside / "a").read_text() == "news"


async def test_deletions(both: Both) -> None:
    (both.host / "a").unlink()
    inside(both, "mine")
    (both.inside / "d" / "b").unlink()
    host(both, "changed", "d/b")
    found = await flush(both)
    assert found == {
        "a": "deleted on the host, changed in the sandbox",
        "d/b": "changed on the host, deleted in the sandbox",
    }
    assert (both.inside / "a").read_text() == "mine" and not (both.inside / "d" / "b").exists()
    (both.host / "d" / "b").unlink()
    (both.inside / "a").unlink()
    await both.review.survey()
    assert await flush(both) == {}, "gone on both sides"


async def test_made_on_both_sides(both: Both) -> None:
    host(both, "host", "new")
    inside(both, "inside", "new")
    assert await flush(both) == {"new": "made on both sides, not alike"}


async def test_other_kinds(both: Both) -> None:
    host(both, "news")
    (both.inside / "a").unlink()
    (both.inside / "a").mkdir()
    (both.inside / "a" / "own").write_text("own")
    assert await flush(both) == {"a": "changed on both sides"}
    assert (both.inside / "a" / "own").read_text() == "own"


async def test_a_file_in_place_of_a_folder_with_the_sandboxs_own(both: Both) -> None:
    inside(both, "own", "d/own")
    (both.host / "d" / "b").unlink()
    (both.host / "d").rmdir()
    host(both, "file", "d")
    assert "d" in await flush(both)
    assert (both.inside / "d" / "own").read_text() == "own"


async def test_a_mode_of_the_sandbox_stays_with_the_hosts_text(both: Both) -> None:
    (both.inside / "a").chmod(0o755)
    host(both, "news")
    assert await flush(both) == {}
    assert (both.inside / "a").read_text() == "news" and (both.inside / "a").stat().st_mode & 0o777 == 0o755
    (change,) = await both.list()
    assert (change.path, change.old_mode, change.mode) == ("a", 0o644, 0o755)


async def test_a_mode_of_the_host_comes_with_the_sandboxs_text(both: Both) -> None:
    inside(both, "mine")
    (both.host / "a").chmod(0o755)
    assert await flush(both) == {}
    assert (both.inside / "a").read_text() == "mine" and (both.inside / "a").stat().st_mode & 0o777 == 0o755


async def test_a_chmod_inside_is_not_deleted_unseen(both: Both) -> None:
    (both.inside / "a").chmod(0o755)
    (both.host / "a").unlink()
    assert await flush(both) == {"a": "deleted on the host, changed in the sandbox"}


async def test_what_was_sent_before_a_crash_is_no_change_of_the_sandboxs(both: Both) -> None:
    host(both, "sent")
    target = both.agent.agent  # type: ignore[attr-defined]
    push = target.push

    async def dies(root: str, items: object) -> object:
        await push(root, items)
        raise ConnectionError

    target.push = dies
    with pytest.raises(ConnectionError):
        await both.mirror.flush(both.live)
    target.push = push
    await both.restart(killed=True)
    host(both, "later")
    assert await flush(both) == {} and (both.inside / "a").read_text() == "later"


async def test_without_a_look_inside_everything_stays_contested(both: Both) -> None:
    both.mirror.inside = None
    inside(both, "mine")
    host(both, "news")
    assert await flush(both) == {"a": "changed on both sides"}


async def test_hundreds_at_once(both: Both) -> None:
    for number in range(700):
        host(both, "host", f"d/n{number}")
        inside(both, "host" if number % 2 else "inside", f"d/n{number}")
    found = await flush(both)
    assert len(found) == 350
    notes = (await both.mirror.flush(both.live)).notes
    assert notes[-1] == "and 340 more"
