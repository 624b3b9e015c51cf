"""The proxy on real sockets: what it carries, what it refuses, and what it does about those who attack it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from pathlib import Path

import pytest

from continue_exec.errors import HostUnready
from continue_exec.network import http1
from continue_exec.network.policy import EgressPolicy, Rule
from continue_exec.network.proxy import Decision, EgressProxy, ProxyLimits
from continue_exec.network.upstream import Upstream
from tests.unit.network.conftest import TIMEOUT_S, Lab, LoopbackIsPublic, Recorder, echo

GOOD = b"HTTP/1.1 200 Connection established\r\n\r\n"


async def test_tunnel_carries_both_ways_and_is_reported(lab: Lab) -> None:
    port = await lab.serve(echo)
    lab.names.answers["a.example"] = [["127.0.0.1"]]
    await lab.proxy((f"a.example:{port}",))
    reader, writer, head = await lab.tunnel("A.Example.", port)
    assert head == GOOD
    writer.write(b"x" * 3_000_000)
    writer.write_eof()
    assert len(await reader.read()) == 3_000_000
    decision = await lab.decision()
    assert decision == Decision("a.example", port, True, decision.reason, 3_000_000, 3_000_000)
    assert "settings" in decision.reason


async def test_bytes_that_come_with_the_head_are_not_lost(lab: Lab) -> None:
    port = await lab.serve(echo)
    lab.names.answers["a.example"] = [["127.0.0.1"]]
    await lab.proxy((f"a.example:{port}",))
    assert await lab.ask(f"CONNECT a.example:{port} HTTP/1.1\r\n\r\nearly".encode(), eof=True) == GOOD + b"early"


async def test_each_direction_ends_by_itself(lab: Lab) -> None:
    async def answers_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(hashlib.sha256(await reader.read()).digest())

    async def ends_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.write_eof()
        late.set_result(await reader.read())

    late: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    lab.names.answers["a.example"] = [["127.0.0.1"]]
    one, two = await lab.serve(answers_at_the_end), await lab.serve(ends_first)
    await lab.proxy((f"a.example:{one}", f"a.example:{two}"))

    data = os.urandom(1_000_000)
    reader, writer, _ = await lab.tunnel("a.example", one)
    writer.write(data)
    writer.write_eof()
    assert await reader.read() == hashlib.sha256(data).digest()

    reader, writer, _ = await lab.tunnel("a.example", two)
    assert await reader.read() == b"bye"
    writer.write(b"still here")
    writer.write_eof()
    async with asyncio.timeout(TIMEOUT_S):
        assert await late == b"still here"


async def test_plain_http(lab: Lab) -> None:
    origin = Recorder()
    port = await lab.serve(origin)
    lab.names.answers["a.example"] = [["127.0.0.1"]]
    await lab.proxy((f"a.example:{port}",))
    answer = await lab.ask(
        f"GET http://a.example:{port}/x?y HTTP/1.1\r\nHost: evil.test\r\nProxy-Authorization: s\r\n\r\n".encode()
    )
    assert answer.endswith(b"\r\n\r\nhello")
    assert origin.requests == [f"GET /x?y HTTP/1.1\r\nHost: a.example:{port}\r\nConnection: close\r\n\r\n".encode()]
    assert (await lab.decision()).bytes_down == len(answer)


@pytest.mark.parametrize("framing", ["Content-Length: 5", "Transfer-Encoding: chunked"])
async def test_a_second_request_behind_the_first_reaches_nobody(lab: Lab, framing: str) -> None:
    origin = Recorder()
    port = await lab.serve(origin)
    lab.names.answers["a.example"] = [["127.0.0.1"]]
    await lab.proxy((f"a.example:{port}",))
    body = "12345" if "Length" in framing else "5;ext=1\r\n12345\r\n0\r\nTrailer: x\r\n\r\n"
    hidden = "GET /admin HTTP/1.1\r\nHost: inner.test\r\n\r\n"
    await lab.ask(f"POST http://a.example:{port}/ HTTP/1.1\r\n{framing}\r\n\r\n{body}{hidden}".encode())
    (request,) = origin.requests
    assert b"12345" in request
    assert b"admin" not in request and b"Trailer" not in request and b"ext" not in request


async def test_a_large_body_arrives_whole(lab: Lab) -> None:
    origin = Recorder(b"z" * 2_000_000)
    port = await lab.serve(origin)
    lab.names.answers["a.example"] = [["127.0.0.1"]]
    await lab.proxy((f"a.example:{port}",))
    body = os.urandom(2_000_000)
    head = f"PUT http://a.example:{port}/ HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    answer = await lab.ask(head + body)
    assert answer.endswith(b"z" * 2_000_000)
    assert origin.requests[0].endswith(body)


async def test_a_body_cut_short_ends_the_request(lab: Lab) -> None:
    port = await lab.serve(Recorder())
    lab.names.answers["a.example"] = [["127.0.0.1"]]
    await lab.proxy((f"a.example:{port}",))
    raw = f"PUT http://a.example:{port}/ HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc".encode()
    assert await lab.ask(raw, eof=True) == b""
    assert "announced length" in (await lab.decision()).reason


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("evil.test:443", "not on the allowlist"),
        ("a.example:22", "port 80, 443 only"),
        ("127.0.0.1:443", "unless a rule names them"),
        ("[::1]:443", "unless a rule names them"),
        ("[::ffff:127.0.0.1]:443", "unless a rule names them"),
        ("localhost:443", "own services"),
        ("2130706433:443", "form that programs read differently"),
        ("0x7f000001:443", "form that programs read differently"),
        ("0177.0.0.1:443", "form that programs read differently"),
        ("127.1:443", "form that programs read differently"),
    ],
)
async def test_refusals_are_words_and_reported(lab: Lab, target: str, why: str) -> None:
    await lab.proxy(("a.example",))
    answer = (await lab.ask(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())).decode()
    assert answer.startswith("HTTP/1.1 403 Forbidden: ")
    head, _, body = answer.partition("\r\n\r\n")
    assert why in head.split("\r\n")[0], "pip shows nothing but this line"
    assert why in body
    decision = await lab.decision()
    assert not decision.allowed
    assert why in decision.reason
    assert "refused:" not in decision.reason, "whoever shows it says the host and that it was refused"
    assert lab.names.asked == []


async def test_the_refusal_says_how_a_person_allows_it(lab: Lab) -> None:
    await lab.proxy()
    answer = (await lab.ask(b"CONNECT db.example:5432 HTTP/1.1\r\n\r\n")).decode()
    assert 'add "db.example:5432" to `allow`' in answer
    answer = (await lab.ask(b"GET http://db.example/ HTTP/1.1\r\n\r\n")).decode()
    assert 'add "db.example" to `allow`' in answer


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "127.0.0.2", "169.254.169.254", "::1", "::ffff:10.0.0.1", "fe80::1", "fd00:ec2::254", "0.0.0.0"],
)
async def test_names_that_lead_inwards(lab: Lab, address: str) -> None:
    lab.names.answers["sneaky.example"] = [[address]]
    await lab.proxy(mode="open")
    answer = await lab.ask(b"CONNECT sneaky.example:443 HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"it resolves to" in answer
    assert not (await lab.decision()).allowed


async def test_the_address_that_was_checked_is_the_one_connected_to(lab: Lab) -> None:
    """DNS rebinding: the second answer would be refused, so it must not be asked for."""
    port = await lab.serve(echo)
    lab.names.answers["a.example"] = [["127.0.0.1"], ["10.0.0.1"]]
    await lab.proxy((f"a.example:{port}",))
    assert (await lab.tunnel("a.example", port))[2] == GOOD
    assert lab.names.asked == ["a.example"]


async def test_only_the_good_addresses_of_a_name_are_tried(lab: Lab) -> None:
    port = await lab.serve(echo)
    lab.names.answers["a.example"] = [["169.254.169.254", "10.0.0.1", "127.0.0.1"]]
    await lab.proxy(mode="open")
    assert (await lab.tunnel("a.example", port))[2] == GOOD


async def test_no_address_and_nobody_there(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    lab.names.answers["down.example"] = [["127.0.0.1"]]
    await lab.proxy(mode="open")
    assert (await lab.ask(b"CONNECT nowhere.example:443 HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 502 ")
    assert (await lab.ask(f"CONNECT down.example:{port} HTTP/1.1\r\n\r\n".encode())).startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"\x00" * 1000 + b"\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET http://a.example/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST http://a.example/ HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET http://a.example/ HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        b"GET http://a.example/ HTTP/1.1\nHost: a.example\n\n\r\n\r\n",
    ],
)
async def test_garbage_and_smuggling(lab: Lab, raw: bytes) -> None:
    await lab.proxy(("a.example",))
    assert (await lab.ask(raw)).startswith(b"HTTP/1.1 400 ")
    assert lab.names.asked == []


async def test_a_head_cut_short(lab: Lab) -> None:
    proxy = await lab.proxy()
    assert (await lab.ask(b"GET http://a.exam", eof=True)).startswith(b"HTTP/1.1 400 ")
    assert await lab.ask(b"", eof=True) == b""
    assert len(proxy) == 0


@pytest.mark.parametrize("ending", [b"", b"\r\n\r\n"])
async def test_huge_heads(lab: Lab, ending: bytes) -> None:
    await lab.proxy(("a.example",))
    raw = b"GET http://a.example/ HTTP/1.1\r\nX: " + b"a" * (http1.MAX_HEAD + 20_000) + ending
    assert (await lab.ask(raw)).startswith(b"HTTP/1.1 431 ")


async def test_slow_loris(lab: Lab) -> None:
    await lab.proxy(("a.example",), limits=ProxyLimits(head_s=0.2))
    reader, writer = await lab.connect()
    writer.write(b"GET http://a.example/ HTTP/1.1\r\n")
    # Whatever it drips, the clock of the whole head does not start anew.
    answer = b""
    async with asyncio.timeout(TIMEOUT_S):
        while not answer:
            writer.write(b"X")
            try:
                async with asyncio.timeout(0.05):
                    answer = await reader.read(100)
            except TimeoutError:
                pass
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_connections_are_bounded(lab: Lab) -> None:
    """A thousand at once: as many as allowed are served, the others are told why, and later ones find room again."""
    port = await lab.serve(echo)
    lab.names.answers["a.example"] = [["127.0.0.1"]]
    proxy = await lab.proxy((f"a.example:{port}",), limits=ProxyLimits(connections=100, refusals=1000))
    request = f"CONNECT a.example:{port} HTTP/1.1\r\n\r\n".encode()

    async def one() -> bytes:
        reader, writer = await lab.connect()
        writer.write(request)
        return await reader.readuntil(b"\r\n\r\n")

    async with asyncio.timeout(TIMEOUT_S):
        heads = await asyncio.gather(*(one() for _ in range(1000)))
    assert len(proxy) == 100
    assert sum(head == GOOD for head in heads) == 100
    refused = [head for head in heads if head != GOOD]
    assert all(head.startswith(b"HTTP/1.1 503 ") and b"100 connections" in head for head in refused)
    for writer in lab.writers:
        writer.close()
    async with asyncio.timeout(TIMEOUT_S):
        while len(proxy):  # noqa: ASYNC110 - the kernel tells the proxy, not us
            await asyncio.sleep(0.01)
    assert (await lab.tunnel("a.example", port))[2] == GOOD


async def test_beyond_all_bounds_connections_are_closed(lab: Lab) -> None:
    await lab.proxy(limits=ProxyLimits(connections=1, refusals=0))
    await lab.connect()
    assert await lab.ask(b"") == b""


async def test_a_reader_that_does_not_read_stops_the_sender(lab: Lab) -> None:
    """Nothing is buffered here beyond a block: what the sender got rid of is what kernel buffers hold."""
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.transport.set_write_buffer_limits(0)
        while sent < 1 << 30:
            writer.write(bytes(1 << 20))
            sent += 1 << 20
            await writer.drain()
            grew.set()

    grew = asyncio.Event()
    port = await lab.serve(flood)
    lab.names.answers["a.example"] = [["127.0.0.1"]]
    await lab.proxy((f"a.example:{port}",))
    client = socket.socket(socket.AF_UNIX)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, str(lab.proxies[0].path))
    with client:
        await loop.sock_sendall(client, f"CONNECT a.example:{port} HTTP/1.1\r\n\r\n".encode())
        # Until a quarter of a second brings nothing more: then everything between is full.
        try:
            while True:
                grew.clear()
                async with asyncio.timeout(0.25):
                    await grew.wait()
        except TimeoutError:
            pass
        assert 0 < sent < 32 << 20


async def test_a_change_of_policy_takes_effect_at_once(lab: Lab) -> None:
    port = await lab.serve(echo)
    lab.names.answers |= {"a.example": [["127.0.0.1"]], "b.example": [["127.0.0.1"]]}
    proxy = await lab.proxy((f"a.example:{port}", f"b.example:{port}"))
    reader_a, writer_a, _ = await lab.tunnel("a.example", port)
    reader_b, _, _ = await lab.tunnel("b.example", port)
    proxy.set_policy(LoopbackIsPublic("allowlist", (Rule.parse(f"a.example:{port}"),)))
    assert await reader_b.read() == b""
    decision = await lab.decision()
    assert (decision.host, decision.allowed) == ("b.example", True)
    assert "change of policy" in decision.reason
    writer_a.write(b"still")
    assert await reader_a.readexactly(5) == b"still"
    assert (await lab.ask(f"CONNECT b.example:{port} HTTP/1.1\r\n\r\n".encode())).startswith(b"HTTP/1.1 403 ")
    proxy.set_policy(EgressPolicy("none"))
    assert await reader_a.read() == b""


async def test_a_policy_that_is_still_being_read_is_waited_for(lab: Lab) -> None:
    port = await lab.serve(echo)
    lab.names.answers["a.example"] = [["127.0.0.1"]]

    async def settled() -> None:
        proxy.set_policy(LoopbackIsPublic("allowlist", (Rule.parse(f"a.example:{port}"),)))

    proxy = await lab.proxy(settled=settled)
    assert (await lab.tunnel("a.example", port))[2] == GOOD


async def test_a_policy_that_never_settles_does_not_hold_a_refusal_back(lab: Lab) -> None:
    await lab.proxy(settled=asyncio.Event().wait, limits=ProxyLimits(settle_s=0.05))
    assert (await lab.ask(b"CONNECT a.example:443 HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 403 ")


async def test_a_listener_that_fails_costs_nothing(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    def broken(decision: Decision) -> None:
        raise RuntimeError("listener")

    proxy = await lab.proxy()
    proxy._on_decision = broken
    for _ in range(2):
        assert (await lab.ask(b"CONNECT a.example:443 HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 403 ")
    assert "listener" in caplog.text


async def test_through_the_hosts_own_proxy(lab: Lab) -> None:
    origin, seen = Recorder(), []
    port = await lab.serve(origin)

    async def company(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head)
        if not head.startswith(b"CONNECT"):
            writer.write(b"HTTP/1.1 200 OK\r\n\r\nvia company")
            return
        writer.write(b"HTTP/1.1 200 fine\r\nX: y\r\n\r\nearly ")
        await echo(reader, writer)

    url = f"http://me:secret@127.0.0.1:{await lab.serve(company)}"
    upstream = Upstream.from_env({"HTTPS_PROXY": url, "HTTP_PROXY": url})
    await lab.proxy(("a.example",), upstream=upstream)
    reader, writer, head = await lab.tunnel("a.example", 443)
    writer.write(b"data")
    writer.write_eof()
    assert (head, await reader.read()) == (GOOD, b"early data")
    assert (await lab.ask(b"GET http://a.example/x HTTP/1.1\r\n\r\n")).endswith(b"via company")
    assert seen[0].startswith(b"CONNECT a.example:443 HTTP/1.1\r\n")
    assert seen[1].startswith(b"GET http://a.example/x HTTP/1.1\r\n")
    assert all(b"Proxy-Authorization: Basic " in head for head in seen)
    assert lab.names.asked == [], "a name that a person wrote is resolved by the host's proxy"
    assert port and origin.requests == []


async def test_a_name_that_leads_inwards_is_refused_before_the_hosts_proxy_too(lab: Lab) -> None:
    lab.names.answers["sneaky.example"] = [["10.0.0.1"]]
    await lab.proxy(mode="open", upstream=Upstream.from_env({"HTTPS_PROXY": "http://127.0.0.1:1"}))
    assert (await lab.ask(b"CONNECT sneaky.example:443 HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize(
    ("answer", "words"),
    [(b"HTTP/1.1 407 Who are you\r\n\r\n", b"407"), (b"garbage\r\n\r\n", b"garbage"), (b"", b"no answer")],
)
async def test_the_hosts_proxy_refuses(lab: Lab, answer: bytes, words: bytes) -> None:
    async def company(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    url = f"http://me:secret@127.0.0.1:{await lab.serve(company)}"
    await lab.proxy(("a.example",), upstream=Upstream.from_env({"HTTPS_PROXY": url}))
    got = await lab.ask(b"CONNECT a.example:443 HTTP/1.1\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 502 ")
    assert words in got and b"secret" not in got


async def test_a_proxy_that_cannot_be_chained_is_said(lab: Lab) -> None:
    await lab.proxy(("a.example",), upstream=Upstream.from_env({"ALL_PROXY": "socks5://127.0.0.1:1"}))
    got = await lab.ask(b"CONNECT a.example:443 HTTP/1.1\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 502 ") and b"socks5" in got


async def test_the_socket_is_private_and_goes_away(lab: Lab) -> None:
    proxy = await lab.proxy()
    assert proxy.path.stat().st_mode & 0o777 == 0o600
    await lab.connect()
    await proxy.close()
    assert not proxy.path.exists()
    await proxy.close()


async def test_a_socket_left_by_a_dead_engine_is_replaced(lab: Lab, short_folder: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(short_folder / "egress0.sock"))
    left.close()
    await lab.proxy()
    assert (await lab.ask(b"\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


async def test_a_path_that_cannot_be_a_socket(tmp_path: Path, lab: Lab) -> None:
    for path in (tmp_path / ("x" * 200), tmp_path / "missing" / "egress.sock"):
        proxy = EgressProxy(path, EgressPolicy(), resolver=lab.names)
        with pytest.raises(HostUnready, match="way out"):
            await proxy.start()
        await proxy.close()
