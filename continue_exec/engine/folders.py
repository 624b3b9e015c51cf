"""Where the engine keeps things on the host (see also paths.py)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Folders:
    """`home` survives a reboot, `runtime` need not; `agent` is the binary that goes into every sandbox."""

    home: Path
    runtime: Path
    agent: Path

    @property
    def ballast(self) -> Path:
        """See store/ballast.py."""
        return self.home / "ballast"

    @property
    def state(self) -> Path:
        """The state file."""
        return self.home / "state.db"

    def sandbox(self, sandbox_id: str) -> Path:
        """Everything of one sandbox."""
        return self.home / "sandboxes" / sandbox_id

    def mirror_state(self, sandbox_id: str) -> Path:
        """What the mirror knows to be inside. Beside the driver's folder, which the driver may empty."""
        return self.home / "mirror" / f"{sandbox_id}.state"

    def git_memory(self, sandbox_id: str) -> Path:
        """What the host's repositories and the sandbox's last had in common."""
        return self.home / "mirror" / f"{sandbox_id}.git"

    def fetched(self, sandbox_id: str) -> Path:
        """Commits on their way home that are not checked yet."""
        return self.home / "fetch" / sandbox_id

    def sockets(self, sandbox_id: str) -> Path:
        """Bound into one sandbox; the path is short because a socket's may have at most 107 bytes."""
        return self.runtime / sandbox_id

    def run(self, run_id: str) -> Path:
        """One run's log."""
        return self.home / "runs" / run_id
