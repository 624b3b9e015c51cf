"""A project with a Git repository, seen from the host and from inside its sandbox."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from continue_exec.client import Client

IDENTITY = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "A Tester",
    "GIT_AUTHOR_EMAIL": "tester@example.com",
    "GIT_COMMITTER_NAME": "A Tester",
    "GIT_COMMITTER_EMAIL": "tester@example.com",
}

PERSON = {name: value for name, value in IDENTITY.items() if "AUTHOR" in name or "COMMITTER" in name}
"""Inside: whoever runs the tests may have no name in Git, and then the sandbox has none either."""


def git(folder: Path | str, *words: str, check: bool = True, input: bytes | None = None) -> str:
    """What the host's git says. File protocol on, so that submodules can be cloned from beside."""
    command = ["git", "-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main", *words]
    done = subprocess.run(command, cwd=folder, env={**os.environ, **IDENTITY}, capture_output=True, input=input)
    assert not check or done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode(errors="surrogateescape").strip()


def commit(folder: Path, name: str = "file", text: str = "text\n", message: str = "a commit") -> str:
    """Write a file and commit all there is; the commit's id."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def repository(folder: Path, commits: int = 1) -> Path:
    """A new repository with a few commits on `main`."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main")
    for number in range(commits):
        commit(folder, "main.py", f"print({number})\n", f"commit {number}")
    return folder


@dataclass
class Project:
    """A work tree on the host, and its sandbox."""

    folder: Path
    client: Client
    person: dict[str, str] = field(default_factory=lambda: dict(PERSON))
    """Who commits inside; empty: whoever the sandbox says."""

    def git(self, *words: str, **options: Any) -> str:
        """The host's git."""
        return git(self.folder, *words, **options)

    def commit(self, *words: str) -> str:
        """On the host."""
        return commit(self.folder, *words)

    async def sh(self, script: str, cwd: Path | None = None) -> str:
        """Standard output of a script inside, which must succeed and be silent on standard error."""
        result = await self.client.execute(
            ["bash", "-ec", script], workspace=self.folder, cwd=cwd or self.folder, env=self.person
        )
        assert (result.exit_code, result.stderr) == (0, b""), (script, result.exit_code, result.stderr, result.stdout)
        return result.stdout.decode(errors="surrogateescape").strip()

    async def any(self, script: str) -> tuple[int, str]:
        """Exit code and all output of a script inside that may fail."""
        result = await self.client.execute(["bash", "-c", script], workspace=self.folder, env=self.person)
        return result.exit_code, (result.stdout + result.stderr).decode(errors="replace")

    async def commit_inside(self, name: str = "inside", text: str = "inside\n", message: str = "made inside") -> str:
        """The commit's id."""
        words = f"cat > {name} << 'END'\n{text}END\ngit add {name}; git commit -q -m '{message}'; git rev-parse HEAD"
        return await self.sh(words)

    async def fetch(self) -> Any:
        """The answer of git.fetch."""
        return await self.client.call("git.fetch", {"path": str(self.folder)})

    async def notes(self) -> list[str]:
        """What the mirror says."""
        return list((await self.client.workspace_sync(str(self.folder))).notes)

    async def sandbox(self) -> str:
        """Its id."""
        return (await self.client.sandbox_get(workspace={"path": str(self.folder)})).id
