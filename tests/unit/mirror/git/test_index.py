from __future__ import annotations

import os
from pathlib import Path

import pytest

from continue_exec.mirror.git import index
from tests.support.repositories import git, repository


@pytest.fixture(params=["2", "3", "4", "sha256", "split"])
def work_tree(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A repository whose index has many kinds of entries, in each format."""
    folder = tmp_path / "r"
    folder.mkdir()
    git(folder, "init", "-q", *(["--object-format=sha256"] if request.param == "sha256" else []))
    for number in range(40):
        (folder / f"d{number % 3}").mkdir(exist_ok=True)
        (folder / f"d{number % 3}" / ("n" * number + "é")).write_text(str(number))
    (folder / "link").symlink_to("d0")
    (folder / "run").write_text("x")
    (folder / "run").chmod(0o755)
    git(folder, "add", ".")
    if request.param == "split":
        git(folder, "update-index", "--split-index")
        (folder / "later").write_text("x")
        git(folder, "add", "later")
    elif request.param != "sha256":
        git(folder, "update-index", f"--index-version={request.param}")
        (folder / "intended").write_text("x")
        git(folder, "add", "-N", "intended")
    return folder


def size(folder: Path) -> int:
    return 32 if git(folder, "rev-parse", "--show-object-format") == "sha256" else 20


def listed(folder: Path) -> list[str]:
    return git(folder, "ls-files", "-s", "-z").rstrip("\0").split("\0")


def fitted(folder: Path, *missing: str) -> tuple[bytes, list[str]]:
    data = (folder / ".git/index").read_bytes()
    return index.fit(data, str(folder), size(folder), lambda path: path in missing)


def test_it_reads_what_git_reads(work_tree: Path) -> None:
    data, _ = fitted(work_tree)

    found = [
        f"{one.mode:06o} {one.oid.hex()} {one.stage}\t{os.fsdecode(one.name)}"
        for one in index.entries(data, size(work_tree))
    ]

    assert found == listed(work_tree)


def test_what_is_not_inside_is_skipped_and_the_rest_as_it_was(work_tree: Path) -> None:
    before = (work_tree / ".git/index").read_bytes()

    data, skipped = fitted(work_tree, "run", "link", "not/of/it")

    assert skipped == ["link", "run"]
    assert (work_tree / ".git/index").read_bytes() == before, "the host's own is not written"
    assert {one.name for one in index.entries(data, size(work_tree)) if one.skipped} == {b"link", b"run"}
    for shared in (work_tree / ".git").glob("sharedindex.*"):
        shared.unlink()  # nothing else is needed
    was = listed(work_tree) if not index.is_split(before, size(work_tree)) else None
    (work_tree / ".git/index").write_bytes(data)
    assert was in (None, listed(work_tree))
    assert git(work_tree, "ls-files", "-t", "run", "link") == "S link\nS run"
    assert index.digest(data, size(work_tree)) == index.digest(fitted(work_tree)[0], size(work_tree))


def test_the_digest_is_of_content_not_of_times(tmp_path: Path) -> None:
    folder = repository(tmp_path / "r")
    digests = [index.digest((folder / ".git/index").read_bytes(), 20)]
    for act in (
        lambda: os.utime(folder / "main.py", (1, 1)),
        lambda: (folder / "main.py").write_text("changed, not staged"),
        lambda: git(folder, "add", "main.py"),
        lambda: git(folder, "update-index", "--chmod=+x", "main.py"),
    ):
        act()
        git(folder, "status")
        digests.append(index.digest((folder / ".git/index").read_bytes(), 20))

    assert digests[0] == digests[1] == digests[2]
    assert len(set(digests)) == 3
    assert index.digest(None, 20) == index.digest(b"", 20) == index.EMPTY


@pytest.mark.parametrize(
    "data",
    [b"x", b"DIRC\0\0\0\x05\0\0\0\0", b"DIRC\0\0\0\x02\xff\xff\xff\xff", b"DIRC\0\0\0\x02\0\0\0\x01" + bytes(61),
     b"DIRC\0\0\0\x04\0\0\0\x01" + bytes(62) + b"\xff" * 9],
)  # fmt: skip
def test_what_is_damaged_or_made_up_is_unreadable(data: bytes) -> None:
    with pytest.raises(index.Unreadable):
        index.digest(data, 20)
