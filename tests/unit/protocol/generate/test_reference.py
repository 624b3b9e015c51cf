from __future__ import annotations

from continue_exec.errors import all_errors
from continue_exec.protocol import lsp, methods
from continue_exec.protocol.generate import reference


def test_every_row_of_every_table_is_documented() -> None:
    text = reference.render_methods()
    assert all(f"| `{name}` |" in text for name in methods.METHODS)
    text = reference.render_lsp()
    assert all(f"| `{name}` |" in text for name in [*lsp.REQUESTS, *lsp.NOTIFICATIONS, *lsp.COMMANDS])
    text = reference.render_errors()
    assert all(f"| `{error.code}` | {error.__name__} |" in text for error in all_errors())
    assert all(f"─ {error.__name__} " in text for error in all_errors()[1:]), "the tree in errors.py draws every class"


def test_every_link_to_a_heading_has_its_heading() -> None:
    for text in (reference.render_methods(), reference.render_lsp(), reference.render_events()):
        headings = {line.lstrip("# ").lower() for line in text.splitlines() if line.startswith("#")}
        links = {part.split(")", 1)[0] for part in text.split("](#")[1:]}
        assert links <= headings, links - headings
