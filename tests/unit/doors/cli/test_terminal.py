from __future__ import annotations

import os
import pty
import termios

import pytest

from continue_exec.doors.cli import terminal
from continue_exec.errors import InvalidRequest


def test_raw_is_undone() -> None:
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    with pytest.raises(RuntimeError), terminal.Raw(slave) as raw:
        assert not termios.tcgetattr(slave)[3] & (termios.ECHO | termios.ISIG | termios.ICANON)
        raw.restore()
        assert termios.tcgetattr(slave) == before
        raw.enter()
        raise RuntimeError
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


def test_a_terminal_that_goes_away() -> None:
    master, slave = pty.openpty()
    with terminal.Raw(slave):
        os.close(master)
        os.close(slave)


def test_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "isatty", lambda fd: False)
    with pytest.raises(InvalidRequest, match="standard input is not one"):
        terminal.require("--tty")


def test_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((100, 30)))
    assert terminal.size() == (30, 100)
    monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((0, 0)))
    assert terminal.size() == terminal.DEFAULT_SIZE
