"""The way out, beside a direct connection to the same server: set-up, throughput, many at once. Loopback only.

    python bench/egress.py [--megabytes 1024] [--rounds 5] [--json]

Client, proxy and server are processes of their own. `direct` is TCP to the server; `proxy` is the sandbox's Unix
socket, CONNECT, the policy, a lookup, and then TCP to the same server. What gVisor and the agent add is not in here.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import multiprocessing
import multiprocessing.connection
import os
import socket
import statistics
import tempfile
import threading
import time
from pathlib import Path

from continue_exec.network.names import IP
from continue_exec.network.policy import EgressPolicy, Rule
from continue_exec.network.proxy import EgressProxy

NAME = "server.example"
BLOCK = bytes(1 << 20)


def server(ready: multiprocessing.connection.Connection) -> None:
    """Each connection asks with 9 bytes: what to do, and how many bytes."""

    def one(client: socket.socket) -> None:
        with client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request = client.recv(9, socket.MSG_WAITALL)
            left = int.from_bytes(request[1:], "big")
            if request[:1] == b"D":
                while left > 0:
                    left -= client.send(BLOCK[:left])
            elif request[:1] == b"U":
                buffer = bytearray(1 << 20)
                while left > 0:
                    left -= client.recv_into(buffer)
                client.sendall(b".")
            else:
                client.sendall(b".")

    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    ready.send(listener.getsockname()[1])
    while True:
        client, _ = listener.accept()
        threading.Thread(target=one, args=(client,), daemon=True).start()


def proxy(ready: multiprocessing.connection.Connection, path: str, port: int) -> None:
    """The proxy under test, in front of `port`."""

    async def resolver(name: str) -> list[IP]:
        return [ipaddress.ip_address("127.0.0.1")]

    class Loopback(EgressPolicy):
        def allows_address(self, verdict, address):  # type: ignore[no-untyped-def]
            super().allows_address(verdict, address)  # its time counts
            return

    async def serve() -> None:
        made = EgressProxy(Path(path), Loopback("allowlist", (Rule.parse(f"{NAME}:{port}"),)), resolver=resolver)
        await made.start()
        ready.send(os.getpid())
        await asyncio.Event().wait()

    asyncio.run(serve())


def direct_connection(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def proxied_connection(path: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    sock.sendall(f"CONNECT {NAME}:{port} HTTP/1.1\r\nHost: {NAME}:{port}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(4096)
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(head.decode())
    return sock


def first_byte(connect) -> float:  # type: ignore[no-untyped-def]
    """Milliseconds from nothing to the server's first byte."""
    began = time.perf_counter()
    with connect() as sock:
        sock.sendall(b"P" + bytes(8))
        sock.recv(1)
        return (time.perf_counter() - began) * 1e3


def throughput(connect, kind: bytes, count: int) -> float:  # type: ignore[no-untyped-def]
    """MB/s, down (`D`) or up (`U`)."""
    with connect() as sock:
        began = time.perf_counter()
        sock.sendall(kind + count.to_bytes(8, "big"))
        if kind == b"D":
            buffer, left = bytearray(1 << 20), count
            while left > 0:
                left -= sock.recv_into(buffer)
        else:
            for _ in range(count >> 20):
                sock.sendall(BLOCK)
            sock.recv(1)
        return count / 1e6 / (time.perf_counter() - began)


def at_once(connect, count: int) -> float:  # type: ignore[no-untyped-def]
    """Milliseconds until `count` connections, all open together, have their first byte."""
    began = time.perf_counter()
    socks = []
    for _ in range(count):
        sock = connect()
        sock.sendall(b"P" + bytes(8))
        socks.append(sock)
    for sock in socks:
        sock.recv(1)
        sock.close()
    return (time.perf_counter() - began) * 1e3


def memory_mb(pid: int) -> float:
    """Resident memory now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="cexec-bench-") as folder:
        path = f"{folder}/egress.sock"
        ours, theirs = spawn.Pipe()
        children = [spawn.Process(target=server, args=(theirs,), daemon=True)]
        children[0].start()
        port = ours.recv()
        children.append(spawn.Process(target=proxy, args=(theirs, path, port), daemon=True))
        children[1].start()
        pid = ours.recv()
        ways = {"direct": lambda: direct_connection(port), "proxy": lambda: proxied_connection(path, port)}
        before = memory_mb(pid)
        results: dict[str, dict[str, list[float]]] = {}
        # The two take turns, so that a busy moment hits both.
        for _ in range(options.rounds):
            for name, connect in ways.items():
                one = results.setdefault(name, {})
                one.setdefault("first byte, ms (p50)", []).append(
                    statistics.median(first_byte(connect) for _ in range(200))
                )
                one.setdefault("500 at once, ms", []).append(at_once(connect, 500))
                for kind, words in ((b"D", "down, MB/s"), (b"U", "up, MB/s")):
                    one.setdefault(words, []).append(throughput(connect, kind, options.megabytes << 20))
        after = memory_mb(pid)
        for child in children:
            child.terminate()
            child.join()
    rows = {
        what: {name: round(statistics.median(one[what]), 3) for name, one in results.items()}
        for what in results["direct"]
    }
    for row in rows.values():
        row["ratio"] = round(row["proxy"] / row["direct"], 3)
    rows["proxy's memory, MB"] = {"before": round(before, 1), "after": round(after, 1)}
    if options.json:
        print(json.dumps(rows))
        return
    for what, row in rows.items():
        print(f"{what:24}", "  ".join(f"{name} {value:10}" for name, value in row.items()))


if __name__ == "__main__":
    main()
