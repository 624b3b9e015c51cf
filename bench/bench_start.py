"""Start-up of the command line: what a user feels before anything happens

Compared with a Python that does nothing, because an interpreter's own start is the floor.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from bench import report


def measure(quick: bool) -> Iterable[report.Row]:
    cli = str(Path(sys.executable).parent / "continue-exec")

    def call(*argv: str) -> None:
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    floor, version, usage = report.alternate(
        5 if quick else 40,
        lambda: call(sys.executable, "-c", "pass"),
        lambda: call(cli, "--version"),
        lambda: call(cli, "--help"),
    )
    yield report.Row("python -c pass", floor)
    yield report.Row("continue-exec --version", version, against="python -c pass")
    yield report.Row("continue-exec --help", usage, against="python -c pass")


if __name__ == "__main__":
    report.main(__doc__, measure)
