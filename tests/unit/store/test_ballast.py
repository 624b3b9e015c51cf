from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from continue_exec.store import ballast
from continue_exec.store.ballast import BALLAST_BYTES, Ballast


def test_it_takes_room_and_gives_it_up_once(tmp_path: Path) -> None:
    kept = Ballast(tmp_path / "ballast")
    assert not kept.drop()
    kept.lay()
    kept.lay()
    found = (tmp_path / "ballast").stat()
    assert found.st_size == BALLAST_BYTES and found.st_blocks * 512 >= BALLAST_BYTES
    assert kept.drop() and not kept.drop()


def test_it_is_not_laid_where_room_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ballast.shutil, "disk_usage", lambda path: SimpleNamespace(free=BALLAST_BYTES * 2))
    Ballast(tmp_path / "ballast").lay()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_meanwhile_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ballast.os, "posix_fallocate", full)
    Ballast(tmp_path / "ballast").lay()
    assert list(tmp_path.iterdir()) == []
