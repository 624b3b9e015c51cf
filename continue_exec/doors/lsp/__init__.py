"""`continue-exec lsp`: the editor sidecar. A language server on standard input and output, a thin client of the engine.

    serve       its life: reading, refusing, ending
    stdio       the wire, kept clean of prints; framing cuts it into messages
    server      what answers what; protocol: pygls with our errors and our raw parameters; rpc: errors as numbers
    runs        starting runs; folders: which workspace; languages: which language
    documents   open documents; text: positions in them; buffers: unsaved texts on their way to the engine
    follow      events on their way back: one pump per run; joiner joins them; takers show them
    review      what the sandbox changed: shown, applied, discarded; edits: as one WorkspaceEdit; places: its paths
    contents    virtual documents; news: that there is something to review; words: a review in one message box
    lenses      where "Run in Sandbox" stands; progress: what is shown while one waits

The messages are in continue_exec/protocol/lsp.py, in words in docs/reference/lsp.md.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Serve one editor until it goes. `--verbose`: more words on standard error. The exit code."""
    import argparse

    parser = argparse.ArgumentParser(prog="continue-exec lsp", description="Language server for editors, on stdio.")
    parser.add_argument("--stdio", action="store_true", help="accepted, as editors pass it; there is no other way")
    parser.add_argument("--verbose", action="store_true", help="say more on standard error")
    parser.add_argument("--clientProcessId", type=int, help="accepted, as editors pass it; initialize says it again")
    arguments = parser.parse_args(argv)

    from .stdio import capture_stdout

    wire = capture_stdout()

    import asyncio
    import logging

    from .serve import serve

    logging.basicConfig(
        level=logging.INFO if arguments.verbose else logging.WARNING, format="%(levelname)s %(message)s"
    )
    # pygls tells every message at INFO and our refusals, which are answers, as errors with tracebacks.
    logging.getLogger("pygls").setLevel(logging.CRITICAL)
    try:
        return asyncio.run(serve(0, wire))
    except KeyboardInterrupt:
        return 130
