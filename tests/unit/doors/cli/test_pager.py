from __future__ import annotations

import os

import pytest

from continue_exec.doors.cli import pager, terminal
from continue_exec.doors.cli.pager import Page


@pytest.fixture
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "is_terminal", lambda fd: True)


def test_without_a_terminal_it_is_standard_output(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAGER", "false")
    with Page() as page:
        page.line("ü" + os.fsdecode(b"\xe9"))
    assert capfdbinary.readouterr().out == b"\xc3\xbc\xe9\n"


@pytest.mark.usefixtures("on_a_terminal")
@pytest.mark.may_block("runs a pager")
def test_the_pager_gets_it_all(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGER", "sh -c 'echo $LESS; wc -l'")
    with Page() as page:
        for _ in range(20000):
            page.line("a line")
    assert capfdbinary.readouterr().out.split() == [b"FRX", b"20000"]


@pytest.mark.usefixtures("on_a_terminal")
@pytest.mark.may_block("runs a pager")
def test_a_pager_that_is_closed_early_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGER", "true")
    with Page() as page:
        for _ in range(100_000):
            page.line("a line")
        assert page.closed


@pytest.mark.usefixtures("on_a_terminal")
@pytest.mark.parametrize("words", ["", "cat", "no-such-pager-anywhere"])
def test_no_pager_or_none_that_is_there(
    words: str, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAGER", words)
    assert pager._start() is None
    with Page() as page:
        page.line("x")
    assert capfdbinary.readouterr().out == b"x\n"
