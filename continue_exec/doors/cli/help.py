"""`help`: the overview, or one command's own help."""

from __future__ import annotations

from argparse import Namespace

from . import say
from .commands import COMMANDS, dispatch
from .options import Parser

USAGE = "usage: continue-exec COMMAND [OPTIONS] ...\n\nRun code in a persistent gVisor sandbox on this machine.\n"

FOOTER = """
  continue-exec run -- pytest -q       run a command in this folder's sandbox
  continue-exec COMMAND --help         a command's options and examples
  continue-exec --version              the version"""


def help_options(parser: Parser) -> None:
    """Options of `help`."""
    parser.about("Explain a command; without one, list them all.", examples=["help run"])
    parser.add_argument("command", nargs="?", metavar="COMMAND", help="the command to explain")


def help(options: Namespace) -> int:
    """Print the overview, or hand over to `COMMAND --help`."""
    if options.command is not None:
        return dispatch([options.command, "--help"])
    print(USAGE)
    say.table([(f"  {name}", command.summary) for name, command in COMMANDS.items()])
    print(FOOTER)
    return 0
