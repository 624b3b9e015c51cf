"""`preview.*`: a run in a copy of the sandbox, and what becomes of the copy."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from continue_exec.client import Client
from continue_exec.errors import Conflict, NotFound
from tests.support.engines import RealEngine, kill_engine

SCRIPT = """
echo new > made.txt; rm main.py; echo changed >> kept.txt
echo x > /opt/tool; rm -rf /usr/share/doc/bash; mkdir -p __pycache__; echo y > __pycache__/ignored
python3 - <<'PY'
import urllib.request
try:
    urllib.request.urlopen("http://preview.example:8080/", timeout=5)
except Exception:
    pass
PY
"""


async def preview(client: Client, workspace: Path, script: str) -> str:
    """A preview run to its end; its id."""
    params = {"workspace": {"path": str(workspace)}, "argv": ["bash", "-c", script], "preview": True}
    run: dict[str, Any] = await client.call("run.start", params)
    async for _ in client.frames("run.follow", {"run_id": run["id"]}):
        pass
    return str(run["id"])


def data(engine: RealEngine) -> Path:
    return Path(engine.home.variables["CONTINUE_EXEC_HOME"])


async def listed(client: Client, workspace: Path) -> dict[str, str]:
    """Changes for review: path → kind."""
    found = await client.call("changes.list", {"workspace": {"path": str(workspace)}})
    return {change["path"]: change["kind"] for change in found["changes"]}


async def sh(client: Client, workspace: Path, script: str) -> str:
    result = await client.execute(["sh", "-c", script], workspace=workspace)
    return result.stdout.decode()


async def test_what_a_preview_did_is_shown_and_touches_nothing(engine: RealEngine, workspace: Path) -> None:
    (workspace / "kept.txt").write_text("kept\n")
    async with engine.client() as client:
        await sh(client, workspace, "true")
        run_id = await preview(client, workspace, SCRIPT)
        shown = await client.call("preview.show", {"run_id": run_id})
        assert {(one["path"], one["kind"]) for one in shown["changes"]} == {
            ("made.txt", "added"),
            ("main.py", "deleted"),
            ("kept.txt", "modified"),
        }
        elsewhere = {one["path"]: one["kind"] for one in shown["elsewhere"]}
        assert elsewhere["/opt/tool"] == "added"
        assert elsewhere["/usr/share/doc/bash"] == "deleted"
        assert elsewhere[f"{workspace}/__pycache__/ignored"] == "added"
        assert [(one["host"], one["port"], one["allowed"]) for one in shown["hosts"]] == [
            ("preview.example", 8080, False)
        ]
        said = await sh(
            client, workspace, "ls; cat kept.txt; test -e /opt/tool || echo none; ls -d /usr/share/doc/bash"
        )
        assert said == "kept.txt\nmain.py\nkept\nnone\n/usr/share/doc/bash\n"
        assert await listed(client, workspace) == {}
        await client.call("preview.discard", {"run_id": run_id})
        with pytest.raises(NotFound):
            await client.call("preview.show", {"run_id": run_id})
        sandboxes = await client.call("sandbox.list")
        assert shown["sandbox_id"] not in {one["id"] for one in sandboxes["sandboxes"]}
        assert not (data(engine) / "sandboxes" / shown["sandbox_id"]).exists()


async def test_kept_it_is_the_sandbox_with_what_the_host_did_meanwhile(engine: RealEngine, workspace: Path) -> None:
    (workspace / "kept.txt").write_text("kept\n")
    async with engine.client() as client:
        await sh(client, workspace, "echo before > ~/before; sleep 1000 >/dev/null 2>&1 &")
        run_id = await preview(client, workspace, SCRIPT)
        (workspace / "later.txt").write_text("from the host\n")
        before = await client.call("sandbox.get", {"workspace": {"path": str(workspace)}})
        kept = await client.call("preview.keep", {"run_id": run_id})
        assert kept["id"] == before["id"]
        said = await sh(client, workspace, "ls; cat later.txt kept.txt ~/before /opt/tool")
        assert said == "__pycache__\nkept.txt\nlater.txt\nmade.txt\nfrom the host\nkept\nchanged\nbefore\nx\n"
        assert await listed(client, workspace) == {"made.txt": "added", "main.py": "deleted", "kept.txt": "modified"}
        told = await client.call("run.changes", {"run_id": run_id})
        assert {one["path"] for one in told["changes"]} == {"made.txt", "main.py", "kept.txt"}
        await client.call("changes.rewind", {"workspace": {"path": str(workspace)}, "run_id": run_id})
        assert await listed(client, workspace) == {}


async def test_only_so_many_wait_and_active_runs_are_not_ended(engine: RealEngine, workspace: Path) -> None:
    async with engine.client() as client:
        await sh(client, workspace, "true")
        first = await preview(client, workspace, "true")
        running = await client.call("run.start", {"workspace": {"path": str(workspace)}, "argv": ["sleep", "1000"]})
        with pytest.raises(Conflict, match="active"):
            await client.call("preview.keep", {"run_id": first})
        await client.call("run.cancel", {"run_id": running["id"], "grace_s": 0})
        others = [await preview(client, workspace, "true") for _ in range(3)]
        with pytest.raises(Conflict, match="wait for a decision"):
            await preview(client, workspace, "true")
        await asyncio.gather(*(client.call("preview.discard", {"run_id": one}) for one in (first, *others)))


async def test_an_engine_that_was_killed_leaves_no_copy(engine: RealEngine, workspace: Path) -> None:
    async with engine.client() as client:
        await sh(client, workspace, "echo mine > ~/mine")
        run_id = await preview(client, workspace, "echo theirs > ~/mine; sleep 1000 & true")
        shown = await client.call("preview.show", {"run_id": run_id})
        await kill_engine(client)
        assert await sh(client, workspace, "cat ~/mine") == "mine\n"
        with pytest.raises(NotFound):
            await client.call("preview.keep", {"run_id": run_id})
        assert not (data(engine) / "sandboxes" / shown["sandbox_id"]).exists()
