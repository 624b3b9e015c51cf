"""The host's own proxy as a whole is tested in test_proxy.py; here, which way is taken."""

from __future__ import annotations

import socket

import pytest

from continue_exec.network import http1
from continue_exec.network.dial import Forbidden, Unusable, dial
from continue_exec.network.policy import EgressPolicy
from continue_exec.network.upstream import Upstream, UpstreamProxy
from tests.unit.network.conftest import LoopbackIsPublic, Names


def head(port: int, *, tunnel: bool = True) -> http1.Head:
    return http1.Head(b"CONNECT" if tunnel else b"GET", "a.example", port, tunnel)


async def test_direct() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        policy, names = LoopbackIsPublic("open"), Names({"a.example": [["127.0.0.1"]]})
        way = await dial(head(port), policy.allows("a.example", port), policy, names, Upstream())
        with way.sock:
            assert (str(way.address), way.via, way.early) == ("127.0.0.1", None, b"")


async def test_plain_requests_go_to_the_proxy_as_they_are() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        policy, names = EgressPolicy.of("allowlist", ["a.example"]), Names()
        upstream = Upstream(http=f"http://127.0.0.1:{port}")
        way = await dial(head(80, tunnel=False), policy.allows("a.example", 80), policy, names, upstream)
        with way.sock:
            assert (way.address, way.via) == (None, UpstreamProxy("127.0.0.1", port))


async def test_a_proxy_by_name_is_looked_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        upstream = Upstream(http=f"proxy.corp:{server.getsockname()[1]}")
        policy, names = EgressPolicy.of("allowlist", ["a.example"]), Names({"proxy.corp": [["127.0.0.1"]]})
        way = await dial(head(80, tunnel=False), policy.allows("a.example", 80), policy, names, upstream)
        way.sock.close()
        assert names.asked == ["proxy.corp"]


async def test_refused_and_unusable() -> None:
    policy, names = EgressPolicy("open"), Names({"a.example": [["10.0.0.1"]]})
    verdict = policy.allows("a.example", 443)
    with pytest.raises(Forbidden):
        await dial(head(443), verdict, policy, names, Upstream())
    with pytest.raises(Forbidden):
        await dial(head(443), verdict, policy, names, Upstream(https="http://127.0.0.1:1"))
    with pytest.raises(Unusable):
        await dial(head(443), verdict, policy, names, Upstream(https="socks5://127.0.0.1:1"))
