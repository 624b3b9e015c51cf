from __future__ import annotations

import os
from pathlib import Path

import pytest

from continue_exec.mirror import batch
from continue_exec.mirror.batch import Batch, Reader
from continue_exec.mirror.filter import Filter, IgnoreRules
from continue_exec.mirror.plan import Plan
from continue_exec.mirror.state import MirrorState, Seen, digest
from continue_exec.mirror.walk import LeftOut


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "host").mkdir()
    return tmp_path / "host"


@pytest.fixture
def reader(host: Path, tmp_path: Path) -> Reader:
    return Reader(str(host), Filter(str(host), IgnoreRules()), MirrorState(tmp_path / "state"), LeftOut())


def read(reader: Reader, host: Path, *names: str, **texts: bytes) -> list[Batch]:
    plan = Plan(files=[(name, (host / name).lstat()) for name in names])
    return list(reader.batches(plan, {name: (text, 7) for name, text in texts.items()}))


def test_bytes_and_what_is_remembered(reader: Reader, host: Path) -> None:
    (host / "f").write_bytes(b"data")
    (host / "f").chmod(0o4755)
    (host / "l").symlink_to("f")
    (only,) = read(reader, host, "f", "l")
    file, link = only.items
    assert (file.entry.kind, file.entry.mode, file.entry.size, file.data) == ("file", 0o755, 4, b"data")
    assert (link.entry.kind, link.entry.target, link.data) == ("symlink", "f", None)
    seen = only.seen["f"]
    assert seen is not None and seen.digest == digest(b"data") and seen.ctime_ns == 0  # too young to be trusted
    reader.state.entries.update({path: seen for path, seen in only.seen.items() if seen})
    assert not any(found.items for found in read(reader, host, "f", "l"))


def test_batches_are_bounded(reader: Reader, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "BATCH_ITEMS", 3)
    monkeypatch.setattr(batch, "BATCH_BYTES", 100)
    for number in range(10):
        (host / f"{number}").write_bytes(b"x" * (60 if number < 4 else 1))
    found = read(reader, host, *map(str, range(10)))
    assert [len(each.items) for each in found] == [2, 2, 3, 3]


def test_files_that_changed_meanwhile_are_looked_at_again(reader: Reader, host: Path) -> None:
    for name in ("gone", "pipe", "link"):
        (host / name).write_text("x")
    plan = Plan(files=[(name, (host / name).lstat()) for name in ("gone", "pipe", "link")])
    for name in ("gone", "pipe", "link"):
        (host / name).unlink()
    os.mkfifo(host / "pipe")
    (host / "link").symlink_to("/etc/passwd")
    (only,) = reader.batches(plan, {})
    assert only.again == {"gone", "pipe", "link"} and not only.items


def test_an_editors_text_has_the_files_mode(reader: Reader, host: Path) -> None:
    (host / "f").write_text("disk")
    (host / "f").chmod(0o700)
    (only,) = read(reader, host, "f", f=b"editor")
    assert (only.items[0].data, only.items[0].entry.mode, only.items[0].entry.mtime_ns) == (b"editor", 0o700, 7)


def test_large_files_are_named_not_read(reader: Reader, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "LARGE", 10)
    (host / "f").write_bytes(b"x" * 25)
    (only,) = read(reader, host, "f")
    assert only.items[0].data == host / "f" and only.items[0].entry.size == 25
    seen = only.seen["f"]
    assert seen is not None and seen.digest == digest(b"x" * 25)


def test_a_file_that_became_a_secret_is_taken_out(reader: Reader, host: Path) -> None:
    (host / "k.pem").write_bytes(b"-----BEGIN PRIVATE KEY-----")
    assert not any(found.items for found in read(reader, host, "k.pem"))
    reader.state.entries["k.pem"] = Seen("f", 0o644)
    (only,) = read(reader, host, "k.pem")
    assert only.items[0].entry.kind == "delete" and only.seen == {"k.pem": None}
    assert reader.left_out == {"k.pem": "secret"}
