import os
from pathlib import Path

import pytest

from continue_exec.drivers.runsc import removal
from continue_exec.errors import SandboxFailed


async def test_everything_goes_and_the_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "box/a/b").mkdir(parents=True)
    (tmp_path / "box/-rf").touch()
    (tmp_path / "box/with\nnewline").touch()
    os.mkfifo(tmp_path / "box/fifo")

    await removal.empty(tmp_path / "box")

    assert os.listdir(tmp_path / "box") == []


async def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/precious").touch()
    (tmp_path / "box").mkdir()
    (tmp_path / "box/link").symlink_to(tmp_path / "outside")

    await removal.empty(tmp_path / "box")

    assert os.listdir(tmp_path / "outside") == ["precious"]


async def test_folders_without_permission_go_too(tmp_path: Path) -> None:
    (tmp_path / "box/closed/inner").mkdir(parents=True)
    (tmp_path / "box/closed/inner/file").touch()
    (tmp_path / "box/closed/inner").chmod(0)
    (tmp_path / "box/closed").chmod(0)

    await removal.empty(tmp_path / "box")

    assert os.listdir(tmp_path / "box") == []


async def test_nothing_there(tmp_path: Path) -> None:
    await removal.empty(tmp_path / "absent")
    await removal.empty(tmp_path)


async def test_what_cannot_be_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing(*argv: str) -> tuple[int, str]:
        return 1, "rm: cannot remove 'x': Device or resource busy"

    (tmp_path / "x").touch()
    monkeypatch.setattr(removal, "_run", failing)

    with pytest.raises(SandboxFailed, match="busy"):
        await removal.empty(tmp_path)
