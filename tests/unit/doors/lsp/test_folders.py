from __future__ import annotations

from pathlib import Path

import pytest

from continue_exec.doors.lsp.folders import Folders
from continue_exec.errors import InvalidRequest


def test_the_innermost_open_folder_holds_a_file(tmp_path: Path) -> None:
    outer, inner = tmp_path, tmp_path / "inner"
    inner.mkdir()
    folders = Folders(lambda: [outer.as_uri(), inner.as_uri(), "vscode-vfs://github/x"])
    assert folders.of((outer / "deep" / "a.py").as_uri()) == str(outer)
    assert folders.of((inner / "a.py").as_uri()) == str(inner)
    assert folders.of(inner.as_uri()) == str(inner)
    assert folders.of(str(tmp_path.as_uri()) + "-other/a.py") == str(tmp_path) + "-other"
    assert folders.of(None) == folders.of("untitled:1") == str(outer)


def test_without_a_folder_the_files_own_counts(tmp_path: Path) -> None:
    folders = Folders(list)
    assert folders.of((tmp_path / "a.py").as_uri()) == str(tmp_path)
    assert folders.of(tmp_path.as_uri()) == str(tmp_path)
    with pytest.raises(InvalidRequest, match="No folder"):
        folders.of(None)
