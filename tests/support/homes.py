"""Folders of ours for one run of the tests. Short, because a socket's path may have 107 bytes (unix(7))."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """The three places of continue_exec/paths.py, below one folder."""

    folder: Path

    @classmethod
    def make(cls, prefix: str = "cx-") -> Home:
        # Not TMPDIR: on some machines its path alone is longer than a socket's may be.
        home = cls(Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp")))
        (home.folder / "run").mkdir(mode=0o700)
        return home

    @property
    def variables(self) -> dict[str, str]:
        return {
            "CONTINUE_EXEC_HOME": str(self.folder / "home"),
            "CONTINUE_EXEC_RUNTIME_DIR": str(self.folder / "run"),
            "CONTINUE_EXEC_CONFIG": str(self.folder / "config.toml"),
        }

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def clean_environ() -> dict[str, str]:
    """This process's variables without any of ours: a developer's settings do not change what is tested."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CONTINUE_EXEC_")}
