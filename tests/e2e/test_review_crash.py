"""The engine killed with -9 in the middle of a push, of bringing home, of throwing away, of going back.

Each file is then the old one or the new one, whole; nothing of ours is left beside it; and the next engine settles.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from continue_exec.client import Client
from continue_exec.errors import ContinueExecError
from tests.support.engines import RealEngine, kill_engine

pytestmark = pytest.mark.may_block("reads and writes many files itself")

FILES = 600
LONG = "x" * 3000
OLD, NEW = f"old\n{LONG}\n", f"new\n{LONG}\n"
REWRITE = f"import pathlib\nfor n in range({FILES}): pathlib.Path(f'd{{n % 20}}/f{{n}}').write_text({NEW!r})"
"""What a run does inside; then it deletes and adds some."""
MORE = """
for n in range(0, 600, 10):
    pathlib.Path(f'd{n % 20}/f{n}').unlink()
    pathlib.Path(f'd{n % 20}/g{n}').write_text('made')
"""
MOMENTS = random.Random(3)


@pytest.fixture
async def client(engine: RealEngine) -> AsyncIterator[Client]:
    async with engine.client() as made:
        yield made


@pytest.fixture
def many(workspace: Path) -> Path:
    fill(workspace, OLD)
    return workspace


def fill(folder: Path, text: str) -> None:
    for number in range(FILES):
        (folder / f"d{number % 20}").mkdir(exist_ok=True)
        (folder / f"d{number % 20}" / f"f{number}").write_text(text)


def there(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.glob("d*/*")}


def whole(found: dict[str, str]) -> None:
    torn = {path: len(text) for path, text in found.items() if text not in (OLD, NEW, "made")}
    assert not torn, "a file is neither the old one nor the new one"


async def inside(client: Client, folder: Path) -> dict[str, str]:
    code = "import glob, json; print(json.dumps({p: open(p).read() for p in glob.glob('d*/*') + glob.glob('d*/.c*')}))"
    result = await client.execute(["python3", "-c", code], workspace=folder)
    assert result.exit_code == 0, result.stderr
    found: dict[str, str] = json.loads(result.stdout)
    return found


async def killed_during(client: Client, method: str, params: dict[str, Any], longest: float) -> None:
    """Begin it, and kill the engine somewhere on the way."""
    request = asyncio.ensure_future(client.call(method, params))
    await asyncio.wait([request], timeout=MOMENTS.uniform(0, longest))
    await kill_engine(client)
    with suppress(ContinueExecError):
        await request


def ref(folder: Path) -> dict[str, Any]:
    return {"workspace": {"path": str(folder)}}


async def test_push(client: Client, many: Path) -> None:
    await client.execute(["true"], workspace=many)
    for text in (NEW, OLD, NEW):
        fill(many, text)
        await killed_during(client, "workspace.sync", {"path": str(many)}, 0.25)
        assert await inside(client, many) == there(many)
        assert (await client.call("changes.list", ref(many)))["changes"] == [], "the next engine has settled it"


async def test_apply(client: Client, many: Path) -> None:
    run = await client.execute(["python3", "-c", f"{REWRITE}\n{MORE}"], workspace=many)
    assert run.exit_code == 0, run.stderr
    wanted = await inside(client, many)
    for _ in range(3):
        await killed_during(client, "changes.apply", {**ref(many), "all": True}, 0.4)
        whole(there(many))
        await client.call("workspace.sync", {"path": str(many)})
        assert not list(many.rglob(".continue-exec-*")), "left behind"
        assert await inside(client, many) == wanted, "inside stays what it was"
    left = await client.call("changes.apply", {**ref(many), "all": True})
    assert left["left"] == [] and there(many) == wanted
    assert (await client.call("changes.list", ref(many)))["changes"] == []


async def test_discard(client: Client, many: Path) -> None:
    host = there(many)
    run = await client.execute(["python3", "-c", f"{REWRITE}\n{MORE}"], workspace=many)
    assert run.exit_code == 0, run.stderr
    for _ in range(3):
        await killed_during(client, "changes.discard", {**ref(many), "all": True}, 0.4)
        whole(await inside(client, many))
        assert there(many) == host
    assert (await client.call("changes.discard", {**ref(many), "all": True}))["left"] == []
    assert await inside(client, many) == host
    assert (await client.call("changes.list", ref(many)))["changes"] == []


async def test_rewind(client: Client, many: Path) -> None:
    """What a first run made comes back, although a second one changed it and the engine died while it came."""
    first = (await client.execute(["python3", "-c", REWRITE], workspace=many)).run
    await client.call("run.changes", {"run_id": first.id})  # looked at: else both runs are one step
    made = await inside(client, many)
    second = (await client.execute(["python3", "-c", f"{REWRITE.replace('new', 'old')}\n{MORE}"], workspace=many)).run
    await client.call("run.changes", {"run_id": second.id})
    for _ in range(3):
        await killed_during(client, "changes.rewind", {**ref(many), "run_id": second.id}, 0.4)
        whole(await inside(client, many))
    assert (await client.call("changes.rewind", {**ref(many), "run_id": second.id}))["left"] == []
    assert await inside(client, many) == made
