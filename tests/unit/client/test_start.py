"""Starting the engine, with small programs in its place that keep to the ready protocol."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
import time
from pathlib import Path

import pytest

from continue_exec import errors, paths
from continue_exec.client import Client, start

LISTEN = """
import fcntl, os, signal, socket, sys, threading
ready = int(sys.argv[sys.argv.index("--ready-fd") + 1])
home, sock = os.environ["CONTINUE_EXEC_HOME"], os.path.join(os.environ["CONTINUE_EXEC_RUNTIME_DIR"], "engine.sock")
lock = os.open(home + "/engine.lock", os.O_CREAT | os.O_RDWR)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    os.write(ready, b"already\\n")
    sys.exit()
open(home + "/started", "a").write(f"{os.getpid()} {os.getppid()} {os.getsid(0)} {os.getcwd()}\\n")
open(home + "/environ", "w").write("\\n".join(os.environ))
os.makedirs(os.path.dirname(sock), exist_ok=True)
server = socket.socket(socket.AF_UNIX)
server.bind(sock)
server.listen()
os.write(ready, b"ready\\n")
os.close(ready)
def serve(peer):
    if peer.recv(65536):
        peer.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\n\\r\\n{\\"pid\\":1}")
        os._exit(0)
signal.alarm(20)
while True:
    threading.Thread(target=serve, args=server.accept()[:1]).start()
"""


def program(place: Path, text: str) -> list[str]:
    path = place / "program.py"
    path.write_text(textwrap.dedent(text))
    return [sys.executable, str(path)]


async def test_start_on_demand(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    monkeypatch.setenv("SSH_AUTH_SOCK", "x")
    monkeypatch.setenv("HTTPS_PROXY", "x")
    async with Client(command=program(place, LISTEN)) as client:
        assert await client.call("engine.status") == {"pid": 1}
    pid, parent, session, cwd = (place / "home" / "started").read_text().split()
    assert int(parent) != os.getpid() and int(session) != os.getsid(0) and cwd == "/"
    environ = (place / "home" / "environ").read_text().split("\n")
    assert "HTTPS_PROXY" in environ
    assert "SECRET_TOKEN" not in environ and "SSH_AUTH_SOCK" not in environ
    assert (place / "home").stat().st_mode & 0o077 == 0
    assert start.log_path().stat().st_mode & 0o077 == 0
    assert int(pid) > 0


async def test_doors_that_race_start_one(place: Path) -> None:
    command = program(place, LISTEN)
    socket = paths.engine_socket()
    connections = await asyncio.gather(*(start.connect_or_start(socket, command) for _ in range(5)))
    assert len((place / "home" / "started").read_text().splitlines()) == 1
    connections[0].send_head("/v1/engine.status", {}, b"{}")  # the little server ends after one request
    await connections[0].response()
    for connection in connections:
        connection.close()


async def test_one_client_with_many_requests_starts_one(place: Path) -> None:
    spawned = 0
    real = start.spawn

    async def counting(command: list[str]) -> bool:
        nonlocal spawned
        spawned += 1
        return await real(command)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(start, "spawn", counting)
        async with Client(command=program(place, LISTEN)) as client:
            opened = await asyncio.gather(*(client._open() for _ in range(3)))
            assert spawned == 1
            await client.call("engine.status")
            for connection in opened:
                connection.close()


async def test_an_engine_that_says_why_not(place: Path) -> None:
    command = program(
        place,
        """
        import json, os, sys
        error = {"code": "host_unready", "message": "No gVisor here.", "hint": "Get some.", "data": {}}
        os.write(int(sys.argv[-1]), json.dumps(error).encode() + b"\\n")
        """,
    )
    with pytest.raises(errors.HostUnready) as caught:
        await start.connect_or_start(paths.engine_socket(), command)
    assert (caught.value.message, caught.value.hint) == ("No gVisor here.", "Get some.")


async def test_an_engine_that_crashes(place: Path) -> None:
    command = program(place, "raise SystemExit('out of luck')")
    with pytest.raises(errors.EngineUnavailable) as caught:
        await start.connect_or_start(paths.engine_socket(), command)
    assert "out of luck" in caught.value.message
    assert "out of luck" in Path(caught.value.data["log"]).read_text()


async def test_an_engine_that_says_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "READY_SECONDS", 0.3)
    command = program(
        place, f"import os, time; open({str(place / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(9)"
    )
    with pytest.raises(errors.EngineUnavailable, match="said nothing"):
        await start.connect_or_start(paths.engine_socket(), command)
    os.kill(int((place / "pid").read_text()), 9)


async def test_a_lock_whose_holder_never_answers(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "ALREADY_SECONDS", 0.3)
    command = program(place, "import os, sys; os.write(int(sys.argv[-1]), b'already\\n')")
    began = time.monotonic()
    with pytest.raises(errors.EngineUnavailable, match="lock"):
        await start.connect_or_start(paths.engine_socket(), command)
    assert time.monotonic() - began < 10


async def test_a_home_that_cannot_be_made(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "file").write_text("")
    monkeypatch.setenv("CONTINUE_EXEC_HOME", str(place / "file" / "home"))
    with pytest.raises(errors.HostUnready):
        await start.connect_or_start(paths.engine_socket())


async def test_a_socket_that_is_not_one(place: Path) -> None:
    path = place / "run" / "engine.sock"
    path.parent.mkdir()
    (path.parent / "x").write_text("")
    with pytest.raises(errors.EngineUnavailable, match="cannot be used"):
        await start.connect(str(path.parent / "x" / "engine.sock"))
