"""Sandboxes and runs, in SQLite (WAL): each row is the noun's own JSON beside the columns that queries need.

Calls are synchronous: one takes about 50 µs, as with synchronous=NORMAL a commit does not wait for the disk; only
`checkpoint` and `close` do, and those are called off the event loop. A crash of the engine loses nothing; a power cut
may lose the last moments of run records, never a sandbox's files.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..errors import DiskFull, HostUnready
from ..model import Run, RunState, Sandbox, SandboxState

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS sandboxes (
    id TEXT PRIMARY KEY, workspace TEXT NOT NULL, state TEXT NOT NULL, used_at REAL NOT NULL, json TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS one_per_workspace ON sandboxes (workspace);
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, sandbox_id TEXT NOT NULL, stream INTEGER NOT NULL, active INTEGER NOT NULL,
    created_at REAL NOT NULL, json TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS runs_by_sandbox ON runs (sandbox_id, created_at);
CREATE INDEX IF NOT EXISTS active_runs ON runs (sandbox_id) WHERE active;
"""

ACTIVE = frozenset({RunState.STARTING, RunState.RUNNING})
T = TypeVar("T")


class State:
    """The state file. One engine at a time opens it (store/locks)."""

    def __init__(self, path: Path, make_room: Callable[[], bool] = lambda: False) -> None:
        """`make_room` is asked when the disk is full; if it could, the call is tried once more."""
        self._make_room = make_room
        try:
            # close() comes from another thread, never beside another call.
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("PRAGMA wal_autocheckpoint=0")
            version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
            if version > SCHEMA_VERSION:
                raise HostUnready(
                    f"{path} was written by a newer continue_exec (schema {version}, this one knows {SCHEMA_VERSION})",
                    hint="Upgrade continue_exec, or set CONTINUE_EXEC_HOME to another folder.",
                )
            self._db.executescript(SCHEMA)
            self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        except sqlite3.Error as error:
            raise _mapped(error, path) from None
        self._path = path

    def _guard(self, work: Callable[[], T]) -> T:
        try:
            try:
                return work()
            except sqlite3.Error as error:
                if not isinstance(_mapped(error, self._path), DiskFull) or not self._make_room():
                    raise
                return work()
        except sqlite3.Error as error:
            raise _mapped(error, self._path) from None

    # Sandboxes

    def save_sandbox(self, sandbox: Sandbox) -> None:
        """Insert or replace."""
        row = (sandbox.id, sandbox.workspace.path, sandbox.state, sandbox.used_at, sandbox.model_dump_json())
        self._guard(lambda: self._db.execute("INSERT OR REPLACE INTO sandboxes VALUES (?,?,?,?,?)", row))

    def delete_sandbox(self, sandbox_id: str) -> None:
        """Forget a sandbox and its runs."""

        def work() -> None:
            self._db.execute("DELETE FROM runs WHERE sandbox_id=?", (sandbox_id,))
            self._db.execute("DELETE FROM sandboxes WHERE id=?", (sandbox_id,))

        self._guard(work)

    def sandboxes(self, state: SandboxState | None = None) -> list[Sandbox]:
        """All, or those in one state; last used first."""
        where, args = ("WHERE state=?", (state.value,)) if state else ("", ())
        query = f"SELECT json FROM sandboxes {where} ORDER BY used_at DESC"
        return self._guard(lambda: [Sandbox.model_validate_json(r[0]) for r in self._db.execute(query, args)])

    def sandbox_of(self, workspace: str) -> Sandbox | None:
        """The sandbox of a workspace's path."""
        query = "SELECT json FROM sandboxes WHERE workspace=?"
        row = self._guard(lambda: self._db.execute(query, (workspace,)).fetchone())
        return Sandbox.model_validate_json(row[0]) if row else None

    # Runs

    def save_run(self, run: Run, stream: int) -> None:
        """Insert or replace; `stream` is the agent's number for it."""
        row = (run.id, run.sandbox_id, stream, int(run.state in ACTIVE), run.created_at, run.model_dump_json())
        self._guard(lambda: self._db.execute("INSERT OR REPLACE INTO runs VALUES (?,?,?,?,?,?)", row))

    def runs(self, *, sandbox_id: str | None = None, active: bool = False, limit: int = 1000) -> list[tuple[Run, int]]:
        """Runs with their streams, newest first."""
        query = "SELECT json, stream FROM runs WHERE (?1 IS NULL OR sandbox_id=?1) AND (NOT ?2 OR active) "
        query += "ORDER BY created_at DESC, rowid DESC LIMIT ?3"
        args = (sandbox_id, int(active), limit)
        return self._guard(lambda: [(Run.model_validate_json(r[0]), r[1]) for r in self._db.execute(query, args)])

    def runs_matching(self, prefix: str) -> list[Run]:
        """Runs whose id begins with `prefix`; at most 10."""
        query = "SELECT json FROM runs WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id LIMIT 10"
        return self._guard(lambda: [Run.model_validate_json(r[0]) for r in self._db.execute(query, (prefix,))])

    def surplus_runs(self, keep: int) -> list[str]:
        """Ids of ended runs beyond the `keep` newest."""
        query = "SELECT id FROM runs WHERE NOT active ORDER BY created_at DESC LIMIT -1 OFFSET ?"
        return self._guard(lambda: [r[0] for r in self._db.execute(query, (keep,))])

    def delete_runs(self, ids: list[str]) -> None:
        """Forget runs."""
        self._guard(lambda: self._db.executemany("DELETE FROM runs WHERE id=?", [(i,) for i in ids]))

    def checkpoint(self) -> None:
        """Move what the write-ahead log holds into the file. Waits for the disk: call it off the event loop."""
        db = sqlite3.connect(self._path)
        try:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            raise _mapped(error, self._path) from None
        finally:
            db.close()

    def close(self) -> None:
        """Close the file; a later call raises. Waits for the disk."""
        self._db.close()


def _mapped(error: sqlite3.Error, path: Path) -> HostUnready:
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
        return DiskFull(f"No room to write {path}")
    return HostUnready(
        f"The state file {path} cannot be used: {error}",
        hint="If it is damaged, move it away: sandboxes' files stay, only the list of runs is lost.",
    )
