from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from continue_exec.engine import workspaces
from continue_exec.errors import OutsideWorkspace
from continue_exec.protocol.methods import Buffer, BuffersSet, WorkspaceRef


@pytest.fixture
def buffers(monkeypatch: pytest.MonkeyPatch) -> workspaces.Buffers:
    monkeypatch.setattr(workspaces, "resolve_workspace", lambda path, root: path, raising=False)
    return workspaces.Buffers()


def ended_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def request(folder: Path, client: str, text: str | None, pid: int | None = None) -> BuffersSet:
    buffer = Buffer(path=str(folder / "src" / "a.py"), text=text)
    return BuffersSet(client=client, pid=pid, workspace=WorkspaceRef(path=str(folder)), buffers=(buffer,))


def test_a_buffer_belongs_to_the_workspace_that_is_named(buffers: workspaces.Buffers, tmp_path: Path) -> None:
    # Without Git the folder of src/a.py alone would be src.
    path = str(tmp_path / "src" / "a.py")
    assert buffers.set(request(tmp_path, "one", "x")) == {str(tmp_path): {path: "x"}}
    assert buffers.of(str(tmp_path)) == {"one": {path: "x"}}
    assert buffers.set(request(tmp_path, "one", None)) == {str(tmp_path): {path: None}}
    assert buffers.of(str(tmp_path)) == {"one": {}}


def test_a_buffer_outside_its_workspace_is_refused(buffers: workspaces.Buffers, tmp_path: Path) -> None:
    outside = Buffer(path="/elsewhere/a.py", text="x")
    with pytest.raises(OutsideWorkspace):
        buffers.set(BuffersSet(client="one", workspace=WorkspaceRef(path=str(tmp_path)), buffers=(outside,)))


def test_buffers_go_with_the_process_that_held_them(buffers: workspaces.Buffers, tmp_path: Path) -> None:
    buffers.set(request(tmp_path, "alive", "x", os.getpid()))
    buffers.set(request(tmp_path, "nameless", "x"))
    buffers.set(request(tmp_path, "gone", "x", ended_pid()))
    path = str(tmp_path / "src" / "a.py")
    assert buffers.drop_gone() == [(str(tmp_path), "gone", {path: None})]
    assert sorted(buffers.of(str(tmp_path))) == ["alive", "nameless"]
    assert buffers.drop_gone() == []
