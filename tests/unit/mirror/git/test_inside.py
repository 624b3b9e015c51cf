from __future__ import annotations

import os
from pathlib import Path

import pytest

from continue_exec.errors import ContinueExecError
from continue_exec.mirror.git import inside
from continue_exec.protocol.agent import FileStat
from tests.support.inside import DiskInside
from tests.support.repositories import git, repository


async def test_it_reads_what_git_wrote(tmp_path: Path) -> None:
    folder = repository(tmp_path / "r", commits=2)
    git(folder, "branch", "deep/er/one", "HEAD~1")
    git(folder, "tag", "-a", "-m", "t", "t")
    git(folder, "pack-refs", "--all")
    git(folder, "branch", "-f", "deep/er/one", "HEAD")
    git(folder, "branch", "loose")

    found = await inside.look(DiskInside(tmp_path), "/r")

    rows = git(folder, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    assert found.refs == dict(row.split() for row in rows)
    assert (found.there, found.head, found.locked) == (True, "ref: refs/heads/main", False)


async def test_nothing_is_there(tmp_path: Path) -> None:
    found = await inside.look(DiskInside(tmp_path), "/r")

    assert (found.there, found.refs, found.index.kind) == (False, {}, "missing")


async def test_what_it_is_told_may_be_anything(tmp_path: Path) -> None:
    heads = tmp_path / "r/.git/refs/heads"
    heads.mkdir(parents=True)
    (tmp_path / "r/.git/HEAD").write_bytes(b"\xff" * 10_000)
    (tmp_path / "r/.git/packed-refs").write_bytes(b"\xff\n# x\n^" + b"a" * 40 + b"\n" + b"b" * 40 + b" elsewhere\n")
    (heads / "link").symlink_to("/etc/passwd")
    (heads / "loop").symlink_to("..")
    (heads / "text").write_text("x")
    (heads / "x.lock").write_text("a" * 40)
    os.mkfifo(heads / "pipe")

    found = await inside.look(DiskInside(tmp_path), "/r")

    assert found.refs == {}
    assert len(found.head) < 5000


class Liar(DiskInside):
    """Its agent lists what was not asked for, and folders without end."""

    async def list(self, path: str) -> tuple[FileStat, ...]:
        return FileStat(path="/etc/passwd", kind="file"), *(FileStat(path=f"{path}/{n}", kind="dir") for n in range(9))


async def test_a_list_without_end_has_one(tmp_path: Path) -> None:
    found = await inside._walk(Liar(tmp_path), "/r/.git/refs")

    assert len(found) <= inside.MAX_LOOSE
    assert all(entry.path.startswith("/r/.git/refs/") for entry in found)


async def test_a_trace_changes_with_commits_branches_and_tags_only(tmp_path: Path) -> None:
    folder = repository(tmp_path / "r", commits=2)
    box, seen = DiskInside(tmp_path), set()
    for words in (
        "status",
        "branch a/b",
        "tag t",
        "commit -q --allow-empty -m x",
        "checkout -q --detach",
        "pack-refs --all",
    ):
        before = await inside.trace(box, "/r")
        git(folder, *words.split())
        if await inside.trace(box, "/r") != before:
            seen.add(words.split()[0])

    assert seen == {"branch", "tag", "commit", "checkout", "pack-refs"}


async def test_files_are_written_head_last_and_failures_raised(tmp_path: Path) -> None:
    order: list[list[str]] = []

    class Recording(DiskInside):
        async def push(self, root, items):  # type: ignore[no-untyped-def]
            items = list(items)
            order.append([item.entry.path for item in items])
            return await super().push(root, items)

    box = Recording(tmp_path)
    await inside.write(box, "/r", {"HEAD": (b"x", 0), "config": (b"y", 5)}, ("", "refs"))

    assert order == [[".git", ".git/refs", ".git/config"], [".git/HEAD"]]
    assert (tmp_path / "r/.git/config").stat().st_mtime_ns == 5
    await inside.write_file(box, "/root", "a", b"z")
    assert (tmp_path / "root/a").read_bytes() == b"z"
    (tmp_path / "bad").write_text("a file")
    with pytest.raises((ContinueExecError, OSError)):
        await inside.write_file(box, "/bad", "a", b"z")


async def test_refs_are_moved_only_from_where_they_were_seen(tmp_path: Path) -> None:
    folder = repository(tmp_path / "r", commits=2)
    new, old = git(folder, "rev-parse", "HEAD", "HEAD~1").split()
    git(folder, "branch", "a", old)
    box = DiskInside(tmp_path)

    assert await inside.move(box, "/r", {"refs/heads/a": ("", old), "refs/heads/a/b": (new, "")}) == ""
    assert await inside.move(box, "/r", {}) == ""
    said = await inside.move(box, "/r", {"refs/heads/a/b": (old, old), "refs/heads/c": (new, "")})

    assert "a/b" in said
    assert git(folder, "for-each-ref", "--format=%(refname:short)", "refs/heads").split() == ["a/b", "main"]
    assert git(folder, "rev-parse", "a/b") == new
