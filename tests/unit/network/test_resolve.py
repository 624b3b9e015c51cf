from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator

import pytest

from continue_exec.network import resolve
from continue_exec.network.policy import EgressPolicy
from continue_exec.network.resolve import Forbidden, SystemResolver, addresses, connect


@pytest.fixture
async def resolver() -> AsyncIterator[SystemResolver]:
    made = SystemResolver()
    yield made
    made.close()


async def test_the_system_knows_this_machine(resolver: SystemResolver) -> None:
    assert ipaddress.ip_address("127.0.0.1") in await resolver("localhost")


async def test_names_that_are_not_there(resolver: SystemResolver) -> None:
    with pytest.raises(OSError):
        await resolver("nothing.invalid")


async def test_one_lookup_for_many_who_ask(resolver: SystemResolver, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    gate = threading.Event()

    def slow(name: str) -> list[resolve.IP]:
        asked.append(name)
        gate.wait(10)
        return [ipaddress.ip_address("192.0.2.1")]

    monkeypatch.setattr(resolve, "_lookup", slow)
    waiting = asyncio.gather(*(resolver("a.example") for _ in range(100)))
    await asyncio.sleep(0)
    gate.set()
    assert len(await waiting) == 100
    await resolver("a.example")
    assert asked == ["a.example"]


async def test_a_lookup_that_hangs_is_given_up(resolver: SystemResolver, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(resolve, "_lookup", lambda name: gate.wait(10) and [])
    monkeypatch.setattr(resolve, "LOOKUP_TIMEOUT_S", 0.05)
    with pytest.raises(TimeoutError):
        await resolver("slow.example")
    gate.set()


async def test_every_address_is_checked() -> None:
    async def names(name: str) -> list[resolve.IP]:
        return [ipaddress.ip_address(text) for text in ("10.0.0.1", "192.0.2.5", "8.8.8.8")]

    policy = EgressPolicy("open", own=lambda address: False)
    found = await addresses(policy, policy.allows("a.example", 443), names)
    assert [str(address) for address in found] == ["8.8.8.8"]


async def test_none_of_them_is_allowed() -> None:
    async def names(name: str) -> list[resolve.IP]:
        return [ipaddress.ip_address("10.0.0.1")]

    policy = EgressPolicy("open")
    with pytest.raises(Forbidden, match=r"10\.0\.0\.1"):
        await addresses(policy, policy.allows("a.example", 443), names)


async def test_the_next_address_is_tried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        # Nothing listens there: loopback refuses at once.
        sock = await connect([ipaddress.ip_address("127.0.0.9"), ipaddress.ip_address("127.0.0.1")], port)
        with sock:
            assert sock.getpeername() == ("127.0.0.1", port)
            assert sock.getblocking() is False
