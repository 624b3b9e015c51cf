"""The command line against the real engine and the real sandbox."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.command_line import ARGV, Terminal
from tests.support.engines import RealEngine

pytestmark = pytest.mark.may_block("starts processes from a large one")
CLI = shlex.join(ARGV)


@pytest.fixture
async def terminal(engine: RealEngine) -> AsyncIterator[Terminal]:
    terminal = Terminal(rows=30, cols=100)
    yield terminal
    await terminal.close()


async def shell(script: str, cwd: Path) -> tuple[int, bytes, bytes]:
    """A line of bash in which `$CLI` is the command."""
    pipe = asyncio.subprocess.PIPE
    script = f'cli() {{ {CLI} "$@"; }}\n{script}'
    nothing = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script, cwd=cwd, stdin=nothing, stdout=pipe, stderr=pipe
    )
    out, err = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode is not None
    return process.returncode, out, err


async def test_streams_codes_and_bytes(engine: RealEngine, workspace: Path) -> None:
    code, out, err = await shell(r"""cli run -- sh -c 'printf "\377\0a"; printf "\376" >&2; exit 3'""", workspace)
    assert (code, out, err) == (3, b"\xff\0a", b"\xfe")
    code, out, _ = await shell("cli run -- sh -c 'kill -9 $$'", workspace)
    assert code == 137


async def test_it_runs_inside(engine: RealEngine, workspace: Path) -> None:
    (workspace / "sub").mkdir()
    code, out, _ = await shell("cd sub; cli run --env A='x y' -- sh -c 'dmesg | head -1; pwd; echo $A'", workspace)
    assert code == 0
    kernel, cwd, a = out.decode().splitlines()
    assert "gVisor" in kernel
    assert (cwd, a) == (str(workspace / "sub"), "x y")


async def test_files_and_snippets(engine: RealEngine, workspace: Path) -> None:
    assert (await shell("cli run main.py", workspace))[1] == b"hello from main\n"
    assert (await shell("cli run --language python -c 'print(6*7)'", workspace))[1] == b"42\n"
    assert (await shell("echo 'echo $((6*7))' | cli run -l bash -", workspace))[1] == b"42\n"


async def test_errors_have_codes_and_words(engine: RealEngine, workspace: Path) -> None:
    code, out, err = await shell("cli run -- no-such-program", workspace)
    assert (code, out) == (127, b"")
    assert b"continue-exec: " in err and b"no-such-program" in err and b"hint: " in err
    code, _, err = await shell("cd /; cli run -- true", workspace)
    assert (code, b"hint: " in err) == (125, True)


async def test_json_is_the_wire_s(engine: RealEngine, workspace: Path) -> None:
    from continue_exec.protocol.events import RUN_EVENT

    code, out, _ = await shell("cli run --json -- sh -c 'echo a; exit 4'", workspace)
    ours = [RUN_EVENT.validate_json(line) for line in out.splitlines()]
    assert code == 4
    assert [event.seq for event in ours] == list(range(1, len(ours) + 1))
    async with engine.client() as client:
        run_id = ours[0].run_id  # type: ignore[union-attr]
        assert [event async for event in client.run_follow(run_id)] == ours


async def test_100_mb_through_standard_input(engine: RealEngine, workspace: Path, tmp_path: Path) -> None:
    data = await asyncio.to_thread(lambda: os.urandom(1 << 20) * 100)
    (tmp_path / "data").write_bytes(data)
    sha = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
    code, out, err = await shell(f"cat {tmp_path}/data | cli run --stdin -- cat | sha256sum", workspace)
    assert (code, out.split()[0].decode(), err) == (0, sha, b"")


async def test_a_reader_that_leaves(engine: RealEngine, workspace: Path) -> None:
    _, out, err = await shell("cli run --title flood -- yes | head -1; echo ${PIPESTATUS[0]}", workspace)
    assert (out, err) == (b"y\n141\n", b"")
    async with engine.client() as client:
        runs = (await client.run_list(workspace={"path": str(workspace)})).runs
        assert [run.reason for run in runs if run.title == "flood"] == ["cancelled"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_the_whole_tree(engine: RealEngine, workspace: Path, number: signal.Signals) -> None:
    script = "setsid sleep 987 & setsid sh -c 'sleep 987' & echo ready; wait"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*ARGV, "run", "--", "sh", "-c", script, cwd=workspace, stdout=pipe)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 128 + number
    code, out, _ = await shell("cli run -- sh -c 'pgrep -f \"sleep 98[7]\" | wc -l'", workspace)
    assert (code, out) == (0, b"0\n")


async def test_the_second_signal_kills(engine: RealEngine, workspace: Path) -> None:
    pipe = asyncio.subprocess.PIPE
    script = "trap '' TERM; echo ready; while :; do sleep 1; done"
    process = await asyncio.create_subprocess_exec(
        *ARGV, "run", "--", "sh", "-c", script, cwd=workspace, stdout=pipe, stderr=pipe
    )
    assert process.stdout is not None and process.stderr is not None
    assert await process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    assert b"again to kill it" in await process.stderr.readline()
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 130


async def test_a_terminal(engine: RealEngine, workspace: Path, terminal: Terminal) -> None:
    script = 'stty size; while read a; do echo "[$a]"; stty size; done; exit 6'
    await terminal.start("run", "--tty", "--", "bash", "-c", script, cwd=workspace)
    await terminal.until(b"30 100\r\n")
    terminal.type("grüße\r".encode())
    await terminal.until("[grüße]\r\n".encode())
    terminal.resize(11, 44)
    terminal.type(b"\r")
    await terminal.until(b"11 44\r\n")
    terminal.type(b"\x04")
    assert await terminal.end() == 6
    assert terminal.is_as_before


async def test_ctrl_c_and_the_shell_goes_on(engine: RealEngine, workspace: Path, terminal: Terminal) -> None:
    await terminal.start("shell", "--env", "PS1=prompt> ", "--", "bash", "--norc", cwd=workspace)
    await terminal.until(b"prompt> ")
    # The program says itself that it has begun: then the shell has made it the terminal's foreground.
    terminal.type(b"sh -c 'echo begun; exec sleep 1000'\r")
    await terminal.until(b"\rbegun\r\n")
    terminal.type(b"\x03")
    await terminal.until(b"prompt> ")
    terminal.type(b"echo $((6*7))\r")
    await terminal.until(b"\r42\r\n")
    terminal.type(b"exit 5\r")
    assert await terminal.end() == 5
    assert terminal.is_as_before


async def test_the_terminal_is_given_back(engine: RealEngine, workspace: Path, terminal: Terminal) -> None:
    await terminal.start("run", "-t", "--", "sh", "-c", "echo ready; sleep 1000", cwd=workspace)
    await terminal.until(b"ready")
    assert terminal.process is not None and not terminal.is_as_before
    terminal.process.send_signal(signal.SIGTERM)
    assert await terminal.end() == 143
    assert terminal.is_as_before


async def test_detach_ps_logs_attach_kill(engine: RealEngine, workspace: Path) -> None:
    _, out, _ = await shell("cli run --detach --title later -- sh -c 'echo one; sleep 1000'", workspace)
    run_id = out.decode().strip()
    _, out, _ = await shell("cli ps --here", workspace)
    assert f"{run_id}  running" in out.decode() and "later" in out.decode()
    watching = await asyncio.create_subprocess_exec(*ARGV, "logs", "-f", run_id[:12], stdout=asyncio.subprocess.PIPE)
    assert watching.stdout is not None
    assert await watching.stdout.readline() == b"one\n"
    watching.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(watching.wait(), 30) == 130
    assert (await shell(f"cli kill {run_id}", workspace))[0] == 0
    assert (await shell(f"cli attach {run_id}", workspace))[:2] == (143, b"one\n")
    assert (await shell("cli ps --here", workspace))[1] == b"No active runs.\n"


async def test_sandboxes_and_status(engine: RealEngine, workspace: Path) -> None:
    assert (await shell("cli run -- touch /tmp/stays", workspace)) == (0, b"", b"")
    _, out, _ = await shell("cli ls --json", workspace)
    (box,) = [box for box in json.loads(out)["sandboxes"] if box["workspace"]["path"] == str(workspace)]
    assert box["id"] in (await shell("cli status", workspace))[1].decode()
    assert (await shell("cli sync", workspace))[1].startswith(b"Up to date: ")
    assert (await shell("cli stop", workspace))[0] == 0
    assert (await shell("cli run -- ls /tmp/stays", workspace))[0] == 0
    assert (await shell("cli rm", workspace))[0] == 125
    assert (await shell("cli rm --force", workspace))[0] == 0
    assert (await shell("cli run -- ls /tmp/stays", workspace))[0] != 0


async def test_doctor(engine: RealEngine, workspace: Path) -> None:
    code, out, _ = await shell("cli doctor", workspace)
    assert (code, out.endswith(b"\nReady.\n")) == (0, True), out


async def test_the_engine_restarts_under_a_run(engine: RealEngine, workspace: Path) -> None:
    pipe = asyncio.subprocess.PIPE
    script = "for i in $(seq 1 200); do echo $i; sleep 0.02; done; exit 9"
    process = await asyncio.create_subprocess_exec(
        *ARGV, "run", "--", "sh", "-c", script, cwd=workspace, stdout=pipe, stderr=pipe
    )
    assert process.stdout is not None
    first = await process.stdout.readline()
    restarted = await shell("cli engine restart --force", workspace)
    assert restarted[0] == 0, restarted
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 9, err
    assert first + out == b"".join(b"%d\n" % n for n in range(1, 201))


async def test_start_up_is_quick(engine: RealEngine, workspace: Path) -> None:
    """What a user waits for before the request leaves: processor time, which a busy machine does not change much."""
    code = "import sys, time; from continue_exec.doors.cli import foreground, run; print(time.process_time())"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert float(out) < 0.25
