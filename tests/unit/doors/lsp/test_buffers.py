from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from continue_exec.doors.lsp.buffers import Buffers
from continue_exec.doors.lsp.documents import Documents
from continue_exec.errors import ContinueExecError, EngineUnavailable, WorkspaceRefused
from tests.support.fake_client import FakeClient


def sent(client: FakeClient) -> list[dict[str, str | None]]:
    return [{one["path"]: one["text"] for one in params["buffers"]} for params in client.asked("workspace.buffers")]


@pytest.fixture
def documents(tmp_path: Path) -> Documents:
    made = Documents()
    made.opened((tmp_path / "a.py").as_uri(), "python", "unsaved")
    return made


async def test_unsaved_texts_are_sent_with_their_workspace_and_cleared_when_saved(
    documents: Documents, tmp_path: Path
) -> None:
    client, file = FakeClient(), tmp_path / "a.py"
    buffers = Buffers(client, documents)  # type: ignore[arg-type]
    await buffers.flush(str(tmp_path))
    assert client.asked("workspace.buffers") == [
        {
            "client": "lsp-test",
            "pid": os.getpid(),
            "workspace": {"path": str(tmp_path)},
            "buffers": [{"path": str(file), "text": "unsaved"}],
        }
    ]
    await buffers.flush(str(tmp_path))
    assert sent(client)[-1] == {str(file): "unsaved"}, "again: the engine may be another one"
    file.write_text("unsaved")
    documents.saved(file.as_uri())
    await buffers.flush(str(tmp_path))
    assert sent(client)[-1] == {str(file): None}
    count = len(client.calls)
    await buffers.flush(str(tmp_path))
    assert len(client.calls) == count, "nothing to say"


async def test_a_refused_text_keeps_no_other_from_being_sent(documents: Documents, tmp_path: Path) -> None:
    documents.opened((tmp_path / ".env").as_uri(), "plaintext", "SECRET=1")

    def answer(params: dict[str, Any]) -> ContinueExecError | dict[str, Any]:
        refused = any(one["path"].endswith(".env") and one["text"] for one in params["buffers"])
        return WorkspaceRefused("not this one") if refused else {}

    client = FakeClient()
    client.answers["workspace.buffers"] = answer
    buffers = Buffers(client, documents)  # type: ignore[arg-type]
    await buffers.flush(str(tmp_path))
    assert {str(tmp_path / "a.py"): "unsaved"} in sent(client)
    with pytest.raises(WorkspaceRefused):
        await buffers.flush(str(tmp_path), needed=str(tmp_path / ".env"))


async def test_an_engine_that_is_not_there_is_an_error(documents: Documents, tmp_path: Path) -> None:
    client = FakeClient()
    client.answers["workspace.buffers"] = EngineUnavailable("gone")
    with pytest.raises(EngineUnavailable):
        await Buffers(client, documents).flush(str(tmp_path))  # type: ignore[arg-type]


async def test_typing_reaches_only_workspaces_that_have_run(
    documents: Documents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("continue_exec.doors.lsp.buffers.TYPING_SECONDS", 0.01)
    client = FakeClient()
    buffers = Buffers(client, documents)  # type: ignore[arg-type]
    buffers.changed(str(tmp_path))
    await asyncio.sleep(0.05)
    assert client.calls == [], "typing starts no engine"
    buffers.ran(str(tmp_path))
    for _ in range(10):
        buffers.changed(str(tmp_path))
    async with asyncio.timeout(10):
        await client.called.wait()
    assert sent(client) == [{str(tmp_path / "a.py"): "unsaved"}]
    quiet = FakeClient()
    await buffers.close(quiet)  # type: ignore[arg-type]
    assert sent(quiet) == [{str(tmp_path / "a.py"): None}]


async def test_closing_does_not_wait_for_an_engine_that_is_gone(documents: Documents, tmp_path: Path) -> None:
    client, quiet = FakeClient(), FakeClient()
    buffers = Buffers(client, documents)  # type: ignore[arg-type]
    await buffers.flush(str(tmp_path))
    quiet.answers["workspace.buffers"] = EngineUnavailable("gone")
    await buffers.close(quiet)  # type: ignore[arg-type]
    assert len(quiet.calls) == 1
