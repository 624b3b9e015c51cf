"""What each run changed in the workspace, and the contents to go back to.

After a run has ended, and when it is quiet, the sandbox's tree is compared with what it was after the run before. What
differs is the run's doing, and is written down with both versions; contents are kept by their hash. A run that ended
while another went on shares its changes with it, which is said.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..mirror.blobs import Blobs
from ..mirror.changes import ABSENT, Version

log = logging.getLogger(__name__)

KEPT = 200
"""Entries; older ones go, and their contents with them."""
KEPT_BYTES = 2 << 30
"""Of contents. Above it the oldest entries go, until half of it is free."""


@dataclass(frozen=True)
class Step:
    """One path in one entry."""

    before: Version
    after: Version
    mirrored: bool
    """Before was what the host had: going back means to have what the host has now."""


@dataclass(frozen=True)
class Entry:
    """What changed between two looks."""

    runs: tuple[str, ...]
    """Runs that ended in between, oldest first; or one name of a rewind or a discard."""
    beside: tuple[str, ...]
    """Runs that went on."""
    at: float
    steps: Mapping[str, Step]


@dataclass
class History:
    """One sandbox's entries, oldest first. `path` is the file they are kept in, a line of JSON each."""

    path: Path
    blobs: Blobs
    entries: list[Entry] = field(default_factory=list)
    _lines: int = 0

    def load(self) -> None:
        """Read the file. A line that makes no sense ends it: it was cut off, and nothing followed. Blocks."""
        self.entries = []
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("%s: %s", self.path, error)
            return
        for line in filter(None, data.split(b"\n")):
            try:
                self.entries.append(_entry(json.loads(line)))
            except (ValueError, KeyError, TypeError, IndexError):
                log.warning("%s ends with half a line", self.path)
                data = data.rstrip(b"\n")
                break
        self._lines = len(self.entries)
        self.entries = self.entries[-KEPT:]
        if not data.endswith(b"\n"):  # what is written next must not continue the last line
            self._rewrite()

    def add(self, entry: Entry) -> None:
        """Write an entry down. Blocks for some microseconds; now and then for a rewriting."""
        self.entries.append(entry)
        self.entries = self.entries[-KEPT:]
        line = json.dumps(_plain(entry)).encode() + b"\n"
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab") as file:
                file.write(line)
            self._lines += 1
        except OSError as error:
            log.warning("%s: %s", self.path, error)
        if self.blobs.size > KEPT_BYTES:
            self._forget_oldest()
        if self._lines > 2 * KEPT:
            self._rewrite()
            self.blobs.keep_only({version.digest for version in self._versions()})

    def _forget_oldest(self) -> None:
        """Until what the others need is half of what may be kept; the newest entry stays."""
        wanted: dict[bytes, int] = {}
        kept: list[Entry] = []
        for entry in reversed(self.entries):
            for step in entry.steps.values():
                for version in (step.before, step.after):
                    if version.digest in self.blobs:
                        wanted[version.digest] = version.size
            if kept and sum(wanted.values()) > KEPT_BYTES // 2:
                break
            kept.insert(0, entry)
        self.entries = kept
        self._rewrite()
        self.blobs.keep_only({version.digest for version in self._versions()})

    def _rewrite(self) -> None:
        temporary = self.path.with_name(self.path.name + ".new")
        try:
            temporary.write_bytes(b"".join(json.dumps(_plain(entry)).encode() + b"\n" for entry in self.entries))
            os.replace(temporary, self.path)
            self._lines = len(self.entries)
        except OSError as error:
            log.warning("%s: %s", self.path, error)

    def _versions(self) -> Iterable[Version]:
        for entry in self.entries:
            for step in entry.steps.values():
                yield step.before
                yield step.after

    def of_run(self, run_id: str) -> Entry | None:
        """The entry that holds what a run changed."""
        return next((entry for entry in self.entries if run_id in entry.runs), None)

    def since(self, run_id: str) -> dict[str, Step] | None:
        """Per path the first step from a run on, which has what was before; None: the run is not known here."""
        first: dict[str, Step] = {}
        found = False
        for entry in self.entries:
            found = found or run_id in entry.runs
            if found:
                for path, step in entry.steps.items():
                    first.setdefault(path, step)
        return first if found else None

    def latest(self) -> dict[str, Version]:
        """Per path what it last became."""
        return {path: step.after for entry in self.entries for path, step in entry.steps.items()}

    def runs_of(self, path: str) -> tuple[str, ...]:
        """Runs that changed a path since it was last as on the host, oldest first."""
        found: list[str] = []
        for entry in self.entries:
            step = entry.steps.get(path)
            if step is not None:
                if step.mirrored:
                    found.clear()
                found += entry.runs
        return tuple(dict.fromkeys(found))

    def restorable(self, run_id: str) -> bool:
        """Whether every content that going back behind a run needs is there."""
        steps = self.since(run_id)
        if steps is None:
            return False
        return all(
            step.mirrored or step.before.kind != "f" or step.before.digest in self.blobs for step in steps.values()
        )


def _plain(entry: Entry) -> dict[str, Any]:
    steps = {
        path: [_listed(step.before), _listed(step.after), int(step.mirrored)] for path, step in entry.steps.items()
    }
    return {"runs": entry.runs, "beside": entry.beside, "at": entry.at, "steps": steps}


def _listed(version: Version) -> list[Any]:
    return [version.kind, version.mode, version.digest.hex(), version.size]


def _entry(plain: dict[str, Any]) -> Entry:
    steps = {
        path: Step(_version(before), _version(after), bool(mirrored))
        for path, (before, after, mirrored) in plain["steps"].items()
    }
    return Entry(tuple(plain["runs"]), tuple(plain["beside"]), float(plain["at"]), steps)


def _version(listed: list[Any]) -> Version:
    kind, mode, digest, size = listed
    return Version(kind, mode, bytes.fromhex(digest), size)


def steps_between(
    before: Mapping[str, Version], after: Mapping[str, Version], mirrored: Mapping[str, Version]
) -> dict[str, Step]:
    """What happened between two looks.

    Args:
        before: what was not as mirrored at the first look.
        after: the same at the second.
        mirrored: what was mirrored of those paths, by now.
    """
    steps = {}
    for path in before.keys() | after.keys():
        now = after.get(path, mirrored.get(path, ABSENT))
        was = before.get(path, mirrored.get(path, ABSENT))
        if not was.like(now):
            steps[path] = Step(was, now, path not in before)
    return steps


def now() -> float:
    """Of an entry."""
    return time.time()
