"""The agent keeps its word: runs. docs/reference/agent-protocol.md, section by section."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import signal
from typing import Any

import pytest

from continue_exec.agent.dial import dial
from continue_exec.errors import (
    CommandNotFound,
    Conflict,
    ContinueExecError,
    InvalidRequest,
    NotFound,
    NotSupported,
    TooLarge,
)
from continue_exec.model import TerminalSize
from continue_exec.protocol import frames
from continue_exec.protocol.agent import Empty
from continue_exec.protocol.frames import Kind
from continue_exec.protocol.versions import AGENT_CAPABILITIES, AGENT_PROTOCOL

PYTHON = "/usr/bin/python3"


async def python(agent: Any, code: str, **options: Any) -> Any:
    return await agent.run(PYTHON, "-Sc", code, **options)


async def gone(agent: Any, stream: int) -> None:
    """Ends when nothing of a run is left."""
    async with asyncio.timeout(10):
        while await agent.connection.signal(stream, 0):  # noqa: ASYNC110 - the protocol has no event for it
            await asyncio.sleep(0.01)


async def kill(agent: Any, stream: int) -> None:
    await agent.connection.signal(stream, signal.SIGKILL)
    await gone(agent, stream)


# Handshake


async def test_hello(agent: Any) -> None:
    hello = agent.connection.hello
    assert hello.protocol == AGENT_PROTOCOL
    assert set(hello.capabilities) >= AGENT_CAPABILITIES
    assert re.fullmatch("[0-9a-f]{32}", hello.boot_id)
    assert hello.streams == ()
    again = await agent.reconnect()
    assert again.hello.boot_id == hello.boot_id


async def test_requests_before_hello_are_refused(agent: Any) -> None:
    sock, _ = await dial(agent.machine.doorbell, agent.spec.sockets, timeout_s=5)
    loop = asyncio.get_running_loop()
    with sock:
        await loop.sock_sendall(sock, frames.encode(Kind.CONTROL, 0, b'{"id": 1, "method": "ports", "params": {}}'))
        answer = await loop.sock_recv(sock, 4096)
    assert b'"protocol_error"' in answer


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n" * 10,
        frames.HEADER.pack(frames.MAX_PAYLOAD + 1, Kind.CONTROL, 0),
        frames.encode(Kind.CONTROL, 0, b"{"),
        frames.encode(Kind.CONTROL, 0, b"[" * 100_000),
        frames.encode(Kind.CONTROL, 0, b'{"id": "one", "method": 3}'),
        frames.encode(Kind.STDOUT, 1, b"x"),
        frames.encode(Kind.CREDIT, 1, b"x"),
    ],
)
async def test_garbage_closes_the_connection_and_no_run(agent: Any, garbage: bytes) -> None:
    _, sink = await agent.start("cat", stdin=True)
    sock, _ = await dial(agent.machine.doorbell, agent.spec.sockets, timeout_s=5)
    loop = asyncio.get_running_loop()
    with sock:
        await loop.sock_sendall(sock, garbage)
        async with asyncio.timeout(5):
            while await loop.sock_recv(sock, 4096):
                pass
    assert sink.losses == 1
    connection = await agent.reconnect()
    assert [status.running for status in connection.hello.streams] == [True]
    await kill(agent, connection.hello.streams[0].stream)


async def test_unknown_method(agent: Any) -> None:
    with pytest.raises(NotSupported, match="teleport"):
        await agent.connection.call("teleport", Empty(), Empty)


# Start, output, exit


async def test_output_and_exit_code(agent: Any) -> None:
    sink = await agent.run("sh", "-c", "printf out; printf err >&2; exit 7")
    assert (sink.stdout, sink.stderr) == (b"out", b"err")
    assert (sink.note.exit_code, sink.note.signal, sink.note.end) == (7, None, 6)


async def test_death_by_signal(agent: Any) -> None:
    sink = await agent.run("sh", "-c", "kill -9 $$")
    assert (sink.note.exit_code, sink.note.signal) == (137, 9)


async def test_usage_and_duration(agent: Any) -> None:
    sink = await python(agent, "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass")
    assert sink.note.usage.user_ms + sink.note.usage.system_ms >= 150
    assert sink.note.duration_ms >= 200
    assert sink.note.usage.max_rss_bytes > 1 << 20


async def test_bytes_that_are_no_text_pass_unharmed(agent: Any) -> None:
    sink = await agent.run("printf", r"\377\000\376\200a")
    assert sink.stdout == b"\xff\x00\xfe\x80a"


async def test_arguments_and_variables_that_are_no_text(agent: Any) -> None:
    word = os.fsdecode(b"\xff\xfea")
    sink = await agent.run("sh", "-c", 'printf "%s.%s" "$1" "$V"', "sh", word, env={"V": word})
    assert sink.stdout == b"\xff\xfea.\xff\xfea"


async def test_variables_are_those_given(agent: Any) -> None:
    sink = await agent.run("/usr/bin/env", env={"ONLY": "a b\nc"})
    names = {line.split(b"=")[0].decode() for line in sink.stdout.splitlines() if b"=" in line}
    assert b"ONLY=a b\nc" in sink.stdout
    assert names - set(agent.machine.env) <= {"ONLY", "PWD", "CONTINUE_EXEC_RUN"}


async def test_folder(agent: Any) -> None:
    sink = await agent.run("sh", "-c", 'pwd; echo "$PWD"', cwd="/usr")
    assert sink.stdout == b"/usr\n/usr\n"


async def test_an_argument_is_an_argument(agent: Any) -> None:
    sink = await agent.run("printf", "%s|", "a b", "", "$HOME", "'", "\n")
    assert sink.stdout == b"a b||$HOME|'|\n|"


@pytest.mark.parametrize("program", ["no-such-program", "/no/such/program", "/etc/passwd", "/etc", "./nothing"])
async def test_a_program_that_cannot_be_executed(agent: Any, program: str) -> None:
    with pytest.raises(CommandNotFound) as caught:
        await agent.start(program)
    assert program in caught.value.message
    assert caught.value.hint


async def test_a_folder_that_is_not_there(agent: Any) -> None:
    with pytest.raises(NotFound) as caught:
        await agent.start("true", cwd="/no/such/folder")
    assert "/no/such/folder" in caught.value.message


@pytest.mark.parametrize(
    ("argv", "cwd", "env"),
    [
        ((), "/", {}),
        (("",), "/", {}),
        (("a\0b",), "/", {}),
        (("true",), "relative", {}),
        (("true",), "/", {"A=B": "c"}),
    ],
)
async def test_what_cannot_be_asked(agent: Any, argv: tuple[str, ...], cwd: str, env: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        await agent.start(*argv, cwd=cwd, env=env)


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        (["x" * 200_000], {}),  # one argument: over MAX_ARG_STRLEN
        ([], {"V": "x" * 200_000}),
        (["x" * 2_000_000], {}),  # over a frame
    ],
)
async def test_too_much_in_arguments(agent: Any, arguments: list[str], env: dict[str, str]) -> None:
    with pytest.raises(TooLarge) as caught:
        await agent.start("true", *arguments, env=env)
    assert caught.value.hint
    assert (await agent.run("true")).note.exit_code == 0


async def test_a_stream_is_used_once(agent: Any, keeper: Any) -> None:
    stream, _ = await agent.start("cat", stdin=True)
    connection = await agent.reconnect()
    taken = stream
    agent.connection.new_stream = lambda: taken
    with pytest.raises(Conflict):
        await agent.start("true")
    assert connection.hello.streams[0].stream == stream
    await kill(agent, stream)


async def test_many_short_runs_at_once(agent: Any) -> None:
    """A hundred runs, each with its own words on both channels and its own input; nothing is mixed up."""
    script = 'read word; for i in $(seq 20); do echo "$word $i"; echo "$word! $i" >&2; done; exit $1'

    async def one(number: int) -> None:
        stream, sink = await agent.start("sh", "-c", script, "sh", str(number), stdin=True)
        await agent.connection.stdin(stream, f"word-{number}\n".encode())
        note = await sink.exit()
        assert note.exit_code == number
        assert sink.stdout.decode() == "".join(f"word-{number} {i}\n" for i in range(1, 21))
        assert sink.stderr.decode() == "".join(f"word-{number}! {i}\n" for i in range(1, 21))
        await agent.connection.forget(stream)

    async with asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(one(number))


# Standard input


async def test_without_input_it_is_at_its_end(agent: Any) -> None:
    assert (await agent.run("cat")).note.exit_code == 0


async def test_input_of_any_size_comes_back(agent: Any, keeper: Any) -> None:
    data = os.urandom(1 << 16) * 80
    stream, sink = await agent.start("cat", stdin=True, sink=keeper(keep=False))
    for at in range(0, len(data), 300_000):
        await agent.connection.stdin(stream, data[at : at + 300_000])
    await agent.connection.stdin(stream, b"")
    note = await sink.exit()
    assert (note.exit_code, note.end) == (0, len(data))
    assert sink.hash.digest() == hashlib.sha256(data).digest()


async def test_input_that_nobody_reads_does_not_hang(agent: Any) -> None:
    stream, sink = await agent.start("sleep", "0.2", stdin=True)
    async with asyncio.timeout(10):
        await agent.connection.stdin(stream, bytes(4 << 20))
    assert (await sink.exit()).exit_code == 0


# Terminals


async def test_terminal(agent: Any) -> None:
    sink = await agent.run(
        "sh", "-c", "test -t 0 && test -t 1 && test -t 2 && stty size", tty=TerminalSize(rows=33, cols=99)
    )
    assert sink.stdout == b"33 99\r\n"
    assert sink.stderr == b""


async def test_resize_reaches_the_program(agent: Any) -> None:
    script = "trap 'stty size' WINCH; echo ready; while :; do read line && exit 0; done"
    stream, sink = await agent.start("sh", "-c", script, tty=TerminalSize(rows=10, cols=20))
    await sink.until(lambda: b"ready" in sink.stdout)
    await agent.connection.resize(stream, TerminalSize(rows=40, cols=120))
    await sink.until(lambda: b"40 120" in sink.stdout)
    await agent.connection.stdin(stream, b"\n")
    assert (await sink.exit()).exit_code == 0


async def test_a_terminals_interrupt_key(agent: Any) -> None:
    stream, sink = await agent.start("sh", "-c", "echo ready; exec sleep 60", tty=TerminalSize(rows=10, cols=20))
    await sink.until(lambda: b"ready" in sink.stdout)
    await agent.connection.stdin(stream, b"\x03")
    assert (await sink.exit()).signal == signal.SIGINT


# Signals


async def test_a_command_that_ignores_term_is_killed(agent: Any) -> None:
    stream, sink = await agent.start("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    await sink.until(lambda: b"ready" in sink.stdout)
    assert await agent.connection.signal(stream, signal.SIGTERM) >= 1
    assert await agent.connection.signal(stream, 0) >= 1
    await kill(agent, stream)
    assert (await sink.exit()).signal == signal.SIGKILL


async def test_a_signal_to_the_first_process_only(agent: Any) -> None:
    stream, sink = await agent.start("sh", "-c", "sleep 60 & echo ready; wait")
    await sink.until(lambda: b"ready" in sink.stdout)
    assert await agent.connection.signal(stream, signal.SIGKILL, tree=False) == 1
    await sink.exit()
    assert await agent.connection.signal(stream, 0) == 1
    await kill(agent, stream)


async def test_a_daemon_that_cut_every_tie_is_reached(agent: Any) -> None:
    code = (
        "import os\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "if os.fork(): os._exit(0)\n"
        "os.closerange(0, 3)\n"
        "os.execve('/bin/sleep', ['sleep', '60'], {})"
    )
    stream, sink = await agent.start(PYTHON, "-Sc", code)
    await sink.exit()
    assert await agent.connection.signal(stream, 0) == 1
    await kill(agent, stream)


async def test_a_thousand_children(agent: Any) -> None:
    code = (
        "import os, time, signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "for _ in range(1000):\n"
        "    if not os.fork():\n"
        "        time.sleep(600)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)"
    )
    stream, sink = await agent.start(PYTHON, "-Sc", code)
    async with asyncio.timeout(100):  # a thousand forks inside gVisor take 5 s of an idle machine
        await sink.until(lambda: b"ready" in sink.stdout)
        assert await agent.connection.signal(stream, signal.SIGTERM) == 1001
        assert await agent.connection.signal(stream, signal.SIGKILL) == 1001
        await gone(agent, stream)
    assert (await sink.exit()).signal == signal.SIGKILL
    assert (await agent.run("echo", "well")).stdout == b"well\n"


# Ends


async def test_closing_output_early_is_not_the_end(agent: Any) -> None:
    sink = await agent.run("sh", "-c", "echo x; exec >&- 2>&-; sleep 0.3; exit 3")
    assert (sink.stdout, sink.note.exit_code) == (b"x\n", 3)
    assert sink.note.duration_ms >= 300


@pytest.mark.parametrize("noise", ["sleep 60", "while :; do echo later; sleep 0.01; done", "yes later"])
async def test_a_background_process_does_not_hold_the_exit(agent: Any, keeper: Any, noise: str) -> None:
    stream, sink = await agent.start("sh", "-c", f"({noise}) & sleep 0.01; echo now >&2", sink=keeper())
    async with asyncio.timeout(5):
        note = await sink.exit()
    assert note.exit_code == 0
    assert sink.stderr == b"now\n"
    assert await agent.connection.signal(stream, 0) >= 1
    await kill(agent, stream)


async def test_what_the_background_writes_later_is_thrown_away(agent: Any) -> None:
    """More than any pipe or buffer holds, so that a writer that blocked would never end."""
    script = "(sleep 0.3; head -c 8000000 /dev/zero; echo done > mark) & echo now"
    stream, sink = await agent.start("sh", "-c", script)
    note = await sink.exit()
    assert (sink.stdout, note.end) == (b"now\n", 4)
    async with asyncio.timeout(10):
        await gone(agent, stream)
    assert (await agent.run("cat", "mark")).stdout == b"done\n"
    assert sink.size == 4


async def test_forgotten_runs_are_unknown(agent: Any, keeper: Any) -> None:
    stream, sink = await agent.start("true")
    await sink.exit()
    await agent.connection.forget(stream)
    with pytest.raises(NotFound):
        await agent.connection.signal(stream, 0)
    assert (await agent.reconnect()).hello.streams == ()
    with pytest.raises(ContinueExecError):
        await agent.connection.attach(stream, 0, keeper())


# Life


async def test_hangup_leaves_runs_alone(agent: Any, keeper: Any) -> None:
    stream, sink = await agent.start("sh", "-c", "read line; echo got $line", stdin=True)
    await agent.connection.hangup()
    assert sink.losses == 1
    connection = await agent.reconnect()
    again = keeper()
    await connection.attach(stream, 0, again)
    await connection.stdin(stream, b"it\n")
    await again.exit()
    assert again.stdout == b"got it\n"


async def test_a_new_ring_replaces_the_connection(agent: Any) -> None:
    first = agent.connection
    await agent.reconnect()
    await asyncio.wait_for(first.closed.wait(), 5)
    assert (await agent.run("true")).note.exit_code == 0


async def test_shutdown_ends_everything(agent: Any) -> None:
    _, sink = await agent.start("sh", "-c", "trap '' TERM HUP; while :; do sleep 1; done")
    descriptor = os.pidfd_open(agent.machine.pid)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, ended.set)
    await agent.connection.shutdown()
    await asyncio.wait_for(ended.wait(), 10)
    asyncio.get_running_loop().remove_reader(descriptor)
    os.close(descriptor)
    await asyncio.wait_for(agent.connection.closed.wait(), 5)
    await sink.until(lambda: sink.losses == 1 or sink.note is not None)
