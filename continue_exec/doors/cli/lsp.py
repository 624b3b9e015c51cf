"""`lsp`: hand this process over to the editor's door."""

from __future__ import annotations

from argparse import Namespace

from .options import Parser


def lsp_options(parser: Parser) -> None:
    """Options of `lsp`."""
    parser.about(
        "Serve an editor: Language Server Protocol over standard input and output. Editors start this by themselves.",
        examples=["lsp"],
    )
    parser.add_argument("--stdio", action="store_true", help="over stdin and stdout: the only way there is")
    parser.add_argument("--clientProcessId", metavar="PID", help="the editor's process; `initialize` says it again")
    parser.add_argument("--verbose", "-v", action="store_true", help="say more on standard error")


def lsp(options: Namespace) -> int:
    """Become the language server."""
    from ..lsp import main

    return main(["--verbose"] if options.verbose else [])
