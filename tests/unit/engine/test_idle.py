from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from continue_exec.engine import idle, standby
from continue_exec.engine.engine import Engine
from continue_exec.errors import SandboxLost


class Previews(list[str]):
    """Copies that wait."""

    async def rest(self) -> None:
        if "broken" in self:
            raise SandboxLost("gone")


class Scripted:
    """An engine's idleness, as a test sets it."""

    def __init__(self) -> None:
        self.settings = SimpleNamespace(sandbox_pause_s=0.01, sandbox_idle_s=0.01, engine_idle_s=0.01)
        self.requests = 0
        self.used_at = time.time() - 100
        self.runs = SimpleNamespace(active={})
        self.state = SimpleNamespace(checkpoint=lambda: None)
        self.ballast = SimpleNamespace(lay=lambda: None)
        self.live: dict[str, Any] = {}
        self.sandboxes = SimpleNamespace(live=self.live)
        self.previews = Previews()

    async def rest(self, _: object, live: Any) -> bool:
        if live.broken:
            raise SandboxLost("gone")
        del self.live[live.sandbox.id]
        return True

    def add(self, sandbox_id: str, *, broken: bool = False) -> None:
        self.live[sandbox_id] = SimpleNamespace(sandbox=SimpleNamespace(id=sandbox_id), broken=broken)


async def ends(engine: Scripted) -> bool:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(standby, "rest", engine.rest)
        try:
            await asyncio.wait_for(idle.watch(cast(Engine, engine)), 0.2)
        except TimeoutError:
            return False
    return True


async def test_sandboxes_go_first_then_the_engine() -> None:
    engine = Scripted()
    engine.add("sb_1")
    assert await ends(engine) and not engine.live


@pytest.mark.parametrize("busy", ["request", "run", "used", "sandbox", "preview"])
async def test_what_keeps_the_engine(busy: str) -> None:
    engine = Scripted()
    if busy == "preview":
        engine.previews += ["run_1", "broken"]
    elif busy == "request":
        engine.requests = 1
    elif busy == "run":
        engine.runs.active["run_1"] = object()
    elif busy == "used":
        engine.settings.engine_idle_s, engine.used_at = 100, time.time()
        engine.settings.sandbox_idle_s = 0.01
    else:
        engine.add("sb_1", broken=True)
    assert not await ends(engine)
