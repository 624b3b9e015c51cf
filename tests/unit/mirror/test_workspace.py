from __future__ import annotations

from pathlib import Path

import pytest

from continue_exec.errors import InvalidRequest, NotFound, WorkspaceRefused
from continue_exec.mirror.workspace import resolve_workspace


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home" / "user"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for name in ("CONTINUE_EXEC_HOME", "CONTINUE_EXEC_CONFIG", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CONTINUE_EXEC_RUNTIME_DIR", str(tmp_path / "runtime"))
    return home


def test_the_git_work_tree_that_holds_it(home: Path) -> None:
    folder = home / "project" / "src" / "deep"
    folder.mkdir(parents=True)
    (home / "project" / ".git").mkdir()
    (folder / "a.py").write_text("")
    assert resolve_workspace(folder) == home / "project"
    assert resolve_workspace(folder / "a.py") == home / "project"
    assert resolve_workspace(folder, root=True) == folder


def test_a_linked_work_tree(home: Path) -> None:
    folder = home / "linked" / "x"
    folder.mkdir(parents=True)
    (home / "linked" / ".git").write_text("gitdir: elsewhere\n")
    assert resolve_workspace(folder) == home / "linked"


def test_a_plain_folder(home: Path) -> None:
    (home / "plain").mkdir()
    assert resolve_workspace(home / "plain") == home / "plain"


def test_links_are_resolved(home: Path) -> None:
    (home / "plain").mkdir()
    (home / "link").symlink_to("plain")
    assert resolve_workspace(home / "link") == home / "plain"
    (home / "sneaky").symlink_to("/etc")
    with pytest.raises(WorkspaceRefused):
        resolve_workspace(home / "sneaky")


def test_a_home_in_git_is_not_one_workspace(home: Path) -> None:
    (home / ".git").mkdir()
    (home / "project").mkdir()
    assert resolve_workspace(home / "project") == home / "project"
    with pytest.raises(WorkspaceRefused):
        resolve_workspace(home)


@pytest.mark.parametrize("name", ["/", "/etc", "/usr/lib", "/usr", "/var", "/proc/self", "/tmp", "/dev", "/home"])
def test_system_folders(home: Path, name: str) -> None:
    with pytest.raises(WorkspaceRefused) as caught:
        resolve_workspace(Path(name))
    assert caught.value.hint


def test_home_its_parents_and_what_is_private_in_it(home: Path) -> None:
    for name in (".ssh/keys", ".config", ".local/share/continue-exec/sandboxes", ".config/nvim"):
        (home / name).mkdir(parents=True)
    refused = [home, home.parent, home / ".ssh", home / ".ssh/keys", home / ".config", home / ".local/share"]
    refused.append(home / ".local/share/continue-exec/sandboxes")
    for folder in refused:
        with pytest.raises(WorkspaceRefused):
            resolve_workspace(folder)
    assert resolve_workspace(home / ".config/nvim") == home / ".config/nvim"


def test_what_is_not_there(home: Path) -> None:
    with pytest.raises(NotFound):
        resolve_workspace(home / "nothing")
    with pytest.raises(InvalidRequest):
        resolve_workspace(Path("relative"))
