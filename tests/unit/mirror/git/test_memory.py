from __future__ import annotations

from pathlib import Path

import pytest

from continue_exec.mirror.git.memory import Known, Memory
from continue_exec.mirror.git.merge import NOTHING, View


def test_it_is_as_it_was(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "sub" / "m")
    known = Known(View({"refs/heads/\udcff": "a" * 40}, "ref: x", "d"), (1, 2), {"config": "h"}, ["s"], ["/o"])
    memory.known = {"": known, "libs/\udcfe": Known()}

    memory.save()

    assert Memory(tmp_path / "sub" / "m").known == memory.known
    assert memory.known["libs/\udcfe"].base == NOTHING


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1, "repositories": {"": {}}}', '{"format": 99}'])
def test_what_is_damaged_is_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "m").write_text(text)

    assert Memory(tmp_path / "m").known == {}


def test_what_cannot_be_written_is_as_good_as_lost(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "file" / "m")
    (tmp_path / "file").write_text("in the way")

    memory.save()

    assert Memory(tmp_path / "file" / "m").known == {}
