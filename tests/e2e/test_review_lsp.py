"""What the sandbox changed, reviewed in an editor: a real sidecar, a real engine, a real sandbox."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from continue_exec.doors.lsp.text import Encoding
from tests.support.engines import RealEngine
from tests.support.lsp_peer import Editor, RpcError
from tests.support.lsp_workbench import CAPABILITIES, Workbench

TEN = "".join(f"line {n}\n" for n in range(1, 11))


class Desk:
    """An editor with a workspace open, and what it does most in these tests."""

    def __init__(self, editor: Editor, folder: Path, encoding: Encoding = "utf-16") -> None:
        self.editor = editor
        self.folder = folder
        self.bench = Workbench(editor, encoding)

    def uri(self, name: str) -> str:
        return (self.folder / name).as_uri()

    async def inside(self, script: str) -> str:
        run_id, final = await self.editor.finished("continueExec/run", {"argv": ["sh", "-ec", script]})
        assert final.get("exit_code") == 0, (final, self.editor.text(run_id, "stderr"))
        return self.editor.text(run_id)

    async def changes(self, **params: Any) -> dict[str, Any]:
        answer = await self.editor.request("continueExec/changes", params)
        return {change["path"]: change for change in answer["changes"]}

    async def apply(self, *picks: dict[str, Any], **params: Any) -> tuple[list[str], dict[str, str]]:
        answer = await self.editor.request("continueExec/apply", {"picks": list(picks), **params})
        return answer["applied"], {one["path"]: one["message"] for one in answer["left"]}


@pytest.fixture
async def desk(engine: RealEngine, workspace: Path) -> AsyncIterator[Desk]:
    (workspace / "ten").write_text(TEN)
    async with await Editor.start(engine.variables) as editor:
        await editor.initialize(workspace, capabilities=CAPABILITIES)
        yield Desk(editor, workspace)


async def test_a_change_comes_home_as_an_edit_of_the_unsaved_text(desk: Desk, workspace: Path) -> None:
    uri = desk.bench.show(workspace / "ten")
    await desk.inside("true")
    desk.bench.type(uri, TEN + "typed\n")
    await desk.inside("sed -i -e s/^line.2$/two/ ten; cat ten")
    (change,) = (await desk.changes(hunks=True)).values()
    (hunk,) = change["hunks"]
    assert (hunk["old_text"], hunk["new_text"]) == ("line 2\n", "two\n"), "the unsaved line is no difference"
    applied, left = await desk.apply({"path": "ten", "version": change["version"], "hunks": [hunk["id"]]})
    assert (applied, left) == (["ten"], {})
    assert desk.bench.open[uri].text == TEN.replace("line 2\n", "two\n") + "typed\n"
    assert (workspace / "ten").read_text() == TEN, "saving is the user's"
    assert len(desk.bench.edits) == 1
    assert await desk.changes() == {}
    desk.bench.save(uri)
    assert await desk.changes() == {}


async def test_every_kind_of_change_in_one_edit(desk: Desk, workspace: Path) -> None:
    script = r"""
    printf 'print("new")\n' > main.py; chmod 755 main.py
    mkdir sub; printf '#!/bin/sh\n' > sub/run.sh; chmod 755 sub/run.sh
    echo new > notes; printf '\000\001\377' > bin; ln -s main.py link; rm .gitignore; mv ten 'sub/ten ü'; mkdir empty
    """
    await desk.inside(script)
    applied, left = await desk.apply(all=True)
    assert (applied, left) == (
        [".gitignore", "bin", "empty", "link", "main.py", "notes", "sub/run.sh", "sub/ten ü"],
        {},
    )
    assert len(desk.bench.edits) == 1
    assert set(desk.bench.open) == {desk.uri("main.py"), desk.uri("notes")}
    assert (workspace / "bin").read_bytes() == b"\0\1\xff" and os.readlink(workspace / "link") == "main.py"
    assert not (workspace / ".gitignore").exists() and (workspace / "empty").is_dir()
    assert (workspace / "sub/ten ü").read_text() == TEN and not (workspace / "ten").exists()
    desk.bench.save_all()
    assert (workspace / "main.py").read_text() == 'print("new")\n'
    async with asyncio.timeout(20):
        while await desk.changes():  # the modes follow the save
            pass
    assert all((workspace / name).stat().st_mode & 0o111 == 0o111 for name in ("main.py", "sub/run.sh"))


async def test_an_editor_that_says_no_changes_nothing(desk: Desk, workspace: Path) -> None:
    await desk.inside("echo x >> ten; printf '\\000' > bin")
    desk.bench.refuse = "the user said no"
    applied, left = await desk.apply(all=True)
    assert applied == [] and set(left) == {"bin", "ten"} and "the user said no" in left["ten"]
    assert (workspace / "ten").read_text() == TEN and not (workspace / "bin").exists()
    assert set(await desk.changes()) == {"bin", "ten"}


async def test_what_was_not_looked_at_is_left(desk: Desk, workspace: Path) -> None:
    await desk.inside("echo x >> ten")
    version = (await desk.changes())["ten"]["version"]
    await desk.inside("echo y >> ten")
    applied, left = await desk.apply({"path": "ten", "version": version})
    assert applied == [] and "ten" in left and desk.bench.edits == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
@pytest.mark.parametrize("is_open", [True, False])
async def test_positions_line_ends_and_the_end_of_the_file(
    engine: RealEngine, workspace: Path, encoding: Encoding, is_open: bool
) -> None:
    old = "\ufeff😀 eins\r\nzwei\rnoch zwei\r\n\u2028drei\x0c\r\nvier"
    new = "\ufeff😀 one\r\nzwei\rnoch zwei\r\n\u2028three\x0c\r\nvier\r\nfünf"
    (workspace / "text").write_bytes(old.encode())
    (workspace / "new").write_bytes(new.encode())
    async with await Editor.start(engine.variables) as editor:
        await editor.initialize(workspace, capabilities={**CAPABILITIES, "general": {"positionEncodings": [encoding]}})
        desk = Desk(editor, workspace, encoding)
        if is_open:
            desk.bench.show(workspace / "text")
        await desk.inside("cp new text")
        assert await desk.apply({"path": "text"}) == (["text"], {})
        assert desk.bench.open[desk.uri("text")].text == new.removeprefix("\ufeff")
        (operation,) = desk.bench.edits[0]["documentChanges"]
        assert operation["textDocument"]["version"] == (1 if is_open else None)


async def test_line_ends_alone(desk: Desk, workspace: Path) -> None:
    await desk.inside("sed -i 's/$/\\r/' ten")
    assert await desk.apply({"path": "ten"}) == (["ten"], {})
    assert (workspace / "ten").read_bytes() == TEN.replace("\n", "\r\n").encode()
    assert desk.bench.edits == []


async def test_both_sides_changed_the_same_line(desk: Desk, workspace: Path) -> None:
    uri = desk.bench.show(workspace / "ten")
    await desk.inside("true")
    desk.bench.type(uri, TEN + "eleven\n")
    desk.bench.save(uri)
    await desk.inside("sed -i s/^line.2$/sandbox/ ten")
    desk.bench.type(uri, desk.bench.open[uri].text.replace("line 2\n", "mine\n"))
    change = (await desk.changes())["ten"]
    assert change["conflict"]
    applied, left = await desk.apply(all=True)
    assert applied == [] and "ten" in left
    merged = (await desk.editor.request("continueExec/content", {"uri": uri, "side": "merged"}))["text"]
    assert "<<<<<<< host\nmine\n=======\nsandbox\n>>>>>>> sandbox\n" in merged
    virtual = {"uri": uri.replace("file:", "ce-merged:")}
    assert (await desk.editor.request("workspace/textDocumentContent", virtual))["text"] == merged
    assert await desk.apply({"path": "ten", "take": "merged"}) == (["ten"], {})
    assert desk.bench.open[uri].text == merged
    assert await desk.inside("cat ten") == merged, "both sides have it now"
    assert await desk.changes() == {}


async def test_what_this_machine_executes_is_asked_about_twice(desk: Desk, workspace: Path) -> None:
    (workspace / ".vscode").mkdir()
    (workspace / ".vscode/tasks.json").write_text("{}\n")
    name = ".vscode/tasks.json"
    await desk.inside(f"echo '{{evil}}' > {name}")
    applied, left = await desk.apply({"path": name})
    assert applied == [] and "yes of its own" in left[name]
    assert await desk.apply({"path": name}, yes=[name]) == ([name], {})
    (annotation,) = desk.bench.edits[0]["changeAnnotations"].values()
    assert annotation["needsConfirmation"] is True


async def test_discard_rewind_and_what_a_run_changed(desk: Desk, workspace: Path) -> None:
    await desk.inside("echo one > one")
    await desk.editor.until(lambda: desk.editor.of_kind("continueExec/changed"))
    run_id, _ = await desk.editor.finished("continueExec/run", {"argv": ["sh", "-c", "rm one; echo 2 > two"]})
    changed = await desk.editor.request("continueExec/runChanges", {"runId": run_id})
    assert {one["path"]: one["kind"] for one in changed["changes"]} == {"one": "deleted", "two": "added"}
    assert set(await desk.changes(runId=run_id)) == {"two"}
    answer = await desk.editor.request("continueExec/rewind", {"runId": run_id})
    assert sorted(answer["applied"]) == ["one", "two"]
    assert await desk.inside("cat one") == "one\n"
    answer = await desk.editor.request("continueExec/discard", {"picks": [{"path": "one"}]})
    assert answer == {"applied": ["one"], "left": []}
    assert await desk.changes() == {}


async def test_the_editor_hears_of_changes(desk: Desk, workspace: Path) -> None:
    await desk.inside("echo x > x; echo y >> ten")
    await desk.editor.until(lambda: desk.editor.of_kind("continueExec/changed"))
    (news,) = desk.editor.of_kind("continueExec/changed")
    assert (news["workspace"], news["changed"], news["total"]) == (str(workspace), 2, 2)


async def test_sides_of_a_file_and_of_a_folder_below_the_workspace(engine: RealEngine, workspace: Path) -> None:
    (workspace / "sub").mkdir()
    (workspace / "sub/a").write_text("host\n")
    async with await Editor.start(engine.variables) as editor:
        await editor.initialize(workspace / "sub", capabilities=CAPABILITIES)
        desk = Desk(editor, workspace / "sub")
        await desk.inside("echo sandbox > sub/a; echo top > top")
        uri = desk.uri("a")
        for side, text in (("host", "host\n"), ("sandbox", "sandbox\n")):
            answer = await editor.request("continueExec/content", {"uri": uri, "side": side})
            assert (answer["path"], answer["text"]) == ("sub/a", text)
        answer = await editor.request("workspace/textDocumentContent", {"uri": uri.replace("file:", "ce-sandbox:")})
        assert answer["text"] == "sandbox\n"
        assert set(await desk.changes()) == {"sub/a", "top"}
        assert set(await desk.changes(uri=uri)) == {"sub/a"}
        assert await desk.apply({"path": "sub/a"}) == (["sub/a"], {})
        assert set(desk.bench.open) == {uri}
        with pytest.raises(RpcError) as caught:
            await editor.request("continueExec/content", {"uri": "file:///etc/passwd", "side": "host"})
        assert caught.value.data["code"] == "workspace_refused"


async def test_an_editor_that_makes_no_edits(engine: RealEngine, workspace: Path) -> None:
    async with await Editor.start(engine.variables) as editor:
        await editor.initialize(workspace, events=False)
        argument = {"argv": ["sh", "-c", "echo new > new; chmod +x main.py"]}
        await editor.request("workspace/executeCommand", {"command": "continue-exec.run", "arguments": [argument]})
        await editor.until(lambda: editor.of_kind("window/showMessage"))
        changed, applied = "Changed in the sandbox:\n  main.py\n  new", "Applied:\n  main.py\n  new"
        for command, words in (("changes", changed), ("apply", applied)):
            await editor.request(
                "workspace/executeCommand", {"command": f"continue-exec.{command}", "arguments": [{"all": True}]}
            )
            assert words in editor.of_kind("window/showMessage")[-1]["message"]
    assert (workspace / "new").read_text() == "new\n"
    assert (workspace / "main.py").stat().st_mode & 0o111
