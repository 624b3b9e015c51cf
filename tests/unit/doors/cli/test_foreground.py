"""A run in the foreground: big streams, slow readers, signals, terminals."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import signal
import sys
from pathlib import Path

import pytest

from continue_exec.errors import Conflict
from tests.support.command_line import ARGV, Terminal, cli, start
from tests.support.local_engine import LocalEngine

MIB = 1 << 20


async def running(engine: LocalEngine, method: str = "run.stream") -> None:
    """Wait until a command has been started and has written something."""
    await engine.called(method)
    (run,) = engine.runs.values()
    await run.has(2)


async def test_100_mb_through_standard_input(engine: LocalEngine, tmp_path: Path) -> None:
    data = os.urandom(MIB) * 100
    (tmp_path / "data").write_bytes(data)
    sha = hashlib.sha256(data).hexdigest()
    for feed in (f"cat {tmp_path}/data |", f"< {tmp_path}/data"):
        before, after = (feed, "") if feed.endswith("|") else ("", feed)
        script = f"{before} {sys.executable} -c '{ARGV[2]}' run --stdin -- cat {after} | sha256sum"
        process = await asyncio.create_subprocess_shell(script, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        assert out.split()[0].decode() == sha


async def test_big_output_in_flat_memory(engine: LocalEngine) -> None:
    code = ARGV[2].replace(
        "sys.exit(main())",
        "code = main(); import resource; "
        "sys.stderr.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)); sys.exit(code)",
    )
    script = f"{sys.executable} -c '{code}' run -- head -c {150 * MIB} /dev/zero | (sleep 1; wc -c)"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_shell(script, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    assert int(out) == 150 * MIB
    assert int(err) < 60 * 1024  # KiB; a bare CLI has about 30,000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0


async def test_a_reader_that_leaves_ends_the_run(engine: LocalEngine) -> None:
    script = f"{sys.executable} -c '{ARGV[2]}' run -- yes | head -1; echo ${{PIPESTATUS[0]}}"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec("bash", "-c", script, stdout=pipe, stderr=pipe)
    out, err = await asyncio.wait_for(process.communicate(), 20)
    assert (out, err) == (b"y\n141\n", b"")
    (run,) = engine.runs.values()
    assert run.reason == "cancelled"


async def test_output_that_cannot_be_written(engine: LocalEngine) -> None:
    script = f"{sys.executable} -c '{ARGV[2]}' run -- yes > /dev/full"
    process = await asyncio.create_subprocess_exec("sh", "-c", script, stderr=asyncio.subprocess.PIPE)
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 125
    assert b"No space left" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_cancels(engine: LocalEngine, number: signal.Signals) -> None:
    process = await start("run", "--", "sh", "-c", "echo a; sleep 100")
    await running(engine)
    process.send_signal(number)
    out, err = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, out, err) == (128 + number, b"a\n", b"")
    (run,) = engine.runs.values()
    assert (run.state, run.reason) == ("exited", "cancelled")


async def test_last_words_are_heard(engine: LocalEngine) -> None:
    process = await start("run", "--", "sh", "-c", "trap 'echo bye; exit' TERM; echo a; while :; do sleep 0.05; done")
    await running(engine)
    process.send_signal(signal.SIGINT)
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, out) == (130, b"a\nbye\n")


async def test_the_second_signal_kills(engine: LocalEngine) -> None:
    process = await start("run", "--", "sh", "-c", "trap '' TERM; echo a; while :; do sleep 0.05; done")
    await running(engine)
    process.send_signal(signal.SIGINT)
    assert (await engine.called("run.cancel"))["grace_s"] == 2.0
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 130
    assert (await engine.called("run.cancel", 2))["grace_s"] == 0.0
    (run,) = engine.runs.values()
    assert run.final["exit_code"] == 137


async def test_a_slow_cancel_is_explained(engine: LocalEngine) -> None:
    process = await start("run", "--", "sh", "-c", "trap '' TERM; echo a; while :; do sleep 0.05; done")
    await running(engine)
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 20)
    (run,) = engine.runs.values()
    assert err.decode() == f"continue-exec: ending {run.id}; again to kill it\n"
    assert run.final["exit_code"] == 137


async def test_a_cancel_that_fails_is_told(engine: LocalEngine) -> None:
    process = await start("run", "--", "sh", "-c", "echo a; sleep 100")
    await running(engine)
    engine.answers["run.cancel"] = Conflict("It cannot be.")
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, b"It cannot be." in err) == (130, True)


async def test_a_signal_before_the_run_has_begun(engine: LocalEngine) -> None:
    engine.before_start = asyncio.Event()
    process = await start("run", "--", "sh", "-c", "echo a; sleep 100")
    await engine.called("run.stream")
    process.send_signal(signal.SIGINT)
    await engine.called("run.cancel")  # known by its id already
    engine.before_start.set()
    await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 130


async def test_the_connection_breaks_and_nothing_is_lost(engine: LocalEngine) -> None:
    engine.break_after = 1
    done = await cli("run", "--", "sh", "-c", "for i in $(seq 300); do echo $i; done; exit 5")
    assert done.code == 5
    assert done.out == b"".join(b"%d\n" % n for n in range(1, 301))


async def test_input_that_is_cut_off_is_not_taken_for_all_of_it(engine: LocalEngine) -> None:
    process = await start("run", "--stdin", "--", "cat")
    assert process.stdin is not None
    process.stdin.write(b"half")
    await running(engine)
    engine.cut_stdin()
    process.stdin.write(b"more")
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 125
    assert b"cut off" in err
    (run,) = engine.runs.values()
    assert run.reason == "cancelled"


async def test_a_command_that_does_not_read(engine: LocalEngine) -> None:
    done = await cli("run", "--stdin", "--", "sh", "-c", "head -c 3", input=b"abc" * MIB)
    assert (done.code, done.out, done.err) == (0, b"abc", b"")


async def test_a_terminal(engine: LocalEngine, terminal: Terminal) -> None:
    await terminal.start("run", "--tty", "--", "sh", "-c", 'stty size; tty; echo $TERM; read a; echo "[$a]"; exit 6')
    await terminal.until(b"30 100\r\n")
    await terminal.until(b"/dev/pts/")
    assert not terminal.is_as_before  # raw
    terminal.type(b"hi\r")
    await terminal.until(b"[hi]\r\n")
    assert await terminal.end() == 6
    assert terminal.is_as_before


async def test_ctrl_c_is_a_byte(engine: LocalEngine, terminal: Terminal) -> None:
    await terminal.start(
        "run", "-t", "--", "sh", "-c", "trap 'echo got it; exit 9' INT; echo ready; while :; do sleep 0.05; done"
    )
    await terminal.until(b"ready\r\n")
    terminal.type(b"\x03")
    await terminal.until(b"got it")
    assert await terminal.end() == 9
    assert not [name for name, _ in engine.calls if name == "run.cancel"]


async def test_the_size_follows(engine: LocalEngine, terminal: Terminal) -> None:
    await terminal.start(
        "run", "-t", "--", "sh", "-c", "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done"
    )
    await terminal.until(b"ready\r\n")
    terminal.resize(11, 44)
    await terminal.until(b"11 44")
    assert await terminal.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_the_terminal_is_given_back_whatever_happens(
    engine: LocalEngine, terminal: Terminal, number: signal.Signals
) -> None:
    await terminal.start("run", "-t", "--", "sh", "-c", "echo ready; sleep 100")
    await terminal.until(b"ready")
    assert terminal.process is not None
    assert not terminal.is_as_before
    terminal.process.send_signal(number)
    assert await terminal.end() == 128 + number
    assert terminal.is_as_before


async def test_shell(engine: LocalEngine, terminal: Terminal) -> None:
    await terminal.start("shell", "--env", "PS1=prompt> ", "--", "sh")
    await terminal.until(b"prompt> ")
    terminal.type(b"echo $((6*7))\r")
    await terminal.until(b"42\r\n")
    terminal.type(b"exit 3\r")
    assert await terminal.end() == 3


async def test_progress_on_a_terminal_only(engine: LocalEngine, terminal: Terminal) -> None:
    engine.before_start = asyncio.Event()
    await terminal.start("run", "--", "echo", "done")
    await terminal.until(b"preparing the sandbox (1 s)")
    engine.before_start.set()
    seen = await terminal.until(b"done\r\n")
    assert seen.endswith(b"\r\x1b[Kdone\r\n")
    assert await terminal.end() == 0


async def test_no_progress_in_a_pipe(engine: LocalEngine) -> None:
    engine.before_start = asyncio.Event()
    process = await start("run", "--", "true")
    await engine.called("run.stream")
    await asyncio.sleep(1.3)
    engine.before_start.set()
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert err == b""


async def test_notices_are_words(engine: LocalEngine) -> None:
    process = await start(
        "run",
        "--",
        "sh",
        "-c",
        "echo a; read x",
    )
    await engine.called("run.stream")
    await asyncio.wait_for(process.communicate(), 20)
    (run,) = engine.runs.values()
    run.events.insert(2, (0x30, b'{"type": "notice", "code": "egress_refused", "message": "No way out."}'))
    done = await cli("attach", run.id)
    assert (done.out, done.err) == (b"a\n", b"continue-exec: No way out.\n")
