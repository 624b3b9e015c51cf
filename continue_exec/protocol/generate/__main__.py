"""`python -m continue_exec.protocol.generate [ROOT]`: what scripts/generate runs."""

from __future__ import annotations

import sys
from pathlib import Path

from . import write


def main() -> None:
    """Write stale files below ROOT (default: the repository that holds this package) and name them."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[3]
    for name in write(root):
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
