from __future__ import annotations

import os
from pathlib import Path

import pytest

from continue_exec import paths
from continue_exec.errors import HostUnready

OWN = ("CONTINUE_EXEC_HOME", "CONTINUE_EXEC_RUNTIME_DIR", "CONTINUE_EXEC_CONFIG")
XDG = ("XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*OWN, *XDG):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_defaults_are_below_home(tmp_path: Path) -> None:
    assert paths.home() == tmp_path / ".local/share/continue-exec"
    assert paths.config() == tmp_path / ".config/continue-exec/config.toml"
    assert paths.runtime() == Path(f"/tmp/continue-exec-{os.getuid()}")
    assert paths.engine_socket() == paths.runtime() / "engine.sock"


def test_xdg_folders_are_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in XDG:
        monkeypatch.setenv(name, str(tmp_path))
    assert paths.home() == tmp_path / "continue-exec"
    assert paths.config() == tmp_path / "continue-exec/config.toml"
    assert paths.runtime() == tmp_path / "continue-exec"


def test_own_variables_win_and_become_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in XDG:
        monkeypatch.setenv(name, "/xdg")
    for name in OWN:
        monkeypatch.setenv(name, "here")
    assert paths.home() == paths.config() == paths.runtime() == tmp_path / "here"


def test_a_runtime_folder_of_somebody_else_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
    assert paths.runtime() == Path(f"/tmp/continue-exec-{os.getuid()}")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    assert paths.runtime() == Path(f"/tmp/continue-exec-{os.getuid()}")


def test_private_makes_and_closes(tmp_path: Path) -> None:
    made = paths.private(tmp_path / "a/b")
    assert made.stat().st_mode & 0o777 == 0o700
    made.chmod(0o755)
    assert paths.private(made).stat().st_mode & 0o777 == 0o700


def test_private_refuses_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(HostUnready, match="not a folder of this user"):
        paths.private(tmp_path / "link")


def test_private_refuses_another_users_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(HostUnready) as caught:
        paths.private(tmp_path)
    assert "CONTINUE_EXEC_RUNTIME_DIR" in caught.value.hint
