"""Runs over the engine's socket, in a real sandbox: what a command does, and what clients see of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from pathlib import Path

import pytest

from continue_exec.client import Client
from continue_exec.errors import (
    CommandNotFound,
    Conflict,
    InvalidRequest,
    NotFound,
    OutsideWorkspace,
    WorkspaceRefused,
)
from continue_exec.protocol.events import RUN_EVENT
from continue_exec.protocol.frames import Kind
from tests.support.engines import RealEngine


async def test_output_is_apart_live_and_exact(engine: RealEngine, workspace: Path) -> None:
    async with engine.client() as client:
        result = await client.execute(["sh", "-c", "printf out; printf err >&2; exit 7"], workspace=workspace)
        assert (result.stdout, result.stderr, result.exit_code) == (b"out", b"err", 7)
        result = await client.execute(
            ["python3", "-c", "import os; os.write(1, bytes(range(256)))"], workspace=workspace
        )
        assert result.stdout == bytes(range(256))


async def test_the_workspace_is_there_at_the_same_path(engine: RealEngine, workspace: Path) -> None:
    (workspace / "sub").mkdir()
    async with engine.client() as client:
        result = await client.execute(["python3", "../main.py"], workspace=workspace, cwd=workspace / "sub")
        assert result.stdout == b"hello from main\n"
        (workspace / "main.py").write_text("print('saved just now')\n")
        result = await client.execute(["sh", "-c", "pwd; python3 main.py"], workspace=workspace)
        assert result.stdout.decode() == f"{workspace}\nsaved just now\n"


async def test_unsaved_text_is_what_runs(engine: RealEngine, workspace: Path) -> None:
    async with engine.client() as client:
        await client.execute(["true"], workspace=workspace)
        buffer = {"path": str(workspace / "main.py"), "text": "print('unsaved')\n"}
        await client.workspace_buffers("editor", [buffer])
        assert (await client.execute(["python3", "main.py"], workspace=workspace)).stdout == b"unsaved\n"
        await client.workspace_buffers("editor", [{**buffer, "text": None}])
        assert (await client.execute(["python3", "main.py"], workspace=workspace)).stdout == b"hello from main\n"
        assert (workspace / "main.py").read_text() == 'print("hello from main")\n', "the host's file is untouched"


async def test_the_sandbox_persists(engine: RealEngine, workspace: Path) -> None:
    """Files anywhere, background processes: across runs, and across a stop for what is on disk."""
    async with engine.client() as client:

        async def sh(script: str) -> tuple[int, str]:
            result = await client.execute(["sh", "-c", script], workspace=workspace)
            return result.exit_code, result.stdout.decode()

        await sh(
            "echo kept > /opt/kept; echo kept > ~/kept; echo tool > /usr/local/bin/tool; git config --global a.b c"
        )
        assert await sh("cat /opt/kept ~/kept; git config --global a.b") == (0, "kept\nkept\nc\n")
        await sh("sleep 1000 & echo $! > /tmp/pid")
        assert (await sh("kill -0 $(cat /tmp/pid)"))[0] == 0, "a background process goes on"
        sandbox = await client.sandbox_stop(workspace={"path": str(workspace)})
        assert sandbox.state == "stopped"
        assert await sh("cat /opt/kept ~/kept /usr/local/bin/tool") == (0, "kept\nkept\ntool\n")
        assert (await sh("kill -0 $(cat /tmp/pid)"))[0] != 0, "processes end with a stop"
    assert not os.path.exists("/opt/kept") and not os.path.exists("/usr/local/bin/tool"), "the host is untouched"


async def test_a_follower_resumes_from_any_seq(engine: RealEngine, workspace: Path) -> None:
    async with engine.client() as client:
        argv = ["sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.05; done"]
        run = await client.start(argv, workspace=workspace)
        everything = [frame async for frame in client.frames("run.follow", {"run_id": run.id})]
        assert [seq for _, seq, _ in everything] == list(range(1, len(everything) + 1))
        assert b"".join(bytes(data) for kind, _, data in everything if kind == Kind.STDOUT) == b"1\n2\n3\n4\n5\n"
        for after in range(len(everything)):
            rest = [f async for f in client.frames("run.follow", {"run_id": run.id, "after": after})]
            assert rest == everything[after:]


async def test_stdin_flows_and_ends(engine: RealEngine, workspace: Path) -> None:
    async with engine.client() as client:
        run = await client.start(["sha256sum"], workspace=workspace, stdin=True)
        data = os.urandom(3_000_000)
        stdin = await client.open_stdin(run.id)
        for at in range(0, len(data), 100_000):
            await stdin.write(data[at : at + 100_000])
        await stdin.close()
        frames = [f async for f in client.frames("run.follow", {"run_id": run.id})]
        output = b"".join(bytes(d) for kind, _, d in frames if kind == Kind.STDOUT)
        assert output.split()[0].decode() == hashlib.sha256(data).hexdigest()


async def test_cancel_is_certain(engine: RealEngine, workspace: Path) -> None:
    """Deaf to TERM, daemonised, with an empty environment: nothing of it is left."""
    script = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve("/bin/sleep", ["sleep", "4711"], {})
    os._exit(0)
print("up", flush=True)
time.sleep(1000)
"""
    async with engine.client() as client:
        run = await client.start(["python3", "-c", script], workspace=workspace)
        async for kind, _, data in client.frames("run.follow", {"run_id": run.id}):
            if kind == Kind.STDOUT and b"up" in bytes(data):
                break
        ended = await client.run_cancel(run.id, grace_s=0.2)
        assert (ended.state, ended.reason, ended.exit_code) == ("exited", "cancelled", 137)
        left = await client.execute(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"], workspace=workspace)
        assert b"4711" not in left.stdout
        again = await client.run_cancel(run.id)
        assert again.state == "exited", "cancelling what has ended changes nothing"
        with pytest.raises(Conflict):
            await client.run_signal(run.id, signal=15)


async def test_a_time_limit_ends_the_run_in_words(engine: RealEngine, workspace: Path) -> None:
    async with engine.client() as client:
        events = [e async for e in client.run(["sleep", "1000"], workspace=workspace, timeout_s=0.3)]
    assert [e.type for e in events] == ["started", "notice", "exited"]
    assert events[1].code == "timeout" and "0.3 s" in events[1].message
    assert (events[2].reason, events[2].signal) == ("timeout", 15)


async def test_a_thousand_children_do_no_harm(engine: RealEngine, workspace: Path) -> None:
    async with engine.client() as client:
        script = "i=0; while [ $i -lt 1000 ]; do sleep 30 & i=$((i+1)); done; echo made; wait"
        run = await client.start(["sh", "-c", script], workspace=workspace)
        async for kind, _, data in client.frames("run.follow", {"run_id": run.id}):
            if kind == Kind.STDOUT and b"made" in bytes(data):
                break
        ended = await client.run_cancel(run.id, grace_s=1)
        assert ended.state == "exited"
        count = await client.execute(["sh", "-c", "ls -d /proc/[0-9]* | wc -l"], workspace=workspace)
        assert int(count.stdout) < 10


async def test_a_hundred_runs_at_once_mix_nothing_up(engine: RealEngine, workspace: Path) -> None:
    async with engine.client() as client:

        async def one(number: int) -> None:
            script = f"for i in 1 2 3; do echo {number}; echo {number} >&2; done; exit {number}"
            result = await client.execute(["sh", "-c", script], workspace=workspace)
            assert result.stdout == result.stderr == f"{number}\n".encode() * 3
            assert result.exit_code == number

        await asyncio.gather(*(one(number) for number in range(100)))


async def test_a_closed_stdout_and_a_held_pipe_end_as_in_a_terminal(engine: RealEngine, workspace: Path) -> None:
    async with engine.client() as client:
        result = await client.execute(["sh", "-c", "exec >&- 2>&-; sleep 0.2; exit 3"], workspace=workspace)
        assert result.exit_code == 3
        result = await client.execute(["sh", "-c", "sleep 300 & echo started"], workspace=workspace)
        assert (result.stdout, result.exit_code) == (b"started\n", 0)
        assert result.run.ended_at is not None and result.run.ended_at - result.run.created_at < 60


async def test_a_terminal_is_one(engine: RealEngine, workspace: Path) -> None:
    async with engine.client() as client:
        result = await client.execute(
            ["sh", "-c", "stty size; test -t 0 && test -t 2 && echo yes"], workspace=workspace, tty=(40, 123)
        )
        assert result.stdout == b"40 123\r\nyes\r\n"


async def test_bad_requests_are_answered_in_words(engine: RealEngine, workspace: Path, tmp_path: Path) -> None:
    async with engine.client() as client:
        with pytest.raises(CommandNotFound) as missing:
            await client.execute(["no-such-program"], workspace=workspace)
        assert "no-such-program" in missing.value.message
        with pytest.raises(NotFound):
            await client.execute(["true"], workspace=workspace, cwd=workspace / "nowhere")
        with pytest.raises(OutsideWorkspace):
            await client.execute(["true"], workspace=workspace, cwd=tmp_path)
        with pytest.raises(NotFound):
            await client.execute(["true"], workspace=tmp_path / "gone")
        with pytest.raises(WorkspaceRefused):
            await client.execute(["true"], workspace="/")
        with pytest.raises(NotFound):
            await client.run_get("run_000000000000")
        with pytest.raises(InvalidRequest):
            await client.call("run.start", {"workspace": {"path": str(workspace)}, "file": "x", "code": "y"})
        with pytest.raises(InvalidRequest):
            await client.call("run.start", {"workspace": {"path": "relative"}, "argv": ["true"]})
        with pytest.raises(NotFound):
            await client.call("no.such", {})


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff" * 500 + b"\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\n\r\n",
        b"POST /v1/run.start HTTP/1.1\r\nContent-Length: 3\r\n\r\n{{{",
    ],
    ids=["bytes", "path", "json"],
)
async def test_garbage_on_the_socket_harms_nobody(engine: RealEngine, garbage: bytes) -> None:
    async with engine.client() as client:
        before = (await client.engine_status()).pid
    reader, writer = await asyncio.open_unix_connection(engine.socket)
    writer.write(garbage)
    answer = await reader.read(65536)
    writer.close()
    await writer.wait_closed()
    assert b" 400 " in answer or b" 404 " in answer
    async with engine.client() as client:
        assert (await client.engine_status()).pid == before


async def test_ndjson_is_the_same_events(engine: RealEngine, workspace: Path) -> None:
    body = json.dumps({"workspace": {"path": str(workspace)}, "argv": ["sh", "-c", "echo hi; printf '\\377'"]}).encode()
    reader, writer = await asyncio.open_unix_connection(engine.socket)
    head = f"POST /v1/run.stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    lines = [line for line in answer.split(b"\r\n") for line in line.splitlines() if line.startswith(b"{")]
    events = [json.loads(line) for line in lines]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "started" and events[-1]["exit_code"] == 0
    output = [RUN_EVENT.validate_python(event) for event in events if event["type"] == "output"]
    assert b"".join(event.data for event in output) == b"hi\n\xff"


async def test_one_gigabyte_of_output_with_flat_memory(engine: RealEngine, workspace: Path) -> None:
    def rss() -> int:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) << 10
        raise AssertionError

    async with engine.client() as client:
        await client.execute(["true"], workspace=workspace)
        pid = (await client.engine_status()).pid
        before, total = rss(), 0
        params = {"workspace": {"path": str(workspace)}, "argv": ["head", "-c", str(1 << 30), "/dev/zero"]}
        async for kind, _, data in client.frames("run.stream", params):
            total += len(data) if kind == Kind.STDOUT else 0
        assert total == 1 << 30
        assert rss() - before < 64 << 20


async def test_a_workspace_deleted_under_us(engine: RealEngine, tmp_path: Path) -> None:
    folder = tmp_path / "short-lived"
    folder.mkdir()
    (folder / "a.txt").write_text("precious")
    async with engine.client() as client:
        run = await client.start(["sh", "-c", "sleep 0.5; cat a.txt"], workspace=folder)
        (folder / "a.txt").unlink()
        folder.rmdir()
        with pytest.raises(NotFound):
            await client.execute(["true"], workspace=folder)
        frames = [f async for f in client.frames("run.follow", {"run_id": run.id})]
        assert b"".join(bytes(d) for k, _, d in frames if k == Kind.STDOUT) in (b"precious", b"")
        await client.sandbox_remove(sandbox_id=run.sandbox_id)


async def test_client_on_demand_is_one_engine(engine: RealEngine) -> None:
    async def pid() -> int:
        async with Client() as client:
            return (await client.engine_status()).pid

    assert len(set(await asyncio.gather(*(pid() for _ in range(10))))) == 1


async def test_symbolic_links_are_listed_without_complaint(engine: RealEngine, workspace: Path) -> None:
    """gVisor's own answer to lgetxattr(2) on a link makes `ls -l` complain: sandbox_images/agent/symlinks.go."""
    async with engine.client() as client:
        result = await client.execute(
            ["sh", "-c", "ln -s main.py link; ls -l link; cp -a link copy"], workspace=workspace
        )
        assert b"link -> main.py" in result.stdout
        assert (result.stderr, result.exit_code) == (b"", 0)
