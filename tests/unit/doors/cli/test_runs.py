from __future__ import annotations

import asyncio
import json
import signal

import pytest

from continue_exec.doors.cli import runs
from continue_exec.errors import InvalidRequest
from continue_exec.protocol import methods
from tests.support.command_line import Terminal, cli, start
from tests.support.local_engine import LocalEngine, LocalRun


async def started(engine: LocalEngine, script: str, *, events: int = 2, **more: object) -> LocalRun:
    params = {"workspace": {"path": "/tmp"}, "argv": ["sh", "-c", script], **more}
    run = engine._start(methods.RunStart.model_validate(params))
    await run.has(events)
    return run


async def test_attach_is_the_foreground(engine: LocalEngine) -> None:
    run = await started(engine, "echo a; read x; echo got $x; exit 4", stdin=True)
    process = await start("attach", "--stdin", run.id[:10])
    out, _ = await asyncio.wait_for(process.communicate(b"b\n"), 20)
    assert (process.returncode, out) == (4, b"a\ngot b\n")


async def test_attach_since_now(engine: LocalEngine) -> None:
    run = await started(engine, "echo a; read x; echo b", stdin=True)
    process = await start("attach", "-i", "--since-now", run.id)
    out, _ = await asyncio.wait_for(process.communicate(b"\n"), 20)
    assert out == b"b\n"


async def test_attach_to_what_has_ended(engine: LocalEngine) -> None:
    run = await started(engine, "echo a; exit 8", events=3)
    assert ((done := await cli("attach", run.id)).code, done.out) == (8, b"a\n")
    assert ((done := await cli("attach", "--since-now", run.id)).code, done.out) == (8, b"")


async def test_ctrl_c_on_attach_ends_the_run(engine: LocalEngine) -> None:
    run = await started(engine, "echo a; sleep 100")
    process = await start("attach", run.id)
    assert process.stdout is not None
    await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, run.reason) == (130, "cancelled")


async def test_attach_on_a_terminal(engine: LocalEngine, terminal: Terminal) -> None:
    run = await started(engine, 'echo ready; read a; echo "[$a]"; stty size', tty={"rows": 5, "cols": 6})
    await terminal.start("attach", run.id)
    await terminal.until(b"ready")
    await engine.called("run.resize")
    terminal.type(b"x\r")
    await terminal.until(b"[x]\r\n30 100")
    assert await terminal.end() == 0
    assert terminal.is_as_before


async def test_logs(engine: LocalEngine) -> None:
    run = await started(engine, "echo a; echo b >&2; exit 3", events=4)
    done = await cli("logs", run.id)
    assert (done.code, done.out, done.err) == (0, b"a\n", b"b\n")
    lines = [json.loads(line) for line in (await cli("logs", "--json", run.id)).out.splitlines()]
    assert [event["seq"] for event in lines] == [1, 2, 3, 4]


async def test_logs_of_a_run_that_goes_on(engine: LocalEngine) -> None:
    run = await started(engine, "echo a; read x; echo b", stdin=True)
    assert (await cli("logs", run.id)).out == b"a\n"
    process = await start("logs", "-f", run.id)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"a\n"
    assert run.process is not None and run.process.stdin is not None
    run.process.stdin.write(b"\n")
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, out) == (0, b"b\n")


async def test_ctrl_c_on_logs_leaves_the_run(engine: LocalEngine) -> None:
    run = await started(engine, "echo a; sleep 100")
    process = await start("logs", "-f", run.id)
    assert process.stdout is not None
    await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, err, run.state) == (130, b"", "running")


async def test_ps(engine: LocalEngine) -> None:
    assert (await cli("ps")).text == "No active runs.\n"
    ended = await started(engine, "exit 3", events=2)
    active = await started(engine, "echo 'a b'; sleep 100", title="\x1b]0;evil\x07 title")
    lines = (await cli("ps")).text.splitlines()
    assert lines[0].split() == ["RUN", "STATE", "STARTED", "TIME", "COMMAND"]
    assert len(lines) == 2 and lines[1].startswith(f"{active.id}  running") and lines[1].endswith(" ]0;evil  title")
    lines = (await cli("ps", "-a")).text.splitlines()
    assert lines[2].startswith(ended.id) and "exited (3)" in lines[2] and lines[2].endswith("sh -c 'exit 3'")
    answer = json.loads((await cli("ps", "-a", "--json")).out)
    assert methods.RunList.model_validate(answer).runs[0].id == active.id
    await cli("ps", "--here")
    assert "workspace" in (await engine.called("run.list", 5))
    assert (await cli("ps", "-n", "0")).code == 125


async def test_kill(engine: LocalEngine) -> None:
    run = await started(engine, "echo a; sleep 100")
    done = await cli("kill", "run_none", run.id)
    assert done.code == 125 and "no run run_none" in done.words
    assert run.reason == "cancelled"


async def test_kill_with_a_signal(engine: LocalEngine) -> None:
    run = await started(engine, "trap 'echo usr1; exit 5' USR1; echo a; while :; do sleep 0.05; done")
    assert (await cli("kill", "-s", "usr1", run.id)).code == 0
    await run.has(4)
    assert run.final["exit_code"] == 5


def test_signal_numbers() -> None:
    assert [runs.signal_number(text) for text in ("9", "KILL", "sigterm", "Usr1")] == [9, 9, 15, 10]
    for wrong in ("0", "65", "NOPE", "SIG_IGN", "", "-9"):
        with pytest.raises(InvalidRequest):
            runs.signal_number(wrong)
