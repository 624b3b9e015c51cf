from __future__ import annotations

import subprocess
import zlib
from hashlib import sha1
from pathlib import Path

import pytest

from continue_exec.mirror.git import host, pack
from tests.support.repositories import commit, git, repository


class Sides:
    """A host, and a clone that stands for the sandbox."""

    def __init__(self, base: Path) -> None:
        self.folder = repository(base / "host", commits=2)
        git(base, "clone", "-q", str(self.folder), "box")
        self.box, self.base = base / "box", base
        self.place = host.locate(str(self.folder), str(self.folder))
        self.tip = git(self.folder, "rev-parse", "HEAD")

    def packed(self, *lines: str, revs: bool = True) -> Path:
        words = ["pack-objects", "--stdout", "-q", *(["--revs", "--thin"] if revs else [])]
        text = "".join(f"{line}\n" for line in lines).encode()
        made = subprocess.run(["git", *words], cwd=self.box, input=text, capture_output=True, check=True)
        (self.base / "pack").write_bytes(made.stdout)
        return self.base / "pack"

    def take(self, path: Path, wanted: str) -> None:
        pack.take(self.place, path, {"refs/heads/x": wanted}, [self.tip, "f" * 40], 20)

    def objects(self) -> set[str]:
        return {str(path) for path in (self.folder / ".git/objects").rglob("*") if path.is_file()}


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    return Sides(tmp_path)


@pytest.mark.parametrize("commits", [1, 60])
def test_a_sound_pack_is_taken_few_objects_as_files(sides: Sides, commits: int) -> None:
    for number in range(commits):
        made = commit(sides.box, "x", f"{number}\n")

    sides.take(sides.packed(made, f"^{sides.tip}"), made)

    assert git(sides.folder, "rev-list", "--count", f"{sides.tip}..{made}") == str(commits)
    assert git(sides.folder, "fsck", "--strict", "--no-dangling") == ""
    assert len(list((sides.folder / ".git/objects/pack").glob("*.pack"))) == (commits > 1)
    assert [path.name for path in sides.base.iterdir() if path.name.startswith("quarantine")] == []


def test_a_pack_of_nothing_will_do_if_the_host_has_it_all(sides: Sides) -> None:
    sides.take(sides.packed(f"^{sides.tip}"), git(sides.folder, "rev-parse", "HEAD~1"))


def test_history_with_a_gap_is_refused(sides: Sides) -> None:
    commit(sides.box, "x", "1\n")
    between = git(sides.box, "rev-parse", "HEAD")
    made = commit(sides.box, "x", "2\n")
    before = sides.objects()

    with pytest.raises(pack.Refused):
        sides.take(sides.packed(made, f"^{between}"), made)
    with pytest.raises(pack.Refused):
        sides.take(sides.packed(made, revs=False), made)

    assert sides.objects() == before


def test_what_is_no_commit_or_not_there_is_refused(sides: Sides) -> None:
    made = commit(sides.box, "x", "1\n")
    path = sides.packed(made, f"^{sides.tip}")

    with pytest.raises(pack.Refused, match="no commit"):
        sides.take(path, git(sides.box, "rev-parse", "HEAD^{tree}"))
    with pytest.raises(pack.Refused, match="no commit"):
        sides.take(path, "e" * 40)


@pytest.mark.parametrize(
    "data", [b"", b"PACK", b"x" * 100, b"PACK\0\0\0\2\xff\xff\xff\xff", b"PACK\0\0\0\2\0\0\0\1" + b"x" * 40]
)
def test_what_is_no_pack_is_refused(sides: Sides, data: bytes) -> None:
    (sides.base / "pack").write_bytes(data)
    before = sides.objects()

    with pytest.raises(pack.Refused):
        sides.take(sides.base / "pack", sides.tip)

    assert sides.objects() == before


def test_a_pack_that_swells_meets_a_limit(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    """One blob of 600 MB of zeros, 600 kB packed; the limit is 400 MB here, to be quick."""
    size = 600 << 20
    squeezed = zlib.compressobj(1)
    body = b"".join(squeezed.compress(bytes(1 << 20)) for _ in range(size >> 20)) + squeezed.flush()
    head, rest = bytes([0x80 | 3 << 4 | size & 15]), size >> 4
    while rest >= 128:
        head, rest = head + bytes([0x80 | rest & 127]), rest >> 7
    data = b"PACK\0\0\0\2\0\0\0\1" + head + bytes([rest]) + body
    (sides.base / "pack").write_bytes(data + sha1(data).digest())
    before = sides.objects()
    monkeypatch.setattr(pack, "LIMITS", (60, 400 << 10, 8 << 20))

    with pytest.raises(pack.Refused, match=r"[Oo]ut of memory|malloc"):
        sides.take(sides.base / "pack", sides.tip)

    assert sides.objects() == before


def test_nothing_is_written_where_a_link_of_the_hosts_leads_out(sides: Sides) -> None:
    made = commit(sides.box, "x")
    outside, link = sides.base / "outside", sides.folder / ".git/objects" / made[:2]
    outside.mkdir()
    if link.exists():
        link.rename(sides.base / "moved")
    link.symlink_to(outside)

    with pytest.raises(pack.Refused, match="is a link"):
        sides.take(sides.packed(made, f"^{sides.tip}"), made)

    assert list(outside.iterdir()) == []


def test_folders_with_odd_names(tmp_path: Path) -> None:
    base = tmp_path / 'a "quoted"\\one:é'
    base.mkdir()
    sides = Sides(base)
    made = commit(sides.box, "x")

    sides.take(sides.packed(made, f"^{sides.tip}"), made)

    assert git(sides.folder, "cat-file", "-t", made) == "commit"
