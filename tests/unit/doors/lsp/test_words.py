from __future__ import annotations

from typing import Any

from continue_exec.doors.lsp import words
from tests.unit.doors.lsp.asking import answered

LEFT = [{"path": "b", "code": "conflict", "message": "Both sides changed it.", "hint": ""}]


def test_what_is_said() -> None:
    assert words.of("continueExec/runs", {"runs": []}) is None
    assert words.of("continueExec/changes", {"changes": []}) == "The sandbox has changed nothing."
    many = words.of("continueExec/changes", {"changes": [{"path": f"f{n}"} for n in range(12)]}) or ""
    assert "  f9\n  and 2 more\n" in many and "f10" not in many
    applied = {"applied": ["a"], "left": LEFT}
    assert words.of("continueExec/apply", applied) == "Applied:\n  a\nLeft:\n  b: Both sides changed it."
    assert words.of("continueExec/discard", {"applied": [], "left": []}) == "Nothing to do."


async def test_only_editors_without_views_of_their_own_get_boxes(talk: Any) -> None:
    talk.client.answers["changes.discard"] = {"applied": ["a"], "left": []}
    talk.initialize(events=False)
    argument = {"picks": [{"path": "a"}]}
    talk.ask(1, "workspace/executeCommand", {"command": "continue-exec.discard", "arguments": [argument]})
    await answered(talk, 1)
    (shown,) = talk.of("window/showMessage")
    assert shown["message"] == "Discarded:\n  a"
    talk.sidecar.events = True
    talk.ask(2, "workspace/executeCommand", {"command": "continue-exec.discard", "arguments": [argument]})
    await answered(talk, 2)
    assert len(talk.of("window/showMessage")) == 1
