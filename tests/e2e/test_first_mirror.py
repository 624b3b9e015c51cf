"""A new sandbox's first mirror, written on the host before it boots: what programs inside find."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from continue_exec.client import Client
from continue_exec.errors import ContinueExecError
from tests.support.engines import RealEngine, kill_engine

pytestmark = pytest.mark.may_block("the tests make files and look through /proc")

LIST = ["find", ".", "-name", ".git", "-prune", "-o", "-printf", r"%P\t%y\t%m\t%u\t%T@\t%l\0"]


@pytest.fixture
async def client(engine: RealEngine) -> AsyncIterator[Client]:
    async with engine.client() as made:
        yield made


@pytest.fixture
def beneath_usr() -> Iterator[Path]:
    """A workspace beneath a folder of the host's that every sandbox shows."""
    if not os.access("/usr/src", os.W_OK):
        pytest.skip("only root may write to /usr/src")
    folder = Path(tempfile.mkdtemp(dir="/usr/src", prefix="cx-"))
    yield folder
    shutil.rmtree(folder)


def fill(folder: Path) -> None:
    (folder / "d" / "deep").mkdir(parents=True)
    (folder / "d" / "deep" / "f").write_bytes(bytes(range(256)))
    os.utime(folder / "d" / "deep" / "f", ns=(1, 1_500_000_000_123_456_789))
    (folder / "d" / "deep").chmod(0o555)
    (folder / "tool").write_text("#!/bin/sh\necho ran\n")
    (folder / "tool").chmod(0o750)
    (folder / "link").symlink_to("d/deep/f")
    (folder / "dangling").symlink_to("/nowhere")
    (folder / os.fsdecode(b"-\xff \n'\"")).write_text("hostile")
    (folder / "empty").mkdir()
    (folder / ".env").write_text("SECRET=1")
    (folder / "account.json").write_text('{"private_key": "x", "type": "service_account"}')
    (folder / "plain.json").write_text("{}")
    (folder / ".gitignore").write_text("*.log\n")
    (folder / "x.log").write_text("ignored")


def listed(output: bytes) -> dict[bytes, list[bytes]]:
    rows = [row.split(b"\t") for row in output.split(b"\0")[:-1]]
    return {row[0]: row[1:] for row in rows}


async def compare(client: Client, folder: Path) -> None:
    """What `find` says inside is what it says on the host."""
    inside = listed((await client.execute(LIST, workspace=folder, workspace_root=True)).stdout)
    process = await asyncio.create_subprocess_exec(*LIST, cwd=folder, stdout=asyncio.subprocess.PIPE)
    outside = listed((await process.communicate())[0])
    for left_out in (b".env", b"account.json", b"x.log"):
        del outside[left_out]
    del inside[b""], outside[b""]
    assert inside.keys() == outside.keys()
    for path, (kind, mode, user, time, target) in inside.items():
        expected = outside[path]
        assert (kind, target, user) == (expected[0], expected[4], b"root"), path
        if kind != b"l":
            assert mode == expected[1], path
        if kind == b"f":
            assert time == expected[3], path


@pytest.mark.parametrize("where", ["workspace", "beneath_usr"])
async def test_it_is_as_on_the_host(client: Client, request: pytest.FixtureRequest, where: str) -> None:
    folder: Path = request.getfixturevalue(where)
    fill(folder)
    await compare(client, folder)
    sync = await client.workspace_sync(str(folder), root=True)
    assert sync.deleted == 0 and {".env (secret)", "account.json (secret)"} <= set(sync.left_out)
    script = (
        "./tool && cat link | wc -c && echo more >> tool && rm -r d/deep && mkdir d/deep && mv d/deep empty/ && id -u"
    )
    result = await client.execute(["sh", "-c", script], workspace=folder, workspace_root=True)
    assert result.stdout.split() == [b"ran", b"256", b"0"], result.stderr
    (folder / "plain.json").write_text("[]")
    result = await client.execute(["cat", "plain.json"], workspace=folder, workspace_root=True)
    assert result.stdout == b"[]"


async def test_the_first_sync_tells_of_it_and_the_next_has_nothing_to_do(client: Client, workspace: Path) -> None:
    for number in range(300):
        (workspace / f"f{number}").write_text("x")
    first = await client.workspace_sync(str(workspace), root=True)
    assert first.files >= 300 and first.bytes >= 300
    assert (await client.workspace_sync(str(workspace), root=True)).files == 0


async def test_unsaved_text_is_in_it(client: Client, workspace: Path) -> None:
    buffer = {"path": str(workspace / "main.py"), "text": "print('unsaved')\n"}
    await client.workspace_buffers("editor", [buffer])
    assert (await client.execute(["python3", "main.py"], workspace=workspace)).stdout == b"unsaved\n"


@pytest.mark.parametrize("after", [0.01, 0.1, 0.2, 0.3, 0.5])
async def test_an_engine_killed_meanwhile_leaves_nothing_half_mirrored(
    client: Client, workspace: Path, after: float
) -> None:
    for number in range(3000):
        folder = workspace / f"d{number // 100}"
        folder.mkdir(exist_ok=True)
        (folder / f"f{number}").write_text(f"{number}")
    starting = asyncio.ensure_future(client.sandbox_ensure(str(workspace), root=True))
    # Not a wait for something: the point at which the engine dies is what varies.
    await asyncio.sleep(after)
    await kill_engine(client)
    try:
        await starting  # the client may have found the next engine by itself
    except ContinueExecError:
        pass
    # Gone before the next engine looks: a copy of it that an earlier try left must not stay.
    shutil.rmtree(workspace / "d7")
    (workspace / "d8" / "f800").write_text("new")
    script = "find . -type f -not -path './.git/*' | wc -l; ls -d d7; cat d8/f800 d29/f2999; echo; cat d*/f* | wc -c"
    result = await client.execute(["sh", "-c", script], workspace=workspace, workspace_root=True)
    files = [path for path in workspace.rglob("*") if path.is_file() and ".git" not in path.parts]
    size = sum(path.stat().st_size for path in files if path.parent != workspace)
    assert result.stdout.split() == [str(len(files)).encode(), b"new2999", str(size).encode()], result.stderr
