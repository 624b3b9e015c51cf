from __future__ import annotations

import io
import time

import pytest

from continue_exec.doors.cli import say


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0.0 s"),
        (0.24, "0.2 s"),
        (1, "1 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 hours"),
        (1e6, "11 days"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    assert say.duration(seconds) == words


def test_ago() -> None:
    assert say.ago(None) == "-"
    assert say.ago(time.time() - 180) == "3 min ago"


@pytest.mark.parametrize(("count", "words"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2e13, "18.2 TiB")])
def test_size(count: float, words: str) -> None:
    assert say.size(count) == words


def test_short() -> None:
    assert say.short("a\x1b[31m\nb") == "a [31m b"
    assert say.short("x" * 100, 10) == "x" * 9 + "…"


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    say.table([("A", "B"), ("long", "x"), ("", "")])
    assert capsys.readouterr().out == "A     B\nlong  x\n\n"


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert say.colour("x", say.RED, io.StringIO()) == "x"
    assert say.colour("x", say.RED, Tty()) == "\x1b[31mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert say.colour("x", say.RED, Tty()) == "x"


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    say.json({"a": "é"})
    assert capsys.readouterr().out == '{"a":"é"}\n'


def test_names_from_a_sandbox_do_not_reach_the_terminal_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    say.line("x\x1b[2J\x1b]0;title\x07\r\n\x9b31m\u202egnp.exe caf\u00e9 \udcff cannot come home")
    err = capsys.readouterr().err
    assert err == (
        "continue-exec: x\\x1b[2J\\x1b]0;title\\x07\\x0d\\x0a\\x9b31m\\u202egnp.exe caf\u00e9 \\xff cannot come home\n"
    )
    say.line("end", end="\r\n")
    assert capsys.readouterr().err == "continue-exec: end\r\n"
