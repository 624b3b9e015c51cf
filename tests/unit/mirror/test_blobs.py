from __future__ import annotations

from pathlib import Path

import pytest

from continue_exec.mirror import blobs
from continue_exec.mirror.blobs import Blobs, is_text
from continue_exec.mirror.state import digest


def put(store: Blobs, data: bytes) -> bytes:
    assert store.put(digest(data), data)
    return digest(data)


def test_what_is_kept_comes_back_also_after_a_restart(tmp_path: Path) -> None:
    store = Blobs(tmp_path / "deep" / "blobs")
    keys = [put(store, data) for data in (b"one", b"", b"x" * 100_000)]
    size = store.size
    put(store, b"one")
    assert store.size == size, "once is enough"
    store.close()
    assert [store.get(key) for key in keys] == [b"one", b"", b"x" * 100_000]
    assert Blobs(tmp_path / "deep" / "blobs").get(keys[0]) == b"one"
    assert store.get(digest(b"never")) is None and digest(b"never") not in store


@pytest.mark.parametrize("lost", [1, 5, 30])
def test_a_torn_record_is_dropped_and_the_file_goes_on(tmp_path: Path, lost: int) -> None:
    store = Blobs(tmp_path / "blobs")
    first, torn = put(store, b"first"), put(store, b"second, which is torn")
    store.close()
    data = (tmp_path / "blobs").read_bytes()
    (tmp_path / "blobs").write_bytes(data[:-lost])
    again = Blobs(tmp_path / "blobs")
    assert again.get(first) == b"first" and torn not in again
    third = put(again, b"3")
    again.close()
    assert [Blobs(tmp_path / "blobs").get(key) for key in (first, torn, third)] == [b"first", None, b"3"]


def test_damage_is_noticed(tmp_path: Path) -> None:
    store = Blobs(tmp_path / "blobs")
    key = put(store, b"the bytes")
    data = bytearray((tmp_path / "blobs").read_bytes())
    data[-1] ^= 1
    (tmp_path / "blobs").write_bytes(data)
    assert store.get(key) is None
    (tmp_path / "blobs").write_bytes(b"something else entirely")
    store.close()
    assert store.get(key) is None and put(store, b"new") in store


def test_only_what_is_wanted_stays(tmp_path: Path) -> None:
    store = Blobs(tmp_path / "blobs")
    keys = [put(store, bytes([number]) * 500_000) for number in range(6)]
    before = store.size
    store.keep_only({keys[2]})
    assert store.size < before / 4 and store.get(keys[2]) == b"\2" * 500_000 and keys[3] not in store
    store.close()
    assert store.get(keys[2]) is not None and keys[3] not in store
    store.keep_only({keys[2]})
    assert store.get(keys[2]) is not None


def test_what_is_too_large_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "LIMIT", 10)
    assert not Blobs(tmp_path / "blobs").put(digest(b"x" * 11), b"x" * 11)


def test_a_place_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Blobs(tmp_path / "file" / "blobs")
    assert not store.put(digest(b"x"), b"x") and store.get(digest(b"x")) is None
    store.keep_only(set())
    store.close()


def test_what_is_text() -> None:
    assert is_text(b"") and is_text(b"\xff\n") and is_text(b"x" * 8000 + b"\0") and not is_text(b"a\0b")
