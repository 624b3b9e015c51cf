"""With the real agent, by the fake driver."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import pytest

from continue_exec.app import agent_binary
from continue_exec.drivers.base import SandboxSpec
from continue_exec.drivers.fake import FakeDriver
from continue_exec.engine.networks import Networks
from continue_exec.engine.opening import Opening
from continue_exec.errors import SandboxLost
from continue_exec.network.proxy import Decision
from tests.support.homes import Home


class Network:
    """One way out, that only notes."""

    closed = 0
    tell: Callable[[Decision], None]

    async def open(self, path: Path, on_refusal: Callable[[Decision], None]) -> Network:
        self.tell = on_refusal
        return self

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
async def spec() -> AsyncIterator[SandboxSpec]:
    home = Home.make("cxo-")
    folder = home.folder
    spec = SandboxSpec("sb_o", folder / "sandbox", folder / "run", folder / "project", agent_binary())
    yield spec
    await FakeDriver().destroy(spec)
    await asyncio.to_thread(home.remove)


def opening(spec: SandboxSpec, network: Network) -> Opening:
    return Opening(spec, cast(Networks, network))


async def test_it_is_rung_when_it_is_taken(spec: SandboxSpec, network: Network) -> None:
    machine = await FakeDriver().start(spec)
    made = opening(spec, network)
    egress, agent = await made.take(machine.doorbell)
    await made.close()
    assert not agent.closed.is_set() and network.closed == 0, "what was taken is the taker's"
    assert cast(object, egress) is network
    network.tell(Decision("a", 443, False, ""))  # nobody to tell yet
    told: list[Decision] = []
    made.decided = told.append
    network.tell(Decision("b", 443, False, ""))
    assert [decision.host for decision in told] == ["b"]
    await agent.close()


async def test_what_nobody_took_is_closed(spec: SandboxSpec, network: Network) -> None:
    machine = await FakeDriver().start(spec)
    made = opening(spec, network)
    made.ring(machine.doorbell)
    while not (made._agent and made._agent.done()):  # noqa: ASYNC110 - it has no event for this
        await asyncio.sleep(0.01)
    agent = made._agent.result()
    await made.close()
    await made.close()
    assert agent.closed.is_set() and network.closed == 1


async def test_an_agent_that_does_not_come(spec: SandboxSpec, network: Network) -> None:
    spec.folder.mkdir()
    bell = spec.folder / "bell"
    os.mkfifo(bell)
    held = os.open(bell, os.O_RDWR)
    made = opening(spec, network)
    made.ring(bell)
    with pytest.raises(SandboxLost):
        await made.take(bell, timeout_s=0.05)
    await made.close()
    assert network.closed == 1 and not (spec.sockets / "agent.sock").exists()
    os.close(held)


async def test_nobody_at_the_doorbell(spec: SandboxSpec, network: Network) -> None:
    made = opening(spec, network)
    with pytest.raises(SandboxLost):
        await made.take(spec.folder / "bell")
    await made.close()
    assert network.closed == 1
