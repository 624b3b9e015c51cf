"""What nobody uses costs nothing, and is there at once when it is needed."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from continue_exec.client import Client


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """Of an engine that pauses sandboxes after half a second, and stops them and itself soon after."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="cx-") as folder:
        for name, value in {"HOME": "home", "RUNTIME_DIR": "run", "CONFIG": "config.toml"}.items():
            monkeypatch.setenv(f"CONTINUE_EXEC_{name}", f"{folder}/{value}")
        for name, value in {"SANDBOX_PAUSE_S": "0.5", "SANDBOX_IDLE_S": "6", "ENGINE_IDLE_S": "0.5"}.items():
            monkeypatch.setenv(f"CONTINUE_EXEC_{name}", value)
        async with Client() as made:
            yield made
            for sandbox in (await made.sandbox_list()).sandboxes:
                await made.sandbox_remove(sandbox_id=sandbox.id)
            await made.engine_stop(force=True)


def sandbox_processes(sandbox_id: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.exists():
            words = (entry / "cmdline").read_bytes()
            if words.startswith(b"runsc") and sandbox_id.encode() in words:
                found.append(entry.name)
    return found


def sentry(sandbox_id: str) -> Path:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            words = (entry / "cmdline").read_bytes() if entry.exists() else b""
            if words.startswith(b"runsc-sandbox") and sandbox_id.encode() in words:
                return entry
    raise AssertionError(f"no sentry of {sandbox_id}")


def status(process: Path) -> tuple[str, int]:
    """State, and clock ticks of CPU used."""
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return fields[0], int(fields[11]) + int(fields[12])


async def until_paused(process: Path) -> None:
    async with asyncio.timeout(30):
        while status(process)[0] != "T":  # noqa: ASYNC110 - the kernel announces it to the parent only
            await asyncio.sleep(0.05)


@pytest.mark.may_block("looks through /proc")
async def test_an_unused_sandbox_gets_no_cpu_and_goes_on_at_once(client: Client, workspace: Path) -> None:
    sandbox = await client.sandbox_ensure(str(workspace))
    process = sentry(sandbox.id)
    await until_paused(process)
    used = status(process)[1]
    await asyncio.sleep(1)
    assert status(process) == ("T", used)
    (workspace / "main.py").write_text("print('saved while it was paused')")
    done = await client.execute(["python3", "main.py"], workspace=workspace)
    assert done.stdout == b"saved while it was paused\n"


async def until_standby(client: Client, sandbox_id: str) -> None:
    async with asyncio.timeout(60):
        while (await client.sandbox_get(sandbox_id=sandbox_id)).state != "standby":  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.2)


SERVER = """
import itertools, os, socket, time
listener = socket.create_server(("127.0.0.1", 8123))
for n in itertools.count():
    open("/tmp/count.new", "w").write(str(n))
    os.rename("/tmp/count.new", "/tmp/count")
    time.sleep(0.2)
"""


@pytest.mark.may_block("looks through /proc")
async def test_what_runs_goes_to_disk_and_wakes_as_it_was(client: Client, workspace: Path) -> None:
    await client.execute(
        ["sh", "-c", 'setsid python3 -c "$1" > /tmp/log 2>&1 & echo $! > /tmp/pid', "sh", SERVER], workspace=workspace
    )
    sandbox = await client.sandbox_get(workspace={"path": str(workspace)})
    first = await client.execute(["sh", "-c", "until cat /tmp/count; do :; done"], workspace=workspace)
    await until_standby(client, sandbox.id)
    assert not sandbox_processes(sandbox.id), "no memory, no process on the host"
    (workspace / "main.py").write_text("print('saved while it was away')")
    said = await client.execute(
        ["sh", "-c", "python3 main.py; kill -0 $(cat /tmp/pid) && cat /tmp/count"], workspace=workspace
    )
    woken, count = said.stdout.decode().split("\n")
    assert woken == "saved while it was away" and int(count) >= int(first.stdout or b"0")
    # Again, over the engine's own end: the next one wakes it.
    pid = (await client.engine_status()).pid
    async with asyncio.timeout(60):
        while Path(f"/proc/{pid}").exists():  # noqa: ASYNC110 - it is nobody's child
            await asyncio.sleep(0.1)
    script = "import socket; socket.create_connection(('127.0.0.1', 8123)); print('it listens')"
    assert (await client.execute(["python3", "-c", script], workspace=workspace)).stdout == b"it listens\n"
    ended = await client.execute(["sh", "-c", "kill $(cat /tmp/pid)"], workspace=workspace)
    assert ended.exit_code == 0


@pytest.mark.may_block("looks through /proc")
async def test_a_process_that_computes_keeps_it_and_the_engine(client: Client, workspace: Path) -> None:
    await client.execute(["sh", "-c", "sh -c 'while :; do :; done' & echo $! > /tmp/pid"], workspace=workspace)
    sandbox = await client.sandbox_get(workspace={"path": str(workspace)})
    pid = (await client.engine_status()).pid
    await asyncio.sleep(14)
    assert status(sentry(sandbox.id))[0] != "T"
    assert Path(f"/proc/{pid}").exists()
    ended = await client.execute(["sh", "-c", "kill $(cat /tmp/pid)"], workspace=workspace)
    assert ended.exit_code == 0


@pytest.mark.may_block("looks through /proc")
async def test_a_paused_sandbox_is_adopted_by_the_next_engine(client: Client, workspace: Path) -> None:
    await client.execute(["sh", "-c", "echo kept > /opt/kept"], workspace=workspace)
    sandbox = await client.sandbox_get(workspace={"path": str(workspace)})
    await until_paused(sentry(sandbox.id))
    await client.engine_stop(force=True)
    assert (await client.execute(["cat", "/opt/kept"], workspace=workspace)).stdout == b"kept\n"
    assert sentry(sandbox.id).exists()


async def test_at_last_sandbox_and_engine_end_and_the_files_stay(client: Client, workspace: Path) -> None:
    await client.execute(["sh", "-c", "echo kept > /opt/kept"], workspace=workspace)
    pid = (await client.engine_status()).pid
    async with asyncio.timeout(60):
        while Path(f"/proc/{pid}").exists():  # noqa: ASYNC110 - it is nobody's child
            await asyncio.sleep(0.1)
    assert (await client.execute(["cat", "/opt/kept"], workspace=workspace)).stdout == b"kept\n"
