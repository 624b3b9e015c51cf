"""A host and a sandbox in memory, and the `changes.*` of one against the other: for unit tests of doors."""

from __future__ import annotations

import base64
import difflib
import hashlib
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Entry:
    """A file, or a link whose target is `data`, or a folder."""

    data: bytes = b""
    mode: int = 0o644
    type: str = "file"

    @property
    def text(self) -> str | None:
        try:
            return None if b"\0" in self.data else self.data.decode()
        except UnicodeDecodeError:
            return None


@dataclass
class TwoSides:
    """Attributes: `words`: by path, further fields of its Change; `renames`: new path → old path; `asked`: applied."""

    root: str
    host: dict[str, Entry] = field(default_factory=dict)
    inside: dict[str, Entry] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    words: dict[str, dict[str, Any]] = field(default_factory=dict)
    renames: dict[str, str] = field(default_factory=dict)

    def answers(self) -> dict[str, Any]:
        return {
            "changes.list": self.list,
            "changes.content": self.content,
            "workspace.resolve": lambda _: {"id": "ws_000000000000", "path": self.root, "trusted": False},
        }

    def change(self, path: str, *, hunks: bool = True) -> dict[str, Any] | None:
        old_path = self.renames.get(path, path)
        old, new = self.host.get(old_path), self.inside.get(path)
        if old == new and old_path == path:
            return None
        there = new or old
        assert there is not None
        kind = "added" if old is None else "deleted" if new is None else "renamed" if old_path != path else "modified"
        found: dict[str, Any] = {
            "path": path,
            "kind": kind,
            "old_path": old_path if old_path != path else None,
            "type": there.type,
            "old_type": old.type if old and new and old.type != new.type else None,
            "mode": new.mode if new else None,
            "old_mode": old.mode if old else None,
            "size": len(new.data) if new else 0,
            "version": hashlib.sha1(repr((old, new)).encode()).hexdigest()[:16],
            "insertions": 0,
            "deletions": 0,
            "binary": False,
        }
        texts = [entry.text if entry else "" for entry in (old, new)]
        if {entry.type for entry in (old, new) if entry} == {"file"} and old_data(old) != old_data(new):
            if None in texts:
                found["binary"] = True
            else:
                made = made_hunks(*(text or "" for text in texts))
                found["insertions"] = sum(hunk["new_lines"] for hunk in made)
                found["deletions"] = sum(hunk["old_lines"] for hunk in made)
                found["hunks"] = made if hunks else []
        return {**found, **self.words.get(path, {})}

    def list(self, query: dict[str, Any]) -> dict[str, Any]:
        gone = set(self.renames.values())
        paths = sorted((set(self.host) | set(self.inside)) - gone)
        changes = [self.change(path, hunks=query.get("hunks", False)) for path in paths]
        below = [one.removeprefix(self.root).strip("/") for one in query.get("paths", ())]
        return {
            "sandbox_id": "sb_000000000000",
            "workspace": self.root,
            "changes": [
                one
                for one in changes
                if one and (not below or any(not b or f"{one['path']}/".startswith(f"{b}/") for b in below))
            ],
        }

    def content(self, query: dict[str, Any]) -> dict[str, Any]:
        path, side = query["path"], query["side"]
        answer: dict[str, Any] = {"path": path, "side": side, "exists": False}
        if side == "merged":
            return {**answer, "exists": True, "text": self.merged[path]}
        entry = (self.host if side == "host" else self.inside).get(path)
        if entry is None:
            return answer
        answer |= {"exists": True, "type": entry.type, "mode": entry.mode}
        if entry.type == "symlink":
            answer["target"] = entry.data.decode()
        elif entry.type == "file" and entry.text is not None:
            answer["text"] = entry.text
        elif entry.type == "file":
            answer["base64"] = base64.b64encode(entry.data).decode()
        return answer


def old_data(entry: Entry | None) -> bytes | None:
    return None if entry is None else entry.data


def made_hunks(old: str, new: str) -> list[dict[str, Any]]:
    a, b = (_lines(text) for text in (old, new))
    return [
        {
            "id": hashlib.sha1(repr((i1, a[i1:i2], j1, b[j1:j2])).encode()).hexdigest()[:8],
            "old_start": i1 + 1,
            "old_lines": i2 - i1,
            "new_start": j1 + 1,
            "new_lines": j2 - j1,
            "old_text": "".join(a[i1:i2]),
            "new_text": "".join(b[j1:j2]),
        }
        for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
        if tag != "equal"
    ]


def _lines(text: str) -> list[str]:
    return [line for line in text.replace("\n", "\n\0").split("\0") if line]
