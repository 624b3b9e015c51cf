"""The plug pulled: engine, sandbox, agent killed with -9 in the middle. Nothing is lost, nothing is left over."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from continue_exec import paths
from continue_exec.client import Client
from continue_exec.protocol.frames import Kind
from tests.support.engines import RealEngine, kill_engine

COUNT = "i=0; while [ $i -lt 60 ]; do echo $i; i=$((i+1)); sleep 0.05; done"
EXPECTED = b"".join(b"%d\n" % n for n in range(60))


def sandbox_processes(sandbox_id: str) -> list[int]:
    """gVisor's processes of one sandbox, sentry first."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if sandbox_id.encode() in words and b"runsc" in words.split(b"\0")[0]:
                found.append((b"boot" not in words, int(entry.name)))
    return [pid for _, pid in sorted(found)]


async def output_of(client: Client, run_id: str) -> bytes:
    frames = [f async for f in client.frames("run.follow", {"run_id": run_id})]
    return b"".join(bytes(data) for kind, _, data in frames if kind == Kind.STDOUT)


@pytest.fixture
async def client(engine: RealEngine) -> AsyncIterator[Client]:
    async with engine.client() as made:
        yield made


@pytest.mark.may_block("looks through /proc")
async def test_a_killed_engine_is_replaced_and_its_runs_are_adopted(client: Client, workspace: Path) -> None:
    run = await client.start(["sh", "-c", COUNT], workspace=workspace)
    before = (await client.engine_status()).pid
    following = asyncio.ensure_future(output_of(client, run.id))
    await asyncio.sleep(0.5)
    await kill_engine(client)
    assert await asyncio.wait_for(following, 30) == EXPECTED, "a follower misses nothing and gets nothing twice"
    status = await client.engine_status()
    assert status.pid != before
    ended = await client.run_get(run.id)
    assert (ended.state, ended.exit_code) == ("exited", 0)
    assert await output_of(client, run.id) == EXPECTED, "and the log is whole"
    assert len(sandbox_processes(run.sandbox_id)) >= 1


async def test_what_ended_while_no_engine_was_there_is_known(client: Client, workspace: Path) -> None:
    run = await client.start(["sh", "-c", "sleep 0.4; echo done; exit 5"], workspace=workspace)
    await kill_engine(client)
    await asyncio.sleep(0.8)
    assert await output_of(client, run.id) == b"done\n"
    ended = await client.run_get(run.id)
    assert (ended.state, ended.exit_code) == ("exited", 5)


async def test_files_and_background_processes_survive_the_engine(client: Client, workspace: Path) -> None:
    await client.execute(["sh", "-c", "echo kept > /opt/kept; sleep 1000 & echo $! > /tmp/pid"], workspace=workspace)
    await kill_engine(client)
    result = await client.execute(
        ["sh", "-c", "cat /opt/kept; kill -0 $(cat /tmp/pid) && echo alive"], workspace=workspace
    )
    assert result.stdout == b"kept\nalive\n"


async def test_a_killed_engine_still_stops_what_it_should(client: Client, workspace: Path) -> None:
    """A time limit outlives the engine that set it."""
    run = await client.start(["sleep", "1000"], workspace=workspace, timeout_s=1.5)
    await kill_engine(client)
    await output_of(client, run.id)
    ended = await client.run_get(run.id)
    assert (ended.state, ended.reason) == ("exited", "timeout")


@pytest.mark.may_block("looks through /proc")
@pytest.mark.parametrize("victim", [0, -1], ids=["sentry", "gofer"])
async def test_a_killed_sandbox_is_reported_and_starts_anew_with_its_files(
    client: Client, workspace: Path, victim: int
) -> None:
    await client.execute(["sh", "-c", "echo kept > /opt/kept; echo kept > made-inside"], workspace=workspace)
    run = await client.start(["sleep", "1000"], workspace=workspace)
    os.kill(sandbox_processes(run.sandbox_id)[victim], signal.SIGKILL)
    result = None
    for _ in range(3):
        try:
            result = await client.execute(["cat", "/opt/kept", "made-inside"], workspace=workspace)
            break
        except Exception as error:
            assert getattr(error, "code", "") == "sandbox_lost", error
    assert result is not None and result.stdout == b"kept\nkept\n"
    lost = await client.run_get(run.id)
    assert lost.state == "lost" and "ended" in lost.reason


async def test_the_agent_killed_from_inside_ends_the_sandbox_not_the_engine(client: Client, workspace: Path) -> None:
    pid = (await client.engine_status()).pid
    for hostile in (["sh", "-c", "kill -9 1; kill -TERM 1; sleep 0.2"], ["sh", "-c", "kill -9 -1"]):
        try:
            await client.execute(hostile, workspace=workspace)
        except Exception as error:
            assert getattr(error, "code", "") == "sandbox_lost", error
    assert (await client.execute(["echo", "ok"], workspace=workspace)).stdout == b"ok\n"
    assert (await client.engine_status()).pid == pid


@pytest.mark.may_block("looks through /proc")
async def test_kill_during_start_leaves_nothing(client: Client, tmp_path: Path) -> None:
    """Killed at several points of a sandbox's start, the next engine makes it work."""
    for number, delay in enumerate((0.0, 0.03, 0.08, 0.15)):
        folder = tmp_path / f"w{number}"
        folder.mkdir()
        (folder / "a.txt").write_text("a")
        starting = asyncio.ensure_future(client.start(["cat", "a.txt"], workspace=folder))
        await asyncio.sleep(delay)
        await kill_engine(client)
        await asyncio.gather(starting, return_exceptions=True)
        assert (await client.execute(["cat", "a.txt"], workspace=folder)).stdout == b"a"
        sandbox = await client.sandbox_get(workspace={"path": str(folder)})
        assert len(sandbox_processes(sandbox.id)) == 2, "one sentry, one gofer"
        await client.sandbox_remove(sandbox_id=sandbox.id)
        assert sandbox_processes(sandbox.id) == []
        assert not (paths.home() / "sandboxes" / sandbox.id).exists()


async def test_two_engines_racing_are_one(client: Client) -> None:
    await kill_engine(client)

    async def pid() -> int:
        async with Client() as other:
            return (await other.engine_status()).pid

    assert len(set(await asyncio.gather(*(pid() for _ in range(6))))) == 1
