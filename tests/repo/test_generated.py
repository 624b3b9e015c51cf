from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import pytest

from continue_exec.protocol import generate

ROOT = Path(__file__).resolve().parents[2]
GOFMT = Path(sysconfig.get_path("platlib")) / "go" / "bin" / "gofmt"


@pytest.mark.parametrize("name", generate.OUTPUTS)
def test_generated_files_are_fresh(name: str) -> None:
    path = ROOT / name
    assert path.is_file(), f"{name} is missing: run `scripts/generate` and commit what it wrote"
    same = path.read_text() == generate.OUTPUTS[name]()
    assert same, f"{name} is not what the models say: run `scripts/generate` and commit what it wrote"


def test_write_mends_what_is_stale_and_leaves_the_rest(tmp_path: Path) -> None:
    assert sorted(generate.write(tmp_path)) == sorted(generate.OUTPUTS)
    assert generate.write(tmp_path) == []
    (tmp_path / "docs/reference/errors.md").write_text("old")
    assert generate.stale(tmp_path) == ["docs/reference/errors.md"]
    assert generate.write(tmp_path) == ["docs/reference/errors.md"]


def test_go_types_are_as_gofmt_writes_them() -> None:
    path = ROOT / "sandbox_images/agent/wire/types.go"
    done = subprocess.run([GOFMT, "-d", path], capture_output=True, text=True, check=True)
    assert done.stdout == ""
