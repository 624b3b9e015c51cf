import os
from pathlib import Path

from continue_exec.drivers.runsc import record
from continue_exec.drivers.runsc.processes import boot_id, start_time


def mine(**changes: object) -> record.Record:
    started = start_time(os.getpid())
    fields = {"boot_id": boot_id(), "state": "/s", "pid": os.getpid(), "started": started, "env": {"A": "b"}}
    return record.Record(**{**fields, **changes})  # type: ignore[arg-type]


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    record.save(tmp_path, mine())

    assert record.load(tmp_path) == mine()
    assert sorted(os.listdir(tmp_path)) == [record.NAME]


def test_nothing_and_garbage_are_none(tmp_path: Path) -> None:
    assert record.load(tmp_path) is None
    for text in ("", "{", "[]", '{"other": 1}', "null"):
        (tmp_path / record.NAME).write_text(text)
        assert record.load(tmp_path) is None, text


def test_a_process_is_found_only_if_it_is_the_same_one() -> None:
    assert mine().process() is not None
    assert mine(pid=0).process() is None
    assert mine(boot_id="another").process() is None
    assert mine(started=1).process() is None


def test_remove_twice(tmp_path: Path) -> None:
    record.save(tmp_path, mine())
    record.remove(tmp_path)
    record.remove(tmp_path)

    assert record.load(tmp_path) is None
