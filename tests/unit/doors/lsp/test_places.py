from __future__ import annotations

import os
from pathlib import Path

import pytest

from continue_exec.doors.lsp.documents import path_of
from continue_exec.doors.lsp.places import Place, uri_of
from continue_exec.errors import OutsideWorkspace


@pytest.mark.parametrize("opened", ["root", "root/sub", "alias", "alias/sub"])
def test_paths_go_there_and_back(tmp_path: Path, opened: str) -> None:
    (tmp_path / "root/sub").mkdir(parents=True)
    (tmp_path / "alias").symlink_to(tmp_path / "root")
    place = Place(str(tmp_path / opened), str(tmp_path / "root"))
    below = "sub/" if opened.endswith("sub") else ""
    path = str(tmp_path / opened / "dir/a.py")
    assert place.relative(path) == f"{below}dir/a.py"
    assert place.absolute(f"{below}dir/a.py") == path
    assert place.relative(str(tmp_path / opened)) == below.rstrip("/")
    if below:
        assert place.absolute("top.py") == str(tmp_path / "root/top.py")
        assert place.relative(str(tmp_path / "root/top.py")) == "top.py"
    for outside in ("/etc/passwd", str(tmp_path / "rooted/a")):
        with pytest.raises(OutsideWorkspace):
            place.relative(outside)


@pytest.mark.parametrize("name", ["a b", "ü", "50%", "a#b?c", "+[x]", os.fsdecode(b"caf\xe9")])
def test_uris_are_read_back(name: str) -> None:
    assert path_of(uri_of(f"/w/{name}")) == f"/w/{name}"
    assert uri_of("/w", "ce-base") == "ce-base:///w"
