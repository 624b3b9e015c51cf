from __future__ import annotations

import os
from pathlib import Path

import pytest

from continue_exec.drivers.runsc.places import Places


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name, mode in {
        "upper": 0o755,
        "private": 0o700,
        "lower": 0o755,
        "lower/root": 0o700,
        "lower/tmp": 0o1777,
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    (tmp_path / "lower" / "lib").symlink_to("usr/lib")
    (tmp_path / "lower" / "file").touch()
    return tmp_path


def places(base: Path, workspace: str = "/home/me/project", private: Path | None = None) -> Places:
    return Places(base / "upper", base / "lower", ("/usr", "/home/me/.pyenv"), Path(workspace), private)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.mark.parametrize(
    ("path", "modes"),
    [
        ("/", []),
        ("/home/me/project", [0o755, 0o755, 0o755]),
        ("/root/a", [0o700, 0o755]),
        ("/tmp/a", [0o1777, 0o755]),
        ("/home/me/.pyenv-of-mine", [0o755, 0o755, 0o755]),
    ],
)
def test_folders_are_made_with_the_modes_that_they_have_inside(base: Path, path: str, modes: list[int]) -> None:
    old = os.umask(0o077)
    try:
        found = places(base).folder(Path(path))
        again = places(base).folder(Path(path))
    finally:
        os.umask(old)
    assert found == again == base / "upper" / path.strip("/")
    parts = Path(path).parts[1:]
    assert [mode(base.joinpath("upper", *parts[: n + 1])) for n in range(len(parts))] == modes


@pytest.mark.parametrize("path", ["/usr", "/usr/src/x", "/home/me/.pyenv/versions", "/lib/x", "/lib", "/file/x"])
def test_where_something_else_is_mounted_or_in_the_way_there_is_none(base: Path, path: str) -> None:
    assert places(base).folder(Path(path)) is None
    assert not (base / "upper" / path.strip("/")).exists()


def test_a_workspace_beneath_a_mount_has_a_folder_of_its_own(base: Path) -> None:
    found = places(base, "/usr/src/x", base / "private")
    assert found.folder(Path("/usr/src/x")) == base / "private"
    assert mode(base / "private") == 0o755
    assert found.folder(Path("/usr/src/y")) is None
