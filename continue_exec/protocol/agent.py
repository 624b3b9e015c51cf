"""Host ↔ agent: the messages. The protocol in words is docs/reference/agent-protocol.md.

Control frames carry one JSON object each:
    request       {"id": 7, "method": "exec", "params": {...}}                     host → agent
    response      {"id": 7, "result": {...}}  or  {"id": 7, "error": {code, message, hint}}
    notification  {"event": "exited", "params": {...}}                             agent → host

To add a method: models here, an entry in METHODS, a file of the same name in sandbox_images/agent,
a section in the document, `scripts/generate`, a case in tests/contract/test_agent.py.
"""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from ..model import Model, TerminalSize, Usage

INITIAL_CREDIT = 1 << 20
"""Payload bytes that either side may send on a new stream before the other grants more."""

SOCKET_DIR = "/run/continue-exec"
"""Where the host's folder of sockets is bound (read-only) inside."""

BIND_DIR = "/.continue-exec/host"
"""Where the driver shows folders of the host, each read-only under a name of its own."""

EGRESS_PORT = 3128
"""The agent's relay listens on 127.0.0.1 at this port inside; each connection is joined to egress.sock."""


class Hello(Model):
    """First request on a connection, from the host."""

    protocol: int
    version: str = Field(description="of continue_exec; for people")
    capabilities: tuple[str, ...] = ()
    token: str = Field(default="", description="the doorbell's token, sent back so that the agent can check it")


class StreamStatus(Model):
    """A run as the agent knows it, so that a new engine can adopt it."""

    stream: int
    run_id: str
    pid: int
    running: bool
    offset: int = Field(description="first byte of output that the agent still holds")
    end: int = Field(description="bytes of output read from the command so far")


class HelloResult(Model):
    """The agent's answer."""

    protocol: int
    version: str
    capabilities: tuple[str, ...]
    boot_id: str = Field(description="random, one per start of the agent; a restored agent keeps its own")
    pid: int
    streams: tuple[StreamStatus, ...] = ()


class Exec(Model):
    """Start a process. Output then flows on `stream` as STDOUT and STDERR frames."""

    stream: int = Field(description="unused so far on this boot, chosen by the host, > 0")
    run_id: str
    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str]
    tty: TerminalSize | None = None
    stdin: bool = Field(default=False, description="false: /dev/null")


class ExecResult(Model):
    """The process exists."""

    pid: int


class StreamRef(Model):
    """Names a stream."""

    stream: int


class Attach(Model):
    """Take over a stream after a reconnect: output is sent again from `offset` on."""

    stream: int
    offset: int = Field(description="bytes of output already kept safely by the host")


class Signal(Model):
    """Signal a run."""

    stream: int
    signal: int
    tree: bool = Field(default=True, description="every process that the run started, even if it left its group")


class SignalResult(Model):
    """How many processes the signal reached."""

    reached: int


class Resize(Model):
    """New size of a run's terminal."""

    stream: int
    size: TerminalSize


class Path(Model):
    """An absolute path inside."""

    path: str


class FileStat(Model):
    """lstat(2), in short."""

    path: str
    kind: Literal["file", "dir", "symlink", "other", "missing"]
    size: int = 0
    mode: int = Field(default=0, description="permission bits, 0o7777")
    mtime_ns: int = 0
    target: str = Field(default="", description="of a symlink")


class FileList(Model):
    """Entries of a folder, by name."""

    entries: tuple[FileStat, ...]


class Read(Model):
    """Read a file: its bytes flow as STDOUT frames on `stream`; then the response arrives."""

    stream: int
    path: str
    offset: int = 0
    length: int = Field(default=-1, description="-1: to the end")


class ReadResult(Model):
    """The read is complete."""

    bytes: int


class Push(Model):
    """Write files. Records flow as PUSH frames on `stream`; an empty PUSH frame ends them; then the response arrives.

    A record is `u32 BE length of header`, header JSON (PushEntry), then `size` raw bytes for a file.
    Records may be cut anywhere into frames.
    """

    stream: int
    root: str = Field(description="absolute; every entry's path is relative to it and may not leave it")


class PushEntry(Model):
    """Header of one record of a push."""

    path: str = Field(description="relative to the push's root; bytes that are not UTF-8 as surrogate escapes")
    kind: Literal["file", "dir", "symlink", "delete"]
    mode: int = 0o644
    mtime_ns: int = 0
    size: int = 0
    target: str = Field(default="", description="of a symlink")
    was: str = Field(
        default="",
        description="what must be at the path now, else the entry fails with `conflict` and nothing is touched: `-` "
        "nothing, `f:SIZE:MTIME_NS:MODE` a file (MODE octal), `l:HEX` a link (the first 16 bytes of its target's "
        "SHA-256), `d` a folder (`delete` removes it only if it is empty, one that is not stays, which is no failure; "
        "a file or link takes the place of an empty one only); empty: anything; other text: never",
    )


@dataclass(frozen=True)
class PushItem:
    """One record of a push as the host hands it to its agent client; not on the wire itself."""

    entry: PushEntry
    data: bytes | pathlib.Path | None = None
    """A file's bytes (`entry.size` of them), or, when large, the file to stream that many from. None: not a file."""


class PushFailure(Model):
    """One entry that could not be written."""

    path: str
    code: str
    message: str


class PushResult(Model):
    """The push is complete; entries not listed as failed are in place."""

    written: int
    failed: tuple[PushFailure, ...] = Field(default=(), description="at most 500, and about 256 KiB of text")
    unlisted: int = Field(default=0, description="further failures, of which nothing is said")


class Watch(Model):
    """Watch a folder and what is below it; `changed` notifications follow on `stream` until `close`."""

    stream: int
    path: str


class Connect(Model):
    """Open a TCP connection to 127.0.0.1:`port` inside; bytes flow on `stream` as STDIN and STDOUT frames."""

    stream: int
    port: int


class Port(Model):
    """A TCP port that something inside listens on."""

    port: int
    address: str
    pid: int | None = None
    command: str = ""


class PortList(Model):
    """Every listening port, the agent's own excepted."""

    ports: tuple[Port, ...]


class Empty(Model):
    """No fields."""


class Exited(Model):
    """Notification: the command ended, its output up to then has been read. Repeated on `attach` until `forget`."""

    stream: int
    run_id: str
    exit_code: int
    signal: int | None = None
    end: int = Field(description="total bytes of output, so that the host knows when it has all of it")
    duration_ms: int = 0
    usage: Usage = Usage()


class Changed(Model):
    """Notification: paths below a watched folder changed. `overflow` means: look again at all of it."""

    stream: int
    paths: tuple[str, ...]
    overflow: bool = False


class Closed(Model):
    """Notification: a `connect` stream ended."""

    stream: int


METHODS: dict[str, tuple[type[Model], type[Model]]] = {
    "hello": (Hello, HelloResult),
    "exec": (Exec, ExecResult),
    "attach": (Attach, Empty),
    "forget": (StreamRef, Empty),
    "signal": (Signal, SignalResult),
    "resize": (Resize, Empty),
    "stat": (Path, FileStat),
    "list": (Path, FileList),
    "read": (Read, ReadResult),
    "push": (Push, PushResult),
    "watch": (Watch, Empty),
    "ports": (Empty, PortList),
    "connect": (Connect, Empty),
    "close": (StreamRef, Empty),
    "shutdown": (Empty, Empty),
}

NOTIFICATIONS: dict[str, type[Model]] = {"exited": Exited, "changed": Changed, "closed": Closed}


def request(id: int, method: str, params: Model) -> dict[str, Any]:
    """A request as it stands on the wire."""
    return {"id": id, "method": method, "params": params.model_dump(mode="json", exclude_none=True)}
