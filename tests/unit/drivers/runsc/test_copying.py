from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from continue_exec.drivers.runsc import copying
from continue_exec.errors import DiskFull, SandboxFailed


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "upper" / "d").mkdir(parents=True)
    (folder / "over" / "usr-1" / "upper").mkdir(parents=True)
    (folder / "upper" / "d" / "f").write_text("f")
    os.symlink("f", folder / "upper" / "d" / "link")
    (folder / "over" / "usr-1" / "upper" / "tool").write_text("t")
    (folder / "over" / "usr-1" / "upper" / "tool").chmod(0o4755)
    (folder / "work").mkdir()
    return folder


async def test_files_are_alike_and_apart(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    os.utime(source / "upper" / "d" / "f", ns=(1, 2))
    await copying.copy(source, target, user=False)
    assert sorted(entry.name for entry in target.iterdir()) == ["over", "upper"]
    assert (target / "upper" / "d" / "f").stat().st_mtime_ns == 2
    assert os.readlink(target / "upper" / "d" / "link") == "f"
    assert stat.S_IMODE((target / "over" / "usr-1" / "upper" / "tool").stat().st_mode) == 0o4755
    (target / "upper" / "d" / "f").write_text("changed")
    assert (source / "upper" / "d" / "f").read_text() == "f"


async def test_what_fails_is_said(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SandboxFailed, match="could not be copied"):
        await copying.copy(tmp_path / "nowhere", tmp_path, user=False)
    program = tmp_path / "bin" / "cp"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho \"cp: error writing 'x': No space left on device\" >&2; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    with pytest.raises(DiskFull):
        await copying.copy(source, tmp_path, user=False)


def test_a_listing_changes_with_each_file(source: Path) -> None:
    upper = source / "upper"
    before = copying.listing(upper)
    assert before.keys() == {"d/f", "d/link"}
    assert copying.listing(upper) == before
    (upper / "d" / "f").write_text("g")
    (upper / "new").write_text("")
    after = copying.listing(upper)
    assert {path for path in after if after[path] != before.get(path)} == {"d/f", "new"}
    assert copying.listing(source / "nowhere") == {}
