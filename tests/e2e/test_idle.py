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


@pytest.mark.may_block("looks through /proc")
async def test_a_background_process_keeps_it_and_the_engine(client: Client, workspace: Path) -> None:
    await client.execute(["sh", "-c", "sleep 4711 & echo $! > /tmp/pid"], workspace=workspace)
    sandbox = await client.sandbox_get(workspace={"path": str(workspace)})
    pid = (await client.engine_status()).pid
    await asyncio.sleep(8)
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
