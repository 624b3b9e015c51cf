"""The tree of errors: one class per remedy.

    ContinueExecError
    ├── InvalidRequest        change the request
    │   ├── OutsideWorkspace  name a path inside the workspace
    │   ├── CommandNotFound   name another program, or install it in the sandbox
    │   ├── ToolchainMissing  install the language's toolchain
    │   └── TooLarge          send less at once
    ├── NotFound              list what there is, then name one of those
    ├── Conflict              wait, or end what stands in the way
    ├── Refused               policy says no: a person may widen it
    │   └── WorkspaceRefused  pick a folder that is safe to mirror
    ├── NotSupported          use a driver or template that can do it
    ├── HostUnready           mend the machine: `continue-exec doctor` says how
    │   └── DiskFull          free disk space
    ├── SandboxFailed         the sandbox did not start: its log says why
    ├── SandboxLost           the sandbox died under the request: try again
    ├── EngineUnavailable     the engine is not there: start it, read its log
    ├── ProtocolError         the peer spoke garbage: one of the two is broken
    │   └── VersionMismatch   restart or upgrade the older of the two
    └── InternalError         a defect of ours: report it

To add one: subclass by *remedy* (not by place), give it `code`, `status`, `exit_code` and `hint`,
draw it above, and document it in docs/reference/errors.md (a test compares the two).
A command that exits non-zero is a result, never an error.
"""

from __future__ import annotations

from typing import Any, ClassVar


class ContinueExecError(Exception):
    """Base of every error that crosses a room or a door.

    Attributes:
        code: stable identifier in snake_case, part of the wire.
        message: one sentence saying what went wrong, with the names involved.
        hint: one sentence saying what to do about it, possibly empty.
        data: further facts, JSON-serialisable.
        status: HTTP status that carries it.
        exit_code: what the CLI exits with (125 and up, as `env` and `docker run` do,
            so that they are not mistaken for the command's own code).
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 125
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint
        self.data: dict[str, Any] = data or {}

    def to_wire(self) -> dict[str, Any]:
        """The JSON form that every door sends."""
        return {"code": self.code, "message": self.message, "hint": self.hint, "data": self.data}

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"


class InvalidRequest(ContinueExecError):
    """The request is malformed or contradicts itself."""

    code = "invalid_request"
    status = 400


class OutsideWorkspace(InvalidRequest):
    """A path that should lie inside the workspace does not."""

    code = "outside_workspace"
    default_hint = "Name a path inside the workspace, or run from the folder that contains it."


class CommandNotFound(InvalidRequest):
    """The sandbox has no such program, or it cannot be executed, or its folder is missing."""

    code = "command_not_found"
    exit_code = 127


class ToolchainMissing(InvalidRequest):
    """A snippet's language has no toolchain in the sandbox."""

    code = "toolchain_missing"
    exit_code = 127


class TooLarge(InvalidRequest):
    """A message or frame is larger than the wire allows."""

    code = "too_large"
    status = 413


class NotFound(ContinueExecError):
    """No Workspace, Sandbox, Run or file by that name."""

    code = "not_found"
    status = 404


class Conflict(ContinueExecError):
    """The thing is in a state that forbids the request."""

    code = "conflict"
    status = 409


class Refused(ContinueExecError):
    """Policy forbids it; only a person may widen policy."""

    code = "refused"
    status = 403


class WorkspaceRefused(Refused):
    """The folder must not be mirrored: a home directory, the root, a system folder."""

    code = "workspace_refused"
    default_hint = "Run from a project folder, or pass --cwd."


class NotSupported(ContinueExecError):
    """The driver, template or host cannot do this."""

    code = "not_supported"
    status = 501


class HostUnready(ContinueExecError):
    """A precondition of the host is missing, so nothing runs (fail closed)."""

    code = "host_unready"
    status = 503
    default_hint = "Run `continue-exec doctor`: it says what is missing and how to mend it."


class DiskFull(HostUnready):
    """The host's disk, or the sandbox's share of it, is full."""

    code = "disk_full"
    status = 507
    default_hint = "Free disk space, or remove sandboxes with `continue-exec rm`."


class SandboxFailed(ContinueExecError):
    """The sandbox could not be started."""

    code = "sandbox_failed"
    default_hint = "Run `continue-exec doctor`; the sandbox's log is named in data.log."


class SandboxLost(ContinueExecError):
    """The sandbox ended while it was needed. Its files are safe."""

    code = "sandbox_lost"
    status = 502
    default_hint = "Run the command again: the sandbox starts anew with its files as they were."


class EngineUnavailable(ContinueExecError):
    """The engine could not be reached or started."""

    code = "engine_unavailable"
    status = 503
    default_hint = "Run `continue-exec doctor`; the engine's log is named there."


class ProtocolError(ContinueExecError):
    """The peer sent something that is not the protocol."""

    code = "protocol_error"
    status = 400


class VersionMismatch(ProtocolError):
    """The two ends share no protocol version."""

    code = "version_mismatch"
    status = 409
    default_hint = "Run `continue-exec engine restart`, or upgrade the older part."


class InternalError(ContinueExecError):
    """A defect of ours. Never carries a traceback to a client."""

    code = "internal"
    default_hint = "Please report this, with the engine's log."


def _walk(cls: type[ContinueExecError]) -> list[type[ContinueExecError]]:
    found = [cls]
    for child in cls.__subclasses__():
        found.extend(_walk(child))
    return found


def all_errors() -> list[type[ContinueExecError]]:
    """Every class of the tree, root first."""
    return _walk(ContinueExecError)


def from_wire(body: dict[str, Any]) -> ContinueExecError:
    """Rebuild an error from `to_wire`'s form; an unknown code (from a newer peer) becomes the base class."""
    code = str(body.get("code", "error"))
    message = str(body.get("message", "unknown error"))
    hint = str(body.get("hint", ""))
    data = body.get("data")
    for cls in all_errors():
        if cls.code == code:
            return cls(message, hint=hint, data=data if isinstance(data, dict) else None)
    error = ContinueExecError(message, hint=hint, data=data if isinstance(data, dict) else None)
    error.data.setdefault("code", code)
    return error
