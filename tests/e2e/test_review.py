"""Both sides of a real sandbox: random work on both, hot reload, and what a review shows of it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from continue_exec.client import Client
from continue_exec.protocol.frames import Kind
from tests.support.both_sides import remove
from tests.support.engines import RealEngine, kill_engine
from tests.support.mirror_target import tree

pytestmark = pytest.mark.may_block("reads and writes small files itself")

WORK = """
import json, os, shutil, sys
for what, path, text in json.loads(sys.argv[1]):
    try:
        os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
        if what == 'write': open(path, 'w').write(text)
        if what == 'append': open(path, 'a').write(text)
        if what == 'delete' and os.path.isdir(path) and not os.path.islink(path): shutil.rmtree(path)
        elif what == 'delete': os.unlink(path)
        if what == 'rename': os.rename(path, text)
        if what == 'chmod': os.chmod(path, 0o755)
        if what == 'link': os.symlink(text, path)
    except OSError: pass
"""
LOOK = """
import json, os, stat
found = {}
for top, folders, files in os.walk('.'):
    folders[:] = [name for name in folders if name != '.git']
    for name in folders + files:
        path = os.path.normpath(os.path.join(top, name))
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode): found[path] = ['link', 0, os.readlink(path)]
        elif stat.S_ISDIR(mode): found[path] = ['dir', stat.S_IMODE(mode), '']
        else: found[path] = ['file', stat.S_IMODE(mode), open(path).read()]
print(json.dumps(found))
"""
PATHS = ["a", "b", "d/x", "d/y", "e/f/g", "main.py"]


@pytest.fixture
async def client(engine: RealEngine) -> AsyncIterator[Client]:
    async with engine.client() as made:
        yield made


def steps(numbers: random.Random) -> list[tuple[str, str, str]]:
    """What one side does next."""
    found = []
    for _ in range(numbers.randint(1, 4)):
        what = numbers.choice(["write", "write", "append", "delete", "rename", "chmod", "link"])
        text = numbers.choice(PATHS) if what in ("rename", "link") else f"{numbers.randint(0, 5)}\n" * 3
        found.append((what, numbers.choice(PATHS), text))
    return found


def on_host(folder: Path, work: list[tuple[str, str, str]]) -> None:
    for what, name, text in work:
        path = folder / name
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            match what:
                case "write":
                    path.write_text(text)
                case "append":
                    path.write_text(path.read_text() + text)
                case "delete":
                    remove(path)
                case "rename":
                    path.rename(folder / text)
                case "chmod":
                    path.chmod(0o755)
                case "link":
                    path.symlink_to(text)


async def inside(client: Client, folder: Path) -> dict[str, Any]:
    result = await client.execute(["python3", "-c", LOOK], workspace=folder)
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("seed", range(3))
async def test_alike_or_told(client: Client, workspace: Path, seed: int) -> None:
    """As tests/contract/test_both_sides.py, with a real sandbox and engine."""
    numbers = random.Random(seed)
    ref = {"workspace": {"path": str(workspace)}}
    for turn in range(7):
        on_host(workspace, steps(numbers))
        await client.execute(["python3", "-c", WORK, json.dumps(steps(numbers))], workspace=workspace)
        if turn % 3 == 1:
            on_host(workspace, steps(numbers))
        if turn == 3:
            await kill_engine(client)
        if turn % 2:
            await client.call(numbers.choice(["changes.apply", "changes.discard"]), {**ref, "all": True})
        there = await inside(client, workspace)
        host = {path: [kind, mode, data.decode()] for path, (kind, mode, data) in tree(workspace).items()}
        listed = (await client.call("changes.list", ref))["changes"]
        told = {path for change in listed for path in (change["path"], change.get("old_path")) if path}
        for path in host.keys() | there.keys():
            above = {str(parent) for parent in Path(path).parents}
            folder = "dir" in (host.get(path, [""])[0], there.get(path, [""])[0])
            if host.get(path) != there.get(path) and path not in told and not above & told:
                only = path not in host or path not in there
                assert folder and only, f"{path}: {host.get(path)} | {there.get(path)}"
        assert not [path for path in told if path in host and host[path] == there.get(path)]
        assert not [path for path in (*host, *there) if ".continue-exec-" in path]


async def save(path: Path, text: str) -> None:
    for number in count():
        path.with_name("new").write_text(f"{text} // {number}")
        path.with_name("new").rename(path)
        await asyncio.sleep(1)


async def test_a_dev_server_reloads_what_is_saved_on_the_host(client: Client, workspace: Path) -> None:
    """A real one with a file watcher of its own, on the folder: `node --watch-path`.

    (`node --watch` loses a file that is replaced by rename, also without a sandbox.)
    """
    (workspace / "part.js").write_text("module.exports = 'one'")
    (workspace / "app.js").write_text("console.log('serving', require('./part.js')); setInterval(() => {}, 1000)")
    run = await client.start(["node", "--watch-path=.", "app.js"], workspace=workspace)
    seen = b""

    async def until(words: bytes) -> None:
        nonlocal seen
        async for kind, _, payload in frames:
            if kind == Kind.STDOUT:
                seen += payload
            if words in seen:
                return
        raise AssertionError(f"it ended: {seen!r}")

    frames = client.frames("run.follow", {"run_id": run.id})
    async with asyncio.timeout(40):
        await until(b"serving one")
        (workspace / "part.js").write_text("module.exports = 'two'")
        await until(b"serving two")
        # As editors save: a new file, renamed over the old one.
        # Node lets go of what is saved while it restarts, so it is saved until it is served.
        saving = asyncio.ensure_future(save(workspace / "part.js", "module.exports = 'three'"))
        await until(b"serving three")
        saving.cancel()
    await client.run_cancel(run.id)
