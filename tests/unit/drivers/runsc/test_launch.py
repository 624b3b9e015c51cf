"""The parts that need no namespace; the rest runs in the contract and security suites."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from continue_exec.drivers.runsc import launch


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_walk_makes_what_is_missing(root: int, tmp_path: Path) -> None:
    os.close(launch.walk(root, "/a/b/c", mode=0o700))

    assert (tmp_path / "a/b/c").is_dir()


def test_walk_makes_nothing_when_told_so(root: int, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        launch.walk(root, "/a/b", make=False)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["link", "link/x", "a/link/x"])
def test_walk_follows_no_link(root: int, tmp_path: Path, path: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(outside)
    (tmp_path / "a/link").symlink_to(outside)

    with pytest.raises(OSError):
        launch.walk(root, path)

    assert list(outside.iterdir()) == []


def test_a_file_to_mount_over_is_made_and_never_a_link(root: int, tmp_path: Path) -> None:
    os.close(launch._file_target(root, "/d/agent"))
    assert (tmp_path / "d/agent").is_file()

    (tmp_path / "victim").write_text("mine")
    (tmp_path / "d/other").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError):
        launch._file_target(root, "/d/other")


def test_it_imports_nothing_that_takes_long() -> None:
    """Every module here is paid for at each start of a sandbox."""
    code = "import sys; exec(open(sys.argv[1]).read(), {'__name__': 'x'}); print(*sys.modules)"
    argv = [sys.executable, "-I", "-S", "-c", code, launch.__file__]
    loaded = set(subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30).stdout.split())

    assert not loaded & {"typing", "json", "re", "subprocess", "asyncio", "pathlib", "dataclasses"}
