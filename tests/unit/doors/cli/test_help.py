from __future__ import annotations

import pytest

from continue_exec.doors.cli import main


def test_help_of_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["help", "run"])
    assert capsys.readouterr().out.startswith("usage: continue-exec run")


def test_help_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "nonsense"]) == 125
