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

    def sandbox_ids(self) -> set[str]:
        """Of every sandbox that has a folder."""
        return {path.name for path in (self.home / "sandboxes").glob("sb_*") if "." not in path.name}

    def mirror_state(self, sandbox_id: str) -> Path:
        """What the mirror knows to be inside. Beside the driver's folder, which the driver may empty."""
        return self.home / "mirror" / f"{sandbox_id}.state"

    def memory(self, sandbox_id: str) -> Path:
        """All that ran in one that is on standby."""
        return self.home / "memory" / sandbox_id

    def bases(self, sandbox_id: str) -> Path:
        """Texts that both sides last had in common (mirror/blobs.py)."""
        return self.home / "mirror" / f"{sandbox_id}.bases"

    def history(self, sandbox_id: str) -> Path:
        """What runs changed; `.blobs` beside it holds the contents."""
        return self.home / "mirror" / f"{sandbox_id}.history"

    def homecoming(self, sandbox_id: str) -> Path:
        """Which file is being written into the workspace (mirror/homecoming.py)."""
        return self.home / "mirror" / f"{sandbox_id}.homecoming"

    def of_mirror(self, sandbox_id: str) -> list[Path]:
        """Every file of those that exists."""
        return sorted((self.home / "mirror").glob(f"{sandbox_id}.*"))

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
