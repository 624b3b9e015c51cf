"""A full disk: said in words, nothing lost, the engine alive, and all well again once there is room."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from continue_exec.client import Client
from continue_exec.errors import ContinueExecError
from continue_exec.protocol.frames import Kind

MIB = 1 << 20
pytestmark = pytest.mark.may_block("mounts and fills a file system")


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of an engine of its own, with 160 MiB."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="cx-") as folder:
        home = Path(folder) / "home"
        home.mkdir(mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m,mode=700", "cx-small", home], check=True)
        for name, value in {"HOME": home, "RUNTIME_DIR": Path(folder) / "run", "CONFIG": Path(folder) / "c"}.items():
            monkeypatch.setenv(f"CONTINUE_EXEC_{name}", str(value))
        yield home
        subprocess.run(["umount", "--lazy", home], check=True)


@pytest.fixture
async def small(home: Path) -> AsyncIterator[tuple[Client, Path]]:
    """A client of that engine."""
    async with Client() as client:
        yield client, home
        for sandbox in (await client.sandbox_list()).sandboxes:
            await client.sandbox_remove(sandbox_id=sandbox.id)
        await client.engine_stop(force=True)


async def test_a_sandbox_that_fills_its_disk(small: tuple[Client, Path], workspace: Path) -> None:
    client, _ = small
    filled = await client.execute(["sh", "-c", "echo mine > /opt/mine; cat /dev/zero > /opt/big"], workspace=workspace)
    assert filled.exit_code != 0 and b"No space left" in filled.stderr
    status = await client.engine_status()
    # What the engine gives up for its own records has no room for this.
    (workspace / "more.bin").write_bytes(os.urandom(20 * MIB))
    with pytest.raises(ContinueExecError) as refused:
        await client.execute(["true"], workspace=workspace)
    assert refused.value.code == "disk_full" and refused.value.hint
    assert "--no-sync" in refused.value.hint
    sandbox = await client.sandbox_get(workspace={"path": str(workspace)})
    freed = await client.execute(["rm", "/opt/big"], workspace=workspace, sync=False)
    assert freed.exit_code == 0
    assert (await client.execute(["cat", "/opt/mine"], workspace=workspace)).stdout == b"mine\n"
    assert (await client.execute(["sha256sum", "more.bin"], workspace=workspace)).exit_code == 0
    assert (await client.engine_status()).pid == status.pid
    assert (await client.sandbox_get(sandbox_id=sandbox.id)).state == "running"


async def test_a_first_mirror_without_room(small: tuple[Client, Path], workspace: Path) -> None:
    client, home = small
    (workspace / "more.bin").write_bytes(os.urandom(170 * MIB))
    with pytest.raises(ContinueExecError) as refused:
        await client.execute(["true"], workspace=workspace)
    assert refused.value.code == "disk_full" and refused.value.hint
    assert (await client.sandbox_list()).sandboxes == (), "nothing half made stays"
    assert list((home / "sandboxes").glob("*/upper")) == []
    (workspace / "more.bin").write_bytes(b"little")
    assert (await client.execute(["cat", "more.bin"], workspace=workspace)).stdout == b"little"


async def test_output_that_finds_no_room_is_counted_and_the_end_is_told(
    small: tuple[Client, Path], workspace: Path
) -> None:
    client, home = small
    await client.execute(["true"], workspace=workspace)
    run = await client.start(
        ["sh", "-c", "read x; head -c 20000000 /dev/zero; echo end >&2"], workspace=workspace, stdin=True
    )
    free = os.statvfs(home)
    (home / "filler").write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - 6 * MIB)))
    await client.run_stdin(run.id, text="\n", eof=True)
    events = [event async for event in client.run_follow(run.id)]
    assert events[-1].type == "exited" and events[-1].exit_code == 0
    notices = [event for event in events if event.type == "notice"]
    assert [notice.code for notice in notices] == ["output_dropped"] and "disk is full" in notices[0].message
    kept = sum(
        [len(data) async for kind, _, data in client.frames("run.follow", {"run_id": run.id}) if kind == Kind.STDOUT]
    )
    assert 0 < kept < 20_000_000
    (home / "filler").unlink()
    assert (await client.execute(["echo", "ok"], workspace=workspace)).stdout == b"ok\n"
