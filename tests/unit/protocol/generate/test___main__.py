from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from continue_exec.protocol.generate import OUTPUTS


def test_it_names_what_it_wrote(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "continue_exec.protocol.generate", str(tmp_path)]
    first = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    assert sorted(first.stdout.splitlines()) == sorted(f"wrote {name}" for name in OUTPUTS)
    second = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    assert second.stdout == ""
