"""`snapshot.*` on the real driver: saved, gone back to, taken back; with what ran."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from continue_exec.client import Client
from continue_exec.errors import Conflict, NotFound
from tests.support.engines import RealEngine, kill_engine

COUNTER = """
import itertools, os, time
for n in itertools.count():
    open("/tmp/count.new", "w").write(str(n))
    os.rename("/tmp/count.new", "/tmp/count")
    time.sleep(0.05)
"""


async def sh(client: Client, workspace: Path, script: str) -> str:
    result = await client.execute(["sh", "-c", script], workspace=workspace)
    return result.stdout.decode()


async def test_saved_gone_back_to_and_taken_back(engine: RealEngine, workspace: Path) -> None:
    ref = {"path": str(workspace)}
    async with engine.client() as client:
        await sh(client, workspace, "echo one > /opt/state; echo mine > mine.txt")
        saved = await client.snapshot_create(ref, name="first")
        assert (saved.name, saved.memory, saved.parent_id) == ("first", False, None) and saved.size_bytes > 0
        with pytest.raises(Conflict, match="There is a snapshot first"):
            await client.snapshot_create(ref, name="first")
        await sh(client, workspace, "echo two > /opt/state; rm mine.txt; echo other > other.txt; rm /usr/bin/yes")
        (workspace / "main.py").write_text("print('changed on the host since')\n")

        restored = await client.snapshot_restore("first", workspace=ref)
        assert restored.snapshot_id == saved.id
        said = await sh(client, workspace, "cat /opt/state mine.txt; ls other.txt; ls /usr/bin/yes; python3 main.py")
        assert said == "one\nmine\n/usr/bin/yes\nchanged on the host since\n"
        changes = await client.changes_list(ref)
        assert [(one.path, one.kind) for one in changes.changes] == [("mine.txt", "added")]

        before, first = (await client.snapshot_list(workspace=ref)).snapshots
        assert first == saved and before.name.startswith("before-first-") and before.parent_id == saved.id
        await client.snapshot_restore(before.id)
        assert await sh(client, workspace, "cat /opt/state other.txt; ls mine.txt") == "two\nother\n"

        assert (await client.snapshot_rename("first", "renamed", workspace=ref)).name == "renamed"
        await client.snapshot_remove("renamed", workspace=ref)
        with pytest.raises(NotFound):
            await client.snapshot_get(saved.id)


async def test_with_memory_all_that_ran_goes_on(engine: RealEngine, workspace: Path) -> None:
    ref = {"path": str(workspace)}
    async with engine.client() as client:
        await client.execute(
            ["sh", "-c", 'setsid python3 -c "$1" > /tmp/log 2>&1 & echo $! > /tmp/pid', "sh", COUNTER],
            workspace=workspace,
        )
        await sh(client, workspace, "until test $(cat /tmp/count || echo 0) -ge 5; do :; done 2>/dev/null")
        following = await client.run_start(
            workspace=ref, argv=["sh", "-c", "echo begun; while test ! -e /tmp/go; do sleep 0.05; done; echo ended"]
        )

        await client.snapshot_create(ref, name="alive", memory=True)

        alive = (
            "kill -0 $(cat /tmp/pid) && a=$(cat /tmp/count); until test $(cat /tmp/count) -gt $a; do :; done; echo $a"
        )
        later = int(await sh(client, workspace, alive))
        assert later >= 5, "the snapshot stopped nothing"
        await sh(client, workspace, "touch /tmp/go")
        output = b"".join([event.data async for event in client.run_follow(following.id) if event.type == "output"])
        assert output == b"begun\nended\n", "a run that went on while memory was saved lost nothing"

        await sh(client, workspace, "kill $(cat /tmp/pid); echo killed > /tmp/count")
        await client.snapshot_restore("alive", workspace=ref)
        assert int(await sh(client, workspace, alive)) >= 5, "what had been killed runs again"
        await sh(client, workspace, "kill $(cat /tmp/pid)")


async def test_active_runs_are_not_ended_by_going_back(engine: RealEngine, workspace: Path) -> None:
    ref = {"path": str(workspace)}
    async with engine.client() as client:
        await client.snapshot_create(ref, name="s")
        run = await client.run_start(workspace=ref, argv=["sleep", "1000"])
        with pytest.raises(Conflict, match="active"):
            await client.snapshot_restore("s", workspace=ref)
        await client.run_cancel(run.id, grace_s=0)


async def test_what_a_crash_cut_off_is_no_snapshot(engine: RealEngine, workspace: Path) -> None:
    ref = {"path": str(workspace)}
    home = Path(engine.home.variables["CONTINUE_EXEC_HOME"])
    async with engine.client() as client:
        await sh(client, workspace, "echo kept > /opt/kept; head -c 50000000 /dev/urandom > /opt/large")
        kept = await client.snapshot_create(ref, name="kept")
        there = {path.name for path in (home / "snapshots").iterdir()}
        making = asyncio.ensure_future(client.snapshot_create(ref, name="cut off"))
        async with asyncio.timeout(20):
            while {path.name for path in (home / "snapshots").iterdir()} == there:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.005)
        await kill_engine(client)
        await asyncio.gather(making, return_exceptions=True)
        assert [one.id for one in (await client.snapshot_list(workspace=ref)).snapshots] == [kept.id]
        assert {path.name for path in (home / "snapshots").iterdir()} == there
        assert await sh(client, workspace, "cat /opt/kept") == "kept\n"


async def test_the_command_line(engine: RealEngine, workspace: Path) -> None:
    def snapshot(*words: str) -> str:
        done = engine.cli("snapshot", *words, cwd=workspace)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    async def call(*words: str) -> str:
        return await asyncio.to_thread(snapshot, *words)

    async with engine.client() as client:
        await sh(client, workspace, "echo one > /opt/state")
        assert (await call("create", "one")).startswith("Saved as one (files, ")
        await sh(client, workspace, "echo two > /opt/state")
        assert "NAME" in await call("list") and "one" in await call("list")
        assert "after:   nothing" in await call("show", "one")
        await call("rename", "one", "uno")
        assert "Restored uno" in await call("restore", "uno")
        assert await sh(client, workspace, "cat /opt/state") == "one\n"
        await call("rm", "uno")
        wrong = await asyncio.to_thread(engine.cli, "snapshot", "restore", "uno", cwd=workspace)
        assert wrong.returncode == 125 and "There is no snapshot uno" in wrong.stderr
        wrong = await asyncio.to_thread(engine.cli, "snapshot", "restore", cwd=workspace)
        assert "Which snapshot?" in wrong.stderr
