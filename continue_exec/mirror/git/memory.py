"""What host and sandbox last had in common, per repository, in one file beside the mirror's state.

Losing it loses nothing: what is then not the same on both sides counts as moved by both.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .merge import NOTHING, View

log = logging.getLogger(__name__)

_FORMAT = 1


@dataclass
class Known:
    """One repository."""

    base: View = NOTHING
    index: tuple[int, int] = (0, 0)
    """Time of modification and size of the index that was written last: as long as inside has these, it is that one."""
    files: dict[str, str] = field(default_factory=dict)
    """Path below `.git` → hash of what was written last."""
    skipped: list[str] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    """The host's folders of objects, to be shown from the next start on."""


class Memory:
    """Known by the repository's folder, relative to the workspace. Blocks for microseconds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, Known] = {}
        self._load()

    def _load(self) -> None:
        try:
            body = json.loads(self.path.read_bytes())
            if body["format"] == _FORMAT:
                self.known = {rel: _known(fields) for rel, fields in body["repositories"].items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s cannot be read (%s): nothing counts as common", self.path, error)

    def save(self) -> None:
        """Write it. What cannot be written is said in the log, and is as good as lost."""
        temporary = self.path.with_name(self.path.name + ".new")
        body = {"format": _FORMAT, "repositories": {rel: asdict(known) for rel, known in self.known.items()}}
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.write_text(json.dumps(body))
            os.replace(temporary, self.path)
        except OSError as error:
            log.warning("%s cannot be written: %s", self.path, error)
            with suppress(OSError):
                self.path.unlink()


def _known(fields: dict[str, Any]) -> Known:
    return Known(
        base=View(**fields["base"]),
        index=(int(fields["index"][0]), int(fields["index"][1])),
        files=dict(fields["files"]),
        skipped=list(fields["skipped"]),
        objects=list(fields["objects"]),
    )
