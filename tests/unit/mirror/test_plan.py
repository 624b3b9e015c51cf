from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from continue_exec.mirror.filter import Filter, IgnoreRules
from continue_exec.mirror.plan import Plan, Planner
from continue_exec.mirror.state import MirrorState, Seen
from continue_exec.mirror.walk import LeftOut
from continue_exec.mirror.watch import NoWatcher


class Everything(NoWatcher):
    def watching(self, folder: str) -> bool:
        return True


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "host" / "d" / "e").mkdir(parents=True)
    (tmp_path / "host" / "d" / "e" / "f").write_text("f")
    (tmp_path / "host" / "a").write_text("a")
    return tmp_path / "host"


@pytest.fixture
def planner(host: Path, tmp_path: Path) -> Planner:
    state = MirrorState(tmp_path / "state")
    return Planner(str(host), Filter(str(host), IgnoreRules()), Everything(""), state, LeftOut())


def confirm(planner: Planner, plan: Plan) -> None:
    for path in plan.deletes:
        planner.state.entries.pop(path, None)
    for path, found in plan.folders:
        planner.state.entries[path] = Seen("d", found.st_mode & 0o777)
    for path, found in plan.files:
        assert found is not None
        mode, times = found.st_mode & 0o777, (found.st_mtime_ns, found.st_ctime_ns)
        planner.state.entries[path] = Seen("f", mode, found.st_size, *times, found.st_ino)


def names(plan: Plan) -> tuple[list[str], list[str], list[str]]:
    return plan.deletes, [path for path, _ in plan.folders], sorted(path for path, _ in plan.files)


def test_everything_in_an_order_that_works(planner: Planner, host: Path) -> None:
    plan = planner.full(())
    assert names(plan) == ([], ["d", "d/e"], ["a", "d/e/f"])
    confirm(planner, plan)
    assert not planner.full(())
    shutil.rmtree(host / "d")
    assert names(planner.full(())) == (["d/e/f", "d/e", "d"], [], [])
    assert names(planner.some({"d/e/f", "d/e", "d"}, set(), ())) == (["d/e/f", "d/e", "d"], [], [])


def test_a_kind_that_changed_is_replaced_in_place(planner: Planner, host: Path) -> None:
    confirm(planner, planner.full(()))
    shutil.rmtree(host / "d")
    (host / "d").write_text("a file")
    plan = planner.some({"d"}, set(), ())
    assert names(plan) == (["d/e/f", "d/e"], [], ["d"]) and plan.replaces(planner.state)
    confirm(planner, plan)
    (host / "d").unlink()
    (host / "d").mkdir()
    plan = planner.some({"d"}, {"d"}, ())
    assert names(plan) == ([], ["d"], []) and plan.replaces(planner.state)


def test_what_was_a_folder_for_a_moment(planner: Planner, host: Path) -> None:
    confirm(planner, planner.full(()))
    (host / "a").write_text("longer")
    assert names(planner.some({"a"}, {"a"}, ())) == ([], [], ["a"])
    (host / "a").unlink()
    assert names(planner.some({"a"}, {"a"}, ())) == (["a"], [], [])


def test_rule_files_concern_their_folder(planner: Planner, host: Path) -> None:
    confirm(planner, planner.full(()))
    (host / "d" / ".gitignore").write_text("e/\n")
    assert names(planner.some({"d/.gitignore"}, set(), ())) == (["d/e/f", "d/e"], [], ["d/.gitignore"])


def test_what_cannot_be_read_is_not_deleted(planner: Planner, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    confirm(planner, planner.full(()))
    real = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("/e"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert not planner.full(())
    assert planner.left_out == {"d/e": "unreadable: Permission denied"}


def test_an_editors_new_file_holds_its_folder(planner: Planner, host: Path) -> None:
    confirm(planner, planner.full(()))
    shutil.rmtree(host / "d")
    plan = planner.some({"d"}, set(), {"d/e/new"})
    assert names(plan) == (["d/e/f"], [], ["d/e/new"])
    plan = planner.full({"d/e/new"})
    assert names(plan) == (["d/e/f"], [], ["d/e/new"])
