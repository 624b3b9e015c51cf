from __future__ import annotations

import os
from pathlib import Path

import pytest

from continue_exec.mirror.changes import ABSENT, Delta, HostSide, Inside, Version, base_of, compare
from continue_exec.mirror.filter import Filter, IgnoreRules
from continue_exec.mirror.folder import SafeFolder
from continue_exec.mirror.state import Seen, digest


class Sides:
    """Two folders, and what is known of them."""

    def __init__(self, base: Path) -> None:
        self.host, self.inside = base / "host", base / "inside"
        self.host.mkdir()
        self.inside.mkdir()
        self.entries: dict[str, Seen] = {}
        self.look = Inside(SafeFolder(self.inside))
        self.buffers: dict[str, tuple[bytes, int]] = {}

    def mirrored(self, path: str, text: str = "text") -> None:
        for side in (self.host, self.inside):
            (side / path).parent.mkdir(parents=True, exist_ok=True)
            (side / path).write_text(text)
        host, inside = (self.host / path).stat(), (self.inside / path).stat()
        self.entries[path] = Seen(
            "f", 0o644, len(text), host.st_mtime_ns, host.st_ctime_ns, host.st_ino, inside.st_mtime_ns,
            digest(text.encode()),
        )  # fmt: skip
        for parent in [str(parent) for parent in Path(path).parents][:-1]:
            self.entries[parent] = Seen("d", 0o755)

    def deltas(self, *only: str) -> dict[str, Delta]:
        found = self.look.scan(Filter(str(self.host), IgnoreRules()))
        host = HostSide(SafeFolder(self.host), self.buffers)
        return {delta.path: delta for delta in compare(found, self.entries, self.look, host, only)}


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    made = Sides(tmp_path)
    made.mirrored("a")
    made.mirrored("d/e/f")
    return made


def test_alike_is_nothing(sides: Sides) -> None:
    assert sides.deltas() == {}
    os.utime(sides.inside / "a")
    assert sides.deltas() == {}, "touched is not changed"


def test_what_the_sandbox_did(sides: Sides) -> None:
    (sides.inside / "a").write_text("new")
    (sides.inside / "d/e/f").unlink()
    (sides.inside / "d/link").symlink_to("e")
    (sides.inside / ".env").write_text("made inside")
    found = sides.deltas()
    assert sorted(found) == [".env", "a", "d/e/f", "d/link"]
    assert found["a"].inside == Version("f", 0o644, digest(b"new"), 3) and not found["a"].both
    assert found["d/e/f"].inside == ABSENT and found["d/link"].inside.kind == "l" and found[".env"].secret
    assert sorted(sides.deltas("d")) == ["d/e/f", "d/link"] and sorted(sides.deltas("a")) == ["a"]


def test_a_mode_alone(sides: Sides) -> None:
    (sides.inside / "a").chmod(0o755)
    (sides.inside / "d").chmod(0o700)
    found = sides.deltas()
    assert found["a"].inside.mode == 0o755 and found["d"].inside == Version("d", 0o700)


def test_what_only_the_host_did_is_no_change(sides: Sides) -> None:
    (sides.host / "a").write_text("host")
    assert sides.deltas() == {}


def test_both_did(sides: Sides) -> None:
    (sides.inside / "a").write_text("inside")
    one = sides.deltas()["a"]
    (sides.host / "a").write_text("host")
    both = sides.deltas()["a"]
    assert both.both and both.version != one.version, "another content has another name"
    (sides.host / "a").write_text("inside")
    assert sides.deltas() == {}, "the same on both sides"
    sides.buffers["a"] = b"unsaved", 1
    assert sides.deltas()["a"].host.digest == digest(b"unsaved"), "an editor's text stands for the file"


def test_folders_that_come_or_go_with_what_is_in_them_are_not_told(sides: Sides) -> None:
    (sides.inside / "new/deep").mkdir(parents=True)
    assert sorted(sides.deltas()) == ["new/deep"], "an empty one is"
    (sides.inside / "new/deep/f").write_text("")
    assert sorted(sides.deltas()) == ["new/deep/f"]
    (sides.inside / "d/e/f").unlink()
    (sides.inside / "d/e").rmdir()
    (sides.inside / "d").rmdir()
    assert sorted(sides.deltas()) == ["d/e/f", "new/deep/f"]


def test_nothing_is_read_twice(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    (sides.inside / "a").write_text("new")
    read: list[str] = []
    real = SafeFolder.digest

    def counting(self: SafeFolder, rel: str, kind: str) -> bytes:
        read.append(rel)
        return real(self, rel, kind)

    monkeypatch.setattr(SafeFolder, "digest", counting)
    sides.deltas()
    sides.deltas()
    assert read == ["a"], "what is as it was mirrored is not read, and what was hashed is known"
    (sides.inside / "a").unlink()
    sides.deltas()
    (sides.inside / "a").write_text("NEW")
    sides.deltas()
    assert read == ["a", "a"]


def test_other_things_than_files(sides: Sides) -> None:
    os.mkfifo(sides.inside / "pipe")
    assert sides.deltas()["pipe"].inside.kind == "o"


def test_what_was_mirrored() -> None:
    assert base_of(None) == ABSENT
    assert base_of(Seen("l", 0o777, 4, digest=digest(b"x"))) == Version("l", 0, digest(b"x"), 0)
    assert base_of(Seen("d", 0o755)) == Version("d", 0o755)
