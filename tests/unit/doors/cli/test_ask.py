from __future__ import annotations

import os
import pty

import pytest

from continue_exec.doors.cli import ask


async def test_a_line_is_what_is_typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    keys, screen = pty.openpty()
    before = os.dup(0)
    try:
        os.dup2(screen, 0)
        os.write(keys, b"  Yes\nno\n\x04")
        assert [await ask.line("Sure? ") for _ in range(3)] == ["yes", "no", None]
    finally:
        os.dup2(before, 0)
        for fd in (before, keys, screen):
            os.close(fd)
    assert capsys.readouterr().err == "Sure? Sure? Sure? \n"


@pytest.mark.parametrize("missing", [0, 2])
def test_somebody_must_see_the_question_and_be_able_to_answer(missing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask.terminal, "is_terminal", lambda fd: True)
    assert ask.possible()
    monkeypatch.setattr(ask.terminal, "is_terminal", lambda fd: fd != missing)
    assert not ask.possible()
