"""`continue-exec lsp` as an editor meets it: a real sidecar, a real engine, a real sandbox."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import RealEngine
from tests.support.lsp_peer import Editor, RpcError


@pytest.fixture
async def editor(engine: RealEngine, workspace: Path) -> AsyncIterator[Editor]:
    async with await Editor.start(engine.variables) as one:
        await one.initialize(workspace)
        yield one


def contiguous(events: list[dict[str, Any]], after: int = 0) -> None:
    """Every event once, in order."""
    for params in events:
        assert params["firstSeq"] == after + 1, f"{params['firstSeq']} follows {after}"
        assert params["event"]["seq"] >= params["firstSeq"]
        after = params["event"]["seq"]


async def test_a_command_runs_and_its_events_follow_the_answer(editor: Editor) -> None:
    number, answer = editor.begin("continueExec/run", {"argv": ["sh", "-c", "echo out; echo err >&2; exit 3"]})
    run_id = (await answer)["runId"]
    final = await editor.ended(run_id)
    assert (editor.text(run_id), editor.text(run_id, "stderr")) == ("out\n", "err\n")
    assert (final["type"], final["exit_code"]) == ("exited", 3)
    contiguous(editor.events(run_id))
    assert editor.order.index(f"answer {number}") < editor.order.index("continueExec/event")


async def test_the_unsaved_text_is_what_runs(editor: Editor, workspace: Path) -> None:
    file = workspace / "main.py"
    uri = editor.open(file, file.read_text())
    run_id, _ = await editor.finished("continueExec/runFile", {"uri": uri})
    assert editor.text(run_id) == "hello from main\n"
    where = {"start": {"line": 0, "character": 7}, "end": {"line": 0, "character": 12}}
    editor.change(uri, {"range": where, "text": "unsaved"})
    run_id, _ = await editor.finished("continueExec/runFile", {"uri": uri})
    assert editor.text(run_id) == "unsaved from main\n"
    assert file.read_text() == 'print("hello from main")\n', "the host's file is untouched"
    editor.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    run_id, _ = await editor.finished("continueExec/runFile", {"uri": uri})
    assert editor.text(run_id) == "hello from main\n"


async def test_unsaved_text_below_a_folder_without_git(engine: RealEngine, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    (folder / "src").mkdir(parents=True)
    file = folder / "src" / "tool.py"
    file.write_text("print('saved')\n")
    async with await Editor.start(engine.variables) as editor:
        await editor.initialize(folder)
        uri = editor.open(file, "import sys, os\nprint('unsaved', *sys.argv[1:], os.getcwd())\n")
        run_id, _ = await editor.finished("continueExec/runFile", {"uri": uri, "args": ["a b"]})
        assert editor.text(run_id) == f"unsaved a b {folder}\n"


async def test_a_killed_editors_text_does_not_run_on(engine: RealEngine, workspace: Path) -> None:
    async with await Editor.start(engine.variables) as first:
        await first.initialize(workspace)
        uri = first.open(workspace / "main.py", "print('never saved')\n")
        run_id, _ = await first.finished("continueExec/runFile", {"uri": uri})
        assert first.text(run_id) == "never saved\n"
        first.process.kill()
        await first.process.wait()
    async with await Editor.start(engine.variables) as second:
        await second.initialize(workspace)
        run_id, _ = await second.finished("continueExec/runFile", {"uri": uri})
        assert second.text(run_id) == "hello from main\n"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8", "utf-32"])
async def test_a_selection_is_counted_in_the_negotiated_units(
    engine: RealEngine, workspace: Path, encoding: str
) -> None:
    line = "if 1:\n    s = '😀é'; print(len(s), s); raise SystemExit(9)\n"
    text = "\f# a form feed is no line's end\n" + line
    begin = line.splitlines()[1].index("s =")
    until = line.splitlines()[1].index("; raise")
    unit = {"utf-16": 2, "utf-8": 1, "utf-32": 4}[encoding]
    codec = {"utf-16": "utf-16-le", "utf-8": "utf-8", "utf-32": "utf-32-le"}[encoding]
    end = len(line.splitlines()[1][:until].encode(codec)) // unit
    async with await Editor.start(engine.variables) as editor:
        says = await editor.initialize(workspace, capabilities={"general": {"positionEncodings": [encoding]}})
        assert says["capabilities"]["positionEncoding"] == encoding
        uri = editor.open(workspace / "selection.py", text)
        where = {"start": {"line": 2, "character": begin}, "end": {"line": 2, "character": end}}
        run_id, final = await editor.finished("continueExec/runSelection", {"uri": uri, "range": where})
        assert (editor.text(run_id), final["exit_code"]) == ("2 😀é\n", 0)


async def test_a_snippet_runs_by_its_language(editor: Editor) -> None:
    run_id, _ = await editor.finished("continueExec/runSnippet", {"language": "py", "code": "print(6 * 7)"})
    assert editor.text(run_id) == "42\n"
    run_id, _ = await editor.finished("continueExec/runSnippet", {"language": "shellscript", "code": "echo $((6*7))"})
    assert editor.text(run_id) == "42\n"
    with pytest.raises(RpcError) as caught:
        await editor.request("continueExec/runSnippet", {"language": "klingon", "code": "nuqneH"})
    assert caught.value.code == -32602
    assert caught.value.data["code"] == "invalid_request"


async def test_a_document_in_no_file_runs(editor: Editor) -> None:
    document = {"uri": "untitled:Untitled-1", "languageId": "python", "version": 1, "text": "print('no file')\n"}
    editor.notify("textDocument/didOpen", {"textDocument": document})
    run_id, _ = await editor.finished("continueExec/runFile", {"uri": "untitled:Untitled-1"})
    assert editor.text(run_id) == "no file\n"


async def test_stdin_text_bytes_and_end(editor: Editor) -> None:
    run_id = (await editor.request("continueExec/run", {"argv": ["cat"], "stdin": True}))["runId"]
    await editor.request("continueExec/stdin", {"runId": run_id, "text": "grüße "})
    await editor.until(lambda: editor.text(run_id) == "grüße ")
    await editor.request("continueExec/stdin", {"runId": run_id, "base64": "/wo=", "eof": True})
    final = await editor.ended(run_id)
    assert (editor.text(run_id), final["exit_code"]) == ("grüße \ufffd\n", 0)


async def test_a_terminal_and_its_size(editor: Editor) -> None:
    script = "stty size; read -r line; stty size"
    params = {"argv": ["sh", "-c", script], "stdin": True, "tty": {"rows": 30, "cols": 100}}
    run_id = (await editor.request("continueExec/run", params))["runId"]
    await editor.until(lambda: "30 100" in editor.text(run_id))
    await editor.request("continueExec/resize", {"runId": run_id, "size": {"rows": 40, "cols": 120}})
    await editor.request("continueExec/stdin", {"runId": run_id, "text": "\n"})
    assert (await editor.ended(run_id))["exit_code"] == 0
    assert "40 120" in editor.text(run_id)


async def test_cancel_is_certain(editor: Editor) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 1000; done"
    run_id = (await editor.request("continueExec/run", {"argv": ["sh", "-c", script]}))["runId"]
    await editor.until(lambda: "ready" in editor.text(run_id))
    run = await editor.request("continueExec/cancel", {"runId": run_id, "graceS": 0.2})
    assert run["state"] == "exited"
    final = await editor.ended(run_id)
    assert (final["reason"], final["signal"]) == ("cancelled", 9)


async def test_a_request_cancelled_while_the_run_starts_leaves_no_run(editor: Editor) -> None:
    number, answer = editor.begin("continueExec/run", {"argv": ["sleep", "1000"], "title": "never wanted"})
    editor.notify("$/cancelRequest", {"id": number})
    with pytest.raises(RpcError) as caught:
        await answer
    assert caught.value.code == -32800
    async with asyncio.timeout(30):
        while True:
            runs = (await editor.request("continueExec/runs", {}))["runs"]
            mine = [run for run in runs if run["title"] == "never wanted"]
            if not mine or mine[0]["state"] != "running":
                break
            await asyncio.sleep(0.1)  # nobody tells a door that does not follow


async def test_a_new_sidecar_attaches_where_the_killed_one_stopped(engine: RealEngine, workspace: Path) -> None:
    # Every line has characters of several bytes, written byte by byte: the cut falls inside one sooner or later.
    code = (
        "import os, sys, time\n"
        "for n in range(300):\n"
        "    for byte in f'{n} ☃😀\\n'.encode():\n"
        "        os.write(1, bytes([byte]))\n"
        "    if n == 100: sys.stdin.readline()\n"
    )
    argv = ["python3", "-c", code]
    async with await Editor.start(engine.variables) as first:
        await first.initialize(workspace)
        run_id = (await first.request("continueExec/run", {"argv": argv, "stdin": True}))["runId"]
        await first.until(lambda: "90 " in first.text(run_id))
        first.process.kill()
        await first.process.wait()
        seen = first.events(run_id)
        contiguous(seen)
        before = first.text(run_id)
    async with await Editor.start(engine.variables) as second:
        await second.initialize(workspace)
        after = seen[-1]["event"]["seq"]
        run = await second.request("continueExec/attach", {"runId": run_id, "after": after})
        assert (run["id"], run["state"]) == (run_id, "running")
        await second.request("continueExec/stdin", {"runId": run_id, "text": "go\n"})
        assert (await second.ended(run_id))["exit_code"] == 0
        contiguous(second.events(run_id), after)
        assert before + second.text(run_id) == "".join(f"{n} ☃😀\n" for n in range(300))


async def test_closing_the_editor_does_not_end_a_run(engine: RealEngine, workspace: Path) -> None:
    async with await Editor.start(engine.variables) as first:
        await first.initialize(workspace)
        run_id = (await first.request("continueExec/run", {"argv": ["cat"], "stdin": True}))["runId"]
        await first.request("shutdown")
        first.notify("exit", None)
        assert await first.process.wait() == 0
    async with await Editor.start(engine.variables) as second:
        await second.initialize(workspace)
        active = (await second.request("continueExec/runs", {"uri": workspace.as_uri(), "active": True}))["runs"]
        assert [run["id"] for run in active] == [run_id]
        await second.request("continueExec/attach", {"runId": run_id})
        await second.request("continueExec/stdin", {"runId": run_id, "text": "still here", "eof": True})
        await second.ended(run_id)
        assert second.text(run_id) == "still here"


async def test_a_flood_arrives_whole_and_in_few_events(editor: Editor) -> None:
    size = 20_000_000
    code = f"import sys\nline = 'x' * 99 + '\\n'\nfor _ in range({size // 100}): sys.stdout.write(line)"
    run_id = (await editor.request("continueExec/run", {"argv": ["python3", "-c", code]}))["runId"]
    final = await editor.ended(run_id, timeout=100)
    events = editor.events(run_id)
    contiguous(events)
    assert (len(editor.text(run_id)), final["exit_code"]) == (size, 0)
    assert len(events) < size / 16_384, "output is joined"


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


async def test_an_editor_that_does_not_read_costs_no_memory_and_loses_nothing(editor: Editor) -> None:
    await editor.finished("continueExec/run", {"argv": ["true"]})
    before = resident(editor.process.pid)
    size = 14_000_000  # below what the engine keeps of a run (setting output_keep_bytes)
    argv = ["sh", "-c", f"head -c {size} /dev/zero | tr '\\0' x"]
    run_id = (await editor.request("continueExec/run", {"argv": argv}))["runId"]
    await editor.until(lambda: len(editor.text(run_id)) > 0)
    editor.pause()
    # Another door, which does read, is not held up by it and sees the command through.
    async with await Editor.start(os.environ) as other:
        await other.initialize()
        await other.request("continueExec/attach", {"runId": run_id})
        await other.ended(run_id)
        assert len(other.text(run_id)) == size
    grown = resident(editor.process.pid) - before
    editor.resume()
    await editor.ended(run_id, timeout=80)
    contiguous(editor.events(run_id))
    assert len(editor.text(run_id)) == size
    assert grown < 5_000_000, f"the sidecar grew by {grown} bytes"


async def test_bad_requests_are_refused_in_words(editor: Editor, tmp_path: Path) -> None:
    cases: list[tuple[str, Any, int, str]] = [
        ("continueExec/attach", {"runId": "run_ffffffffffff"}, -32803, "not_found"),
        ("continueExec/stdin", {"runId": "run_ffffffffffff", "text": "x"}, -32803, "not_found"),
        ("continueExec/cancel", {"runId": "run_ffffffffffff"}, -32803, "not_found"),
        ("continueExec/run", {"argv": []}, -32602, "invalid_request"),
        ("continueExec/run", [1, 2], -32602, "invalid_request"),
        ("continueExec/run", {"argv": ["no-such-program"]}, -32602, "command_not_found"),
        ("continueExec/run", {"argv": ["true"], "uri": "no uri"}, -32602, "invalid_request"),
        ("continueExec/run", {"argv": ["true"], "cwd": "/etc"}, -32602, "outside_workspace"),
        ("continueExec/runFile", {"uri": "file:///etc/passwd"}, -32803, "workspace_refused"),
        ("continueExec/runFile", {"uri": "untitled:nothing"}, -32803, "not_found"),
        ("continueExec/nothing", {}, -32601, "not_supported"),
        ("workspace/executeCommand", {"command": "continue-exec.nothing"}, -32803, "not_found"),
        ("workspace/executeCommand", {"command": "continue-exec.run", "arguments": [1]}, -32602, "invalid_request"),
        ("textDocument/codeLens", {"textDocument": 7}, -32602, "invalid_request"),
    ]
    for method, params, code, name in cases:
        with pytest.raises(RpcError) as caught:
            await editor.request(method, params)
        error = caught.value
        assert (error.code, error.data["code"]) == (code, name), f"{method} {params}: {error}"
        assert error.message and "Traceback" not in str(error) and 'File "' not in str(error)


async def test_code_lenses_run_what_they_stand_on(editor: Editor, workspace: Path) -> None:
    file = workspace / "test_sums.py"
    text = "def test_sum():\n    assert 1 + 1 == 2\n\n\nif __name__ == '__main__':\n    print('as a program')\n"
    file.write_text(text)
    uri = editor.open(file, text)
    lenses = await editor.request("textDocument/codeLens", {"textDocument": {"uri": uri}})
    found = [(lens["range"]["start"]["line"], lens["command"]["command"]) for lens in lenses]
    assert found == [(0, "continue-exec.runFile"), (0, "continue-exec.run"), (4, "continue-exec.runFile")]
    command = lenses[0]["command"]
    call = {"command": command["command"], "arguments": command["arguments"]}
    run_id, _ = await editor.finished("workspace/executeCommand", call)
    assert editor.text(run_id) == "as a program\n"


async def test_a_block_in_markdown_runs(editor: Editor, workspace: Path) -> None:
    text = "# Notes\n\n```python\nprint('from a fence')\n```\n\n```text\nnothing to run\n```\n"
    uri = editor.open(workspace / "notes.md", text, "markdown")
    (lens,) = await editor.request("textDocument/codeLens", {"textDocument": {"uri": uri}})
    assert lens["range"]["start"]["line"] == 2
    run_id, _ = await editor.finished("workspace/executeCommand", lens["command"])
    assert editor.text(run_id) == "from a fence\n"


async def test_an_editor_that_knows_only_lsp_gets_words(engine: RealEngine, workspace: Path) -> None:
    async with await Editor.start(engine.variables) as editor:
        says = await editor.initialize(workspace, events=False)
        assert "continue-exec.runFile" in says["capabilities"]["executeCommandProvider"]["commands"]
        uri = editor.open(workspace / "main.py", "import sys\nprint('for people')\nsys.exit(4)\n")
        where = {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}}
        request = {"textDocument": {"uri": uri}, "range": where, "context": {"diagnostics": []}}
        actions = await editor.request("textDocument/codeAction", request)
        commands = ["runSelection", "runFile", "changes", "apply"]
        assert [action["command"] for action in actions] == [f"continue-exec.{command}" for command in commands]
        call = {"command": "continue-exec.runFile", "arguments": [{"uri": uri}]}
        run_id = (await editor.request("workspace/executeCommand", call))["runId"]
        (shown,) = await editor.until(lambda: editor.of_kind("window/showMessage"))
        assert "for people\nmain.py: exit code 4" in shown["message"]
        assert f"continue-exec logs {run_id}" in shown["message"]
        assert any(log["message"] == "for people" for log in editor.of_kind("window/logMessage"))
        assert not editor.events(run_id)


async def test_a_slow_start_shows_progress(engine: RealEngine, tmp_path: Path) -> None:
    folder = tmp_path / "fresh"

    def fill() -> None:
        folder.mkdir()
        for number in range(12_000):
            (folder / f"{number}.txt").write_text("x" * 2000)

    await asyncio.to_thread(fill)
    async with await Editor.start(engine.variables) as editor:
        await editor.initialize(folder, capabilities={"window": {"workDoneProgress": True}})
        await editor.finished("continueExec/run", {"argv": ["true"]})
        assert [one["method"] for one in editor.asked] == ["window/workDoneProgress/create"]
        kinds = [one["value"]["kind"] for one in editor.of_kind("$/progress")]
        assert kinds == ["begin", "end"]


async def test_the_sidecar_ends_with_the_editors_process(engine: RealEngine, workspace: Path) -> None:
    parent = await asyncio.create_subprocess_exec("sleep", "1000")
    async with await Editor.start(engine.variables) as editor:
        await editor.initialize(workspace, pid=parent.pid)
        parent.send_signal(signal.SIGKILL)
        await parent.wait()
        async with asyncio.timeout(60):
            assert await editor.process.wait() == 1
