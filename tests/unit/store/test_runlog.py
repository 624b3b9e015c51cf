from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continue_exec.protocol.frames import Kind, Parser, Stretch, encode
from continue_exec.store import runlog
from continue_exec.store.runlog import RunLog

MIB = 1 << 20


async def collect(log: RunLog, after: int = 0, *, wait: bool = False) -> list[tuple[int, int, bytes]]:
    parser = Parser()
    frames = [frame async for piece in log.read(after, wait=wait) for frame in parser.feed(piece)]
    assert parser.pending == 0
    return frames


def make(folder: Path, keep: int = 16 * MIB, lag: int = 64 * MIB) -> RunLog:
    return RunLog.create(folder / "run", keep, lag)


async def test_events_come_back_in_order_from_any_seq(tmp_path: Path) -> None:
    log = make(tmp_path)
    log.event("started", run_id="r")
    log.append(Kind.STDOUT, b"hello")
    log.append(Kind.STDERR, b"\xff\x00")
    log.final("exited", exit_code=3)
    frames = await collect(log, wait=True)
    assert [(kind, seq) for kind, seq, _ in frames] == [(0x30, 1), (0x10, 2), (0x11, 3), (0x30, 4)]
    assert frames[1][2] == b"hello"
    assert json.loads(frames[3][2]) == {"type": "exited", "seq": 4, "exit_code": 3}
    for after in range(5):
        assert await collect(log, after) == frames[after:]
    log.delete()
    assert not (tmp_path / "run").exists()


async def test_a_waiting_reader_is_woken_and_ends_with_the_final_event(tmp_path: Path) -> None:
    log = make(tmp_path)
    reading = asyncio.ensure_future(collect(log, wait=True))
    for n in range(100):
        await asyncio.sleep(0)
        log.append(Kind.STDOUT, b"%d" % n)
    log.final("exited")
    frames = await reading
    assert [payload for _, _, payload in frames[:-1]] == [b"%d" % n for n in range(100)]
    log.close()


@pytest.mark.parametrize("cut", [0, 1, 8, 9, 12])
async def test_a_killed_writer_loses_at_most_its_last_incomplete_frame(tmp_path: Path, cut: int) -> None:
    log = make(tmp_path)
    log.append(Kind.STDOUT, b"first")
    log.append(Kind.STDOUT, b"second")
    log.close()
    (path,) = (tmp_path / "run").glob("*.log")
    if cut:
        os.truncate(path, path.stat().st_size - cut)
    again = RunLog.open(tmp_path / "run", 16 * MIB, 64 * MIB, closed=False)
    assert (again.last_seq, again.output_bytes) == ((2, 11) if not cut else (1, 5))
    again.append(Kind.STDOUT, b"third")
    assert [payload for _, _, payload in await collect(again)][-1] == b"third"
    assert [seq for _, seq, _ in await collect(again)] == list(range(1, again.last_seq + 1))
    again.close()


async def test_old_segments_go_and_a_late_reader_is_told(tmp_path: Path) -> None:
    log = make(tmp_path, keep=8 * MIB)
    for n in range(64):
        log.append(Kind.STDOUT, bytes([n]) * MIB)
    assert sum(p.stat().st_size for p in (tmp_path / "run").iterdir()) <= 13 * MIB
    frames = await collect(log)
    gap = json.loads(frames[0][2])
    assert gap["type"] == "gap" and gap["first_missing"] == 1
    assert frames[1][1] == gap["seq"] + 1 and frames[-1][1] == 64
    again = RunLog.open(tmp_path / "run", 8 * MIB, 64 * MIB, closed=False)
    assert (again.last_seq, again.output_bytes) == (64, 64 * MIB)
    again.close()
    log.close()


async def test_much_is_handed_on_as_a_stretch_of_a_file_and_little_as_bytes(tmp_path: Path) -> None:
    log = make(tmp_path)
    log.append(Kind.STDOUT, b"little")
    reader = log.stretches(0)
    assert await anext(reader) == encode(Kind.STDOUT, 1, b"little")
    log.append(Kind.STDOUT, b"much" * runlog.STRETCH_FROM)
    log.final("exited")
    stretch = await anext(reader)
    assert isinstance(stretch, Stretch)
    whole = os.pread(stretch.fileno(), stretch.size, stretch.offset)
    assert whole == bytes(stretch) and whole.startswith(encode(Kind.STDOUT, 2, b"much" * runlog.STRETCH_FROM))
    assert [piece async for piece in reader] == []
    log.close()


async def test_a_slow_reader_misses_nothing_within_the_lag_and_is_told_beyond(tmp_path: Path) -> None:
    log = make(tmp_path, keep=4 * MIB, lag=32 * MIB)
    parser = Parser()
    seen: list[tuple[int, int]] = []
    reader = log.read(0)
    log.append(Kind.STDOUT, b"x" * MIB)
    seen += [(kind, seq) for kind, seq, _ in parser.feed(await anext(reader))]
    for _ in range(24):
        log.append(Kind.STDOUT, b"x" * MIB)
    for _ in range(24 * 4 + 4):
        seen += [(kind, seq) for kind, seq, _ in parser.feed(await anext(reader))]
    assert [seq for _, seq in seen] == list(range(1, len(seen) + 1)), "within the lag nothing is missing"
    for _ in range(100):
        log.append(Kind.STDOUT, b"x" * MIB)
    log.final("exited")
    rest = [frame for piece in [p async for p in reader] for frame in parser.feed(piece)]
    gaps = [json.loads(payload) for kind, _, payload in rest if kind == Kind.EVENT]
    assert [g["type"] for g in gaps] == ["gap", "exited"]
    read = len(seen) + len(rest) - 2
    assert gaps[0]["bytes_missing"] == (125 - read) * MIB
    log.close()


async def test_a_full_disk_drops_output_in_words_and_never_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = make(tmp_path)
    log.append(Kind.STDOUT, b"kept")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runlog.os, "pwritev", full)
    log.append(Kind.STDOUT, b"lost")
    assert log.bytes_unkept == 4 and log.output_bytes == 8
    log.final("exited", exit_code=0)
    frames = await collect(log, wait=True)
    assert [(kind, seq) for kind, seq, _ in frames] == [(0x10, 1), (0x30, 2)]
    log.close()


@given(sizes=st.lists(st.integers(0, 3000), max_size=60), after=st.integers(0, 70))
async def test_any_start_gives_exactly_the_rest(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], after: int
) -> None:
    log = make(tmp_path_factory.mktemp("log"))
    for size in sizes:
        log.append(Kind.STDOUT, os.urandom(size))
    everything = await collect(log)
    assert [seq for _, seq, _ in everything] == list(range(1, len(sizes) + 1))
    assert await collect(log, after) == everything[after:]
    log.close()


async def test_closing_waits_for_a_reader_that_still_goes_from_segment_to_segment(tmp_path: Path) -> None:
    log = make(tmp_path, keep=64 * MIB)
    for _ in range(20):
        log.append(Kind.STDOUT, b"x" * MIB)
    reader = log.read(0)
    await anext(reader)
    log.final("exited")
    log.close()
    assert sum([len(piece) async for piece in reader]) > 19 * MIB


async def test_closing_waits_for_readers(tmp_path: Path) -> None:
    log = make(tmp_path)
    log.append(Kind.STDOUT, b"a" * 400_000)
    reader = log.read(0)
    first = await anext(reader)
    log.final("exited")
    log.close()
    rest = b"".join([piece async for piece in reader])
    assert len(first + rest) > 400_000
