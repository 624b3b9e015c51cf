from __future__ import annotations

from pathlib import Path

import pytest

from continue_exec.engine import history as module
from continue_exec.engine.history import Entry, History, Step, steps_between
from continue_exec.mirror.blobs import Blobs
from continue_exec.mirror.changes import ABSENT, Version
from continue_exec.mirror.state import digest


def version(text: str) -> Version:
    return Version("f", 0o644, digest(text.encode()), len(text))


def entry(run: str, path: str, before: Version, after: Version, *, mirrored: bool = False) -> Entry:
    return Entry((run,), (), 1.0, {path: Step(before, after, mirrored)})


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history", Blobs(tmp_path / "blobs"))


def reread(history: History) -> History:
    again = History(history.path, history.blobs)
    again.load()
    return again


def test_what_was_written_down_is_read_back(history: History) -> None:
    name = b"\xff".decode("utf-8", "surrogateescape")
    history.add(Entry(("run_1", "run_2"), ("run_3",), 2.5, {name: Step(ABSENT, version("x"), True)}))
    assert reread(history).entries == history.entries
    assert History(history.path.parent / "none", history.blobs).load() is None


@pytest.mark.parametrize("cut", [1, 2, 20])
def test_half_a_line_is_dropped_and_what_follows_is_whole(history: History, cut: int) -> None:
    for number in range(3):
        history.add(entry(f"run_{number}", "a", ABSENT, version(str(number))))
    data = history.path.read_bytes()
    history.path.write_bytes(data[:-cut])
    again = reread(history)
    assert len(again.entries) == (3 if cut == 1 else 2), "only the end of the line was lost"
    again.add(entry("run_9", "a", ABSENT, ABSENT))
    assert [one.runs[0] for one in reread(again).entries][-1] == "run_9"


def test_the_oldest_go(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 5)
    for number in range(12):
        data = b"%d" % number * 300_000
        history.blobs.put(digest(data), data)
        history.add(entry(f"run_{number}", "a", ABSENT, Version("f", 0o644, digest(data), len(data))))
    assert [one.runs[0] for one in reread(history).entries] == [f"run_{number}" for number in range(7, 12)]
    assert history.of_run("run_2") is None and not history.restorable("run_2")
    assert history.of_run("run_11") is not None


def test_and_when_there_is_too_much_of_them(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_BYTES", 10_000_000)
    for number in range(8):
        data = bytes([number]) * 2_000_000
        history.blobs.put(digest(data), data)
        history.add(entry(f"run_{number}", f"f{number}", ABSENT, Version("f", 0o644, digest(data), len(data))))
    assert history.blobs.size <= 10_000_000 + 2_100_000
    assert history.of_run("run_7") is not None and history.of_run("run_0") is None


def test_the_way_back(history: History) -> None:
    history.add(entry("run_1", "a", version("host"), version("1"), mirrored=True))
    history.add(entry("run_2", "a", version("1"), version("2")))
    history.add(entry("run_2b", "b", ABSENT, version("b"), mirrored=True))
    assert history.since("run_0") is None
    since = history.since("run_2")
    assert since is not None and {path: step.before for path, step in since.items()} == {
        "a": version("1"),
        "b": ABSENT,
    }
    assert history.latest() == {"a": version("2"), "b": version("b")}
    assert history.restorable("run_1"), "what came from the host is there"
    assert not history.restorable("run_2"), "what the first run made is not kept"
    history.blobs.put(digest(b"1"), b"1")
    assert history.restorable("run_2")


def test_runs_that_made_a_change(history: History) -> None:
    history.add(entry("run_1", "a", version("host"), version("1"), mirrored=True))
    history.add(entry("discard_1", "a", version("1"), version("host")))
    history.add(entry("run_2", "a", version("host"), version("2"), mirrored=True))
    history.add(entry("run_3", "a", version("2"), version("3")))
    assert history.runs_of("a") == ("run_2", "run_3"), "only since it was last as on the host"
    assert history.runs_of("b") == ()


def test_what_was_looked_at_while_a_run_went_on_is_its_own_too(history: History) -> None:
    history.add(Entry(("run_1",), ("run_2",), 1.0, {"a": Step(version("host"), version("1"), True)}))
    history.add(Entry(("run_2",), (), 2.0, {"a": Step(version("1"), version("2"), False)}))
    found = history.of_run("run_2")
    assert found is not None and found.steps == {"a": Step(version("host"), version("2"), True)}
    assert set(history.since("run_2") or {}) == {"a"}
    alone = history.of_run("run_1")
    assert alone is not None and alone.beside == ("run_2",) and alone.steps["a"].after == version("1")
    history.add(Entry(("run_3",), (), 3.0, {}))
    assert history.of_run("run_9") is None


def test_between_two_looks() -> None:
    mirrored = {"a": version("host"), "b": version("host b"), "c": ABSENT}
    before = {"b": version("changed")}
    after = {"a": version("new"), "c": version("made")}
    assert steps_between(before, after, mirrored) == {
        "a": Step(version("host"), version("new"), True),
        "b": Step(version("changed"), version("host b"), False),
        "c": Step(ABSENT, version("made"), True),
    }
    assert steps_between(after, after, mirrored) == {}
