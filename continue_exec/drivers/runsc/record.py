"""machine.json: what the driver remembers of a boot, so that the next engine can find it again."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .processes import HostProcess, boot_id

NAME = "machine.json"


@dataclass(frozen=True)
class Record:
    """One boot of a sandbox. Written before the launch (`pid` 0) and again when it is up."""

    boot_id: str
    state: str
    """runsc's `--root`."""
    cgroup: str = ""
    """Path in the cgroup hierarchy; empty if it has none."""
    pid: int = 0
    started: int = 0
    env: dict[str, str] = field(default_factory=dict)

    def process(self) -> HostProcess | None:
        """The sentry, if it still runs."""
        process = HostProcess(self.pid, self.started)
        return process if self.pid and self.boot_id == boot_id() and process.alive() else None


def load(folder: Path) -> Record | None:
    """The record in `folder`; None if there is none or it is damaged (the writer was killed in an old kernel crash)."""
    try:
        body = json.loads((folder / NAME).read_text())
        return Record(**body)
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


def save(folder: Path, record: Record) -> None:
    """Write it as a whole: a reader sees the old one or the new one."""
    temporary = folder / (NAME + ".new")
    temporary.write_text(json.dumps(asdict(record)))
    os.replace(temporary, folder / NAME)


def remove(folder: Path) -> None:
    """Forget the boot."""
    (folder / NAME).unlink(missing_ok=True)
