from __future__ import annotations

import pytest

from continue_exec.doors import lsp as door
from continue_exec.doors.cli import main


def test_hands_over(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[list[str]] = []
    monkeypatch.setattr(door, "main", lambda words: heard.append(words) or 7)
    assert main(["lsp", "--stdio", "--clientProcessId", "4"]) == 7
    assert main(["lsp", "--verbose"]) == 7
    assert heard == [[], ["--verbose"]]
