"""Writes, from the models of this package, everything that must agree with them.

    shapes      what a model is, as a small tree
    go          sandbox_images/agent/wire/types.go
    typescript  extension/protocol/index.ts
    reference   docs/reference/{methods,events,errors,lsp-messages}.md

`scripts/generate` writes them; tests/repo/test_generated.py fails when one is stale. To add one: a module with a
function that returns the text, an entry in OUTPUTS.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from . import go, reference, typescript

OUTPUTS: dict[str, Callable[[], str]] = {
    "sandbox_images/agent/wire/types.go": go.render,
    "extension/protocol/index.ts": typescript.render,
    "docs/reference/methods.md": reference.render_methods,
    "docs/reference/events.md": reference.render_events,
    "docs/reference/errors.md": reference.render_errors,
    "docs/reference/lsp-messages.md": reference.render_lsp,
}
"""Files below the repository's root, and what renders each."""


def stale(root: Path) -> list[str]:
    """Files that are missing or differ from what the models say."""
    return [
        name for name, render in OUTPUTS.items() if not (root / name).is_file() or (root / name).read_text() != render()
    ]


def write(root: Path) -> list[str]:
    """Write the files that are stale; their names."""
    changed = stale(root)
    for name in changed:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(OUTPUTS[name]())
    return changed
