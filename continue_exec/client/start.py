"""Start the engine when a door finds none.

The engine is told the number of a pipe (`--ready-fd`) and writes one line to it: `ready`, `already` (another
engine holds the lock: two doors raced, this one simply connects), or an error as JSON. End of file without
a line means that it crashed; what it said is in its log.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import paths
from ..errors import ContinueExecError, DiskFull, EngineUnavailable, HostUnready, from_wire
from .http import Connection

if TYPE_CHECKING:
    from pathlib import Path

READY_SECONDS = 60.0
"""For the engine's imports, its database and adopting every sandbox of its predecessor on a slow, busy disk."""

ALREADY_SECONDS = 20.0
"""For another door's engine to come up, or an ending one to release its lock."""

RETRY_SECONDS = 0.05
"""Between attempts to connect while another door's engine starts: nobody can tell us when it is up."""

LOG_TAIL_BYTES = 4096

_KEEP = {
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
    *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"),
    *("GOPROXY", "GONOPROXY", "GOPRIVATE", "GOSUMDB", "GONOSUMDB"),
}
_KEEP_PREFIXES = ("LC_", "XDG_", "CONTINUE_EXEC_", "PIP_", "UV_", "NPM_CONFIG_", "CARGO_")
_KEEP_SUFFIXES = ("_PROXY",)

# Forks, so that the engine is nobody's child: no zombie in a long-lived door, no tie to this process.
_DETACH = "import os,sys\nif os.fork(): os._exit(0)\nos.execv(sys.argv[1], sys.argv[1:])"


def default_command() -> list[str]:
    """How the engine is started; `--ready-fd N` is appended. `-P`: nothing is imported from the current folder."""
    return [sys.executable, "-P", "-m", "continue_exec.app"]


def engine_env(environ: dict[str, str]) -> dict[str, str]:
    """What the engine inherits: it outlives the door, so no credentials, agents or editor's variables of the
    terminal that happened to be first; only what says where things are and how this host reaches registries."""
    return {
        name: value
        for name, value in environ.items()
        if name in _KEEP or name.upper().startswith(_KEEP_PREFIXES) or name.upper().endswith(_KEEP_SUFFIXES)
    }


def log_path() -> Path:
    """The engine's log."""
    return paths.home() / "engine.log"


def log_tail() -> str:
    """The last lines of the engine's log; empty if there is none."""
    try:
        with open(log_path(), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_TAIL_BYTES))
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""


async def connect(socket: str | os.PathLike[str]) -> Connection | None:
    """A connection to the engine; None if no engine listens.

    Raises:
        EngineUnavailable: the socket is there but cannot be used.
    """
    try:
        return await Connection.open(socket)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except (BlockingIOError, ConnectionResetError):
        return None  # its backlog is full, or it is just ending: the caller tries again
    except OSError as error:
        raise EngineUnavailable(f"The engine's socket {os.fspath(socket)} cannot be used: {error.strerror}.") from error


async def connect_or_start(socket: str | os.PathLike[str], command: Sequence[str] | None = None) -> Connection:
    """A connection to the engine, which is started if none listens.

    Raises:
        EngineUnavailable: it did not come up; `data["log"]` names its log.
        HostUnready, or whatever the engine says that stands in its way.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + ALREADY_SECONDS
    while True:
        if (connection := await connect(socket)) is not None:
            return connection
        await spawn(command or default_command())
        if (connection := await connect(socket)) is not None:
            return connection
        if loop.time() > deadline:
            raise EngineUnavailable(
                f"Another engine holds the lock but does not answer at {os.fspath(socket)}.",
                data={"log": str(log_path())},
            )
        await asyncio.sleep(RETRY_SECONDS)


async def spawn(command: Sequence[str]) -> bool:
    """Start the engine and wait for its word. True: it is ready; False: another one already runs.

    Raises:
        EngineUnavailable: it ended, or said nothing for READY_SECONDS.
        ContinueExecError: the error it reported.
    """
    log = _open_log()
    try:
        read_end, write_end = os.pipe()
        try:
            helper = subprocess.Popen(  # noqa: ASYNC220 (it forks and ends at once)
                [sys.executable, "-I", "-S", "-c", _DETACH, *command, "--ready-fd", str(write_end)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=engine_env(dict(os.environ)),
                pass_fds=(write_end,),
                start_new_session=True,
            )
        except OSError as error:
            os.close(read_end)
            raise EngineUnavailable(f"The engine could not be started: {error}.") from error
        finally:
            os.close(write_end)
    finally:
        os.close(log)
    try:
        line = await asyncio.wait_for(_read_line(read_end), READY_SECONDS)
    except TimeoutError:
        raise EngineUnavailable(
            f"The engine said nothing for {READY_SECONDS:.0f} seconds.", data={"log": str(log_path())}
        ) from None
    finally:
        os.close(read_end)
        helper.wait()  # it forked and ended long before the engine could say anything
    return _heard(line)


def _heard(line: bytes) -> bool:
    word = line.strip()
    if word == b"ready":
        return True
    if word == b"already":
        return False
    try:
        body = json.loads(word)
        error: ContinueExecError = from_wire(body)
    except (ValueError, AttributeError):
        tail = log_tail().splitlines()
        last = f": {tail[-1]}" if tail else "."
        error = EngineUnavailable(f"The engine ended while it started{last}")
    error.data.setdefault("log", str(log_path()))
    raise error


def _open_log() -> int:
    try:
        paths.private(paths.home())
        return os.open(log_path(), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        hint = "Set CONTINUE_EXEC_HOME to a folder that can be written."
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"The engine's log {log_path()} cannot be written: {error.strerror}.") from error
        raise HostUnready(f"The engine's log {log_path()} cannot be written: {error.strerror}.", hint=hint) from error


async def _read_line(fd: int) -> bytes:
    """Everything up to a line's end or the end of file."""
    loop = asyncio.get_running_loop()
    data = b""
    while not data.endswith(b"\n"):
        readable = asyncio.Event()
        loop.add_reader(fd, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(fd)
        piece = os.read(fd, 65536)
        if not piece:
            break
        data += piece
    return data
