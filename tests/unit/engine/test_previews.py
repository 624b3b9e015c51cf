"""What a preview tells, and when it cannot be made; on the real driver: tests/e2e/test_preview.py."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from continue_exec.engine import previews
from continue_exec.engine.previews import Previews
from continue_exec.errors import NotFound, NotSupported
from continue_exec.mirror.filter import Filter, IgnoreRules
from continue_exec.protocol.methods import RunStart, WorkspaceRef

from .conftest import World

FILE = (stat.S_IFREG | 0o644, 0, 3, 1, 1, 7)
OTHER = (stat.S_IFREG | 0o644, 0, 4, 2, 2, 7)
WHITEOUT = (stat.S_IFCHR, 0, 0, 3, 3, 8)


def told(workspace: Path, before: previews.Files, after: previews.Files) -> tuple[list[str], list[str]]:
    rules = Filter(str(workspace), IgnoreRules())
    changes, elsewhere = previews._differences(str(workspace), before, after, rules)
    return [f"{one.kind} {one.path}" for one in changes], [f"{one.kind} {one.path}" for one in elsewhere]


def test_what_differs_is_told_by_where_it_is(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("ignored/\n")
    top = str(tmp_path)
    before = {f"{top}/same": FILE, f"{top}/changed": FILE, f"{top}/gone": FILE, "/etc/hosts": FILE, "/usr/w": WHITEOUT}
    after = {
        f"{top}/same": FILE,
        f"{top}/changed": OTHER,
        f"{top}/made": FILE,
        f"{top}/ignored/made": FILE,
        "/etc/hosts": OTHER,
        "/usr/bin/tool": WHITEOUT,
        "/usr/w": FILE,
        "/tmp/continue-exec/snippets/x": FILE,
        "/run/x": FILE,
    }
    changes, elsewhere = told(tmp_path, before, after)
    assert changes == ["modified changed", "deleted gone", "added made"]
    assert set(elsewhere) == {
        "modified /etc/hosts",
        f"added {top}/ignored/made",
        "deleted /usr/bin/tool",
        "added /usr/w",
    }


async def test_a_driver_that_cannot_copy_refuses(world: World, workspace: Path) -> None:
    made = Previews(world.sandboxes, world.runs)
    live = await world.ensure(workspace)
    with pytest.raises(NotSupported, match="cannot copy"):
        await made.start(live, RunStart(workspace=WorkspaceRef(path=str(workspace)), argv=("true",), preview=True))
    assert len(made) == 0


async def test_only_a_preview_that_waits_is_decided_on(world: World, workspace: Path) -> None:
    made = Previews(world.sandboxes, world.runs)
    active = await world.start(workspace, "true")
    for decide in (made.show, made.keep, made.discard):
        with pytest.raises(NotFound, match="waits for a decision"):
            await decide(active.run.id)
    await made.rest()
    await made.close()
