from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from continue_exec import __version__
from continue_exec.doors.cli import commands, main
from continue_exec.doors.cli.options import Parser


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_command_has_help_with_examples_and_codes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    help = capsys.readouterr().out
    assert "examples:" in help and f"continue-exec {name}" in help and "exit codes:" in help


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_option_is_explained(name: str) -> None:
    module = importlib.import_module(f"continue_exec.doors.cli.{commands.COMMANDS[name].module}")
    parser = Parser(name)
    getattr(module, f"{name}_options")(parser)
    for action in parser._actions:
        assert action.help, action
    assert callable(getattr(module, name))


@pytest.mark.parametrize("words", [[], ["help"], ["-h"], ["--help"]])
def test_overview(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    out = capsys.readouterr().out
    for name, command in commands.COMMANDS.items():
        assert f"  {name} " in out and command.summary in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"continue-exec {__version__}\n"


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("rnu", "`continue-exec run`"),
        ("doctro", "`continue-exec doctor`"),
        ("make", "`continue-exec run -- make`"),
        ("--cwd", "lists the commands"),
    ],
)
def test_unknown(typed: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([typed]) == 125
    assert hint in capsys.readouterr().err


def test_the_reference_has_every_command_and_every_option() -> None:
    text = (Path(__file__).parents[4] / "docs" / "reference" / "cli.md").read_text()
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    missing = []
    for name, command in commands.COMMANDS.items():
        parser = Parser(name)
        getattr(importlib.import_module(f"continue_exec.doors.cli.{command.module}"), f"{name}_options")(parser)
        for action in parser._actions:
            for word in action.option_strings or [str(action.metavar)]:
                if word not in ("-h", "--help") and not re.search(rf"`{re.escape(word)}[ `]", sections.get(name, "")):
                    missing.append(f"{name}: {word}")
        known = set(parser._option_string_actions)
        undone = [
            f"{name}: {word} is no option"
            for row in re.findall(r"^\| (`.*?) \|", sections.get(name, ""), re.MULTILINE)
            for word in re.findall(r"`(-[\w-]*)", row)
            if word not in known
        ]
        missing += undone
    assert not missing, f"docs/reference/cli.md: {missing}"
