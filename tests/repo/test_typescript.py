"""The generated TypeScript under `tsc --strict`, and proof that an unhandled event does not compile."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

PROTOCOL = Path(__file__).resolve().parents[2] / "extension" / "protocol"


@pytest.fixture(scope="module")
def tsc() -> Path:
    compiler = PROTOCOL / "node_modules" / "typescript" / "bin" / "tsc"
    if not compiler.exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=PROTOCOL, check=True, timeout=110)
    return compiler


def compile_copy(tsc: Path, folder: Path, check: str) -> subprocess.CompletedProcess[str]:
    for name in ("index.ts", "tsconfig.json", "package.json"):
        shutil.copy(PROTOCOL / name, folder / name)
    (folder / "check.ts").write_text(check)
    return subprocess.run(["node", tsc, "--noEmit", "-p", folder], capture_output=True, text=True, timeout=110)


def test_types_compile_strictly_and_narrow(tsc: Path, tmp_path: Path) -> None:
    done = compile_copy(tsc, tmp_path, (PROTOCOL / "check.ts").read_text())
    assert (done.returncode, done.stdout) == (0, "")
    assert '"strict": true' in (PROTOCOL / "tsconfig.json").read_text()


@pytest.mark.parametrize("case", ["gap", "exited", "lost", "stopped"])
def test_a_missing_case_does_not_compile(tsc: Path, tmp_path: Path, case: str) -> None:
    whole = (PROTOCOL / "check.ts").read_text()
    if case == "lost":  # shares its body with the cases above it
        fewer = whole.replace('    case "lost":\n', "")
    else:
        fewer = re.sub(rf'    case "{case}":\n      return .*;\n', "", whole)
    assert fewer != whole
    done = compile_copy(tsc, tmp_path, fewer)
    assert done.returncode != 0
    assert "is not assignable to parameter of type 'never'" in done.stdout


def test_the_lock_file_names_no_registry() -> None:
    assert "http" not in (PROTOCOL / "package-lock.json").read_text()
