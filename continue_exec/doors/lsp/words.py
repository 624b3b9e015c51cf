"""Answers of the review as one message box, for editors that show a command's answer nowhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PATHS = 10
"""Named in one message; `continue-exec diff` has all."""

DONE = {"continueExec/apply": "Applied", "continueExec/discard": "Discarded"}


def of(request: str, answer: Mapping[str, Any]) -> str | None:
    """What to say of an answer; None: nothing, it is shown otherwise."""
    if request == "continueExec/changes":
        paths = [change["path"] for change in answer["changes"]]
        if not paths:
            return "The sandbox has changed nothing."
        return f"{_listed('Changed in the sandbox', paths)}\nTo see them: continue-exec diff"
    if request not in DONE:
        return None
    parts = [_listed(DONE[request], answer["applied"])] if answer["applied"] else []
    parts += [_listed("Left", [f"{one['path']}: {one['message']}" for one in answer["left"]])] if answer["left"] else []
    return "\n".join(parts) or "Nothing to do."


def _listed(head: str, items: Sequence[str]) -> str:
    more = f"\n  and {len(items) - PATHS} more" if len(items) > PATHS else ""
    return f"{head}:\n" + "\n".join(f"  {item}" for item in items[:PATHS]) + more
