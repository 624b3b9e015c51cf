from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from continue_exec.drivers.runsc import memory
from continue_exec.errors import DiskFull, SandboxFailed


def program(folder: Path, script: str) -> Path:
    """Something that is called as runsc is; `$IMAGE` is the folder that it is to fill."""
    path = folder / "runsc"
    path.write_text(
        f"#!/bin/sh\nfor word; do case $word in --image-path=*) IMAGE=${{word#*=}};; esac; done\n{script}\n"
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    folder = tmp_path / "image"
    folder.mkdir()
    return folder


async def test_what_was_saved_fits_what_it_was_saved_with(tmp_path: Path, image: Path) -> None:
    runsc = program(tmp_path, "echo pages > $IMAGE/pages.img")
    assert memory.unfit(image, runsc, "t1") == "it was not saved completely"
    await memory.save(runsc, ["--root=x"], "sb", image, "t1")
    assert memory.unfit(image, runsc, "t1") == "" and memory.size(image) > 0
    assert "programs have changed" in memory.unfit(image, runsc, "t2")
    program(tmp_path, "echo another build, longer than before")
    assert "another build" in memory.unfit(image, runsc, "t1")


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ("echo 'write: no space left on device' >&2; exit 128", DiskFull, "No room"),
        ("echo first >&2; echo 'cannot save' >&2; exit 1", SandboxFailed, "cannot save"),
        ("exit 1", SandboxFailed, "runsc failed"),
    ],
)
async def test_what_fails_leaves_no_note(
    tmp_path: Path, image: Path, script: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        await memory.save(program(tmp_path, script), [], "sb", image, "t")
    assert not (image / memory.NOTE).exists()


async def test_one_that_hangs_is_ended(tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SAVE_TIMEOUT_S", 0.1)
    with pytest.raises(SandboxFailed, match="within"):
        await memory.save(program(tmp_path, "exec sleep 100"), [], "sb", image, "t")
    saving = asyncio.ensure_future(memory.save(program(tmp_path, "exec sleep 100"), [], "sb", image, "t"))
    await asyncio.sleep(0)
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving


def test_programs_change_with_the_host_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "PROGRAMS", (str(tmp_path), str(tmp_path / "nowhere")))
    before = memory.programs()
    (tmp_path / "upgraded").touch()
    assert memory.programs() != before and before.endswith(" -")
