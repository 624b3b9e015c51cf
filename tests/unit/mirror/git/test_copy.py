from __future__ import annotations

from pathlib import Path

import pytest

from continue_exec.mirror.git import copy
from continue_exec.mirror.git.host import Unfit
from tests.support.inside import DiskInside
from tests.support.repositories import commit, git, repository


async def test_only_what_is_missing_is_copied(tmp_path: Path) -> None:
    folder = repository(tmp_path / "r", commits=3)
    git(folder, "gc", "-q")
    commit(folder, "loose")
    inside = DiskInside(tmp_path / "box")
    found = copy.listed([f"{folder}/.git/objects"])

    assert {name.rpartition(".")[2] for name in found if name.startswith("pack/")} == {"pack", "idx"}
    assert await copy.send(inside, "/r", found) == len(found)
    assert await copy.send(inside, "/r", found) == 0
    commit(folder, "more", "more\n")
    assert await copy.send(inside, "/r", copy.listed([f"{folder}/.git/objects"])) == 3
    assert (inside.at("/r/.git/objects") / next(iter(found))).read_bytes() == found[next(iter(found))][0].read_bytes()


def test_links_and_strangers_are_not_objects(tmp_path: Path) -> None:
    objects = tmp_path / "objects"
    (objects / "pack").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (objects / "pack" / f"pack-{'a' * 40}.pack").symlink_to(tmp_path / "secret")
    (objects / "pack" / "pack-x.pack").write_text("x")
    (objects / "ab").symlink_to(tmp_path)
    (objects / "cd").mkdir()
    (objects / "cd" / "secret").write_text("x")

    assert copy.listed([str(objects)]) == {}


async def test_too_much_is_left_for_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = repository(tmp_path / "r")
    monkeypatch.setattr(copy, "LIMIT", 10)

    with pytest.raises(Unfit, match="next start"):
        await copy.send(DiskInside(tmp_path / "box"), "/r", copy.listed([f"{folder}/.git/objects"]))
