from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continue_exec.mirror.state import MAGIC, MirrorState, Seen, digest

ONE = Seen("f", 0o644, 3, 1_700_000_000_000_000_001, 5, 7, 6, digest(b"one"))
LINK = Seen("l", 0o777, 4, 1, 2, 3, 4, digest(b"target"))


def loaded(path: Path) -> dict[str, Seen]:
    state = MirrorState(path)
    state.load()
    return state.entries


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "mirror.state"


def test_what_was_recorded_is_there_after_a_crash(path: Path) -> None:
    state = MirrorState(path)
    assert not state.load()
    state.record({"a": ONE, "d/b": LINK, "x": ONE})
    state.record({"x": None, os.fsdecode(b"\xff"): Seen("d", 0o755)})
    assert loaded(path) == {"a": ONE, "d/b": LINK, os.fsdecode(b"\xff"): Seen("d", 0o755)}
    assert path.stat().st_mode & 0o077 == 0
    state.close()


def test_compacting_changes_nothing_but_the_size(path: Path) -> None:
    state = MirrorState(path)
    for number in range(50):
        state.record({"a": ONE._replace(size=number)})
    before = path.stat().st_size
    state.compact()
    assert path.stat().st_size < before / 10
    state.record({"b": LINK})
    state.close()
    assert loaded(path) == {"a": ONE._replace(size=49), "b": LINK}


def test_an_empty_state(path: Path) -> None:
    state = MirrorState(path)
    state.compact()
    assert MirrorState(path).load() and loaded(path) == {}


def test_a_torn_last_record_is_dropped_and_the_next_ones_count(path: Path) -> None:
    state = MirrorState(path)
    state.record({"a": ONE})
    sound = path.stat().st_size
    state.record({"b": ONE})
    state.close()
    whole = path.read_bytes()
    for cut in range(sound, len(whole)):
        path.write_bytes(whole[:cut])
        assert loaded(path) == {"a": ONE}
    again = MirrorState(path)
    again.load()
    again.record({"c": LINK})
    again.close()
    assert loaded(path) == {"a": ONE, "c": LINK}


def test_damage_makes_it_void(path: Path) -> None:
    state = MirrorState(path)
    state.record({"a": ONE})
    state.record({"b": ONE})
    state.close()
    data = bytearray(path.read_bytes())
    data[len(MAGIC) + 25] ^= 1
    path.write_bytes(data)
    again = MirrorState(path)
    assert not again.load() and again.entries == {} and not path.exists()
    again.record({"c": ONE})
    again.close()
    assert loaded(path) == {"c": ONE}


@given(st.binary(max_size=200))
def test_garbage_never_raises(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("state") / "s"
    for text in (data, MAGIC + data):
        path.write_bytes(text)
        assert loaded(path) == {}


def test_a_disk_that_refuses(path: Path) -> None:
    state = MirrorState(path)
    state.record({"a": ONE})
    state.close()
    path.unlink()
    path.mkdir()  # opening it for writing fails from now on
    state.record({"b": ONE})
    assert state.failed and set(state.entries) == {"a", "b"}
    state.record({"c": ONE})
    state.compact()


def test_ten_thousand_load_quickly(path: Path) -> None:
    state = MirrorState(path)
    state.record({f"folder{n // 10}/file{n}.py": ONE._replace(inode=n) for n in range(10_000)})
    state.close()
    started = time.process_time()
    assert len(loaded(path)) == 10_000
    assert time.process_time() - started < 1  # 0.03 s alone on the machine
