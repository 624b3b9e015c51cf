"""How git is started on the host: so that it starts nothing that the repository names.

A workspace may come from anywhere, its configuration included: no fsmonitor, no hooks, no transport, no pager, no
command for alternates, none of the caller's GIT_* variables, no question to a terminal, no object from a network.
Only commands that read no file of the work tree are run, as those would run its filters.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from typing import BinaryIO

TIMEOUT_S = 30.0
"""Seconds. `ls-files` on the largest index takes one or two; a network file system that hangs must not hold a run."""

_SAFE = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "LC_ALL": "C",
}
_OFF = (
    "core.fsmonitor=",
    "core.hooksPath=/dev/null",
    "core.alternateRefsCommand=:",
    "gc.auto=0",
    "maintenance.auto=false",
)
_LIMITED = ("/bin/sh", "-c", 'ulimit -t "$1"; shift; ulimit -v "$1"; shift; ulimit -f "$1"; shift; exec "$@"', "sh")


class GitFailed(Exception):
    """git is not there, did not answer or refused; says so in words."""


class GitMissing(GitFailed):
    """There is no git on this host."""


def run(
    folder: str,
    *arguments: str,
    input: bytes | BinaryIO = b"",
    env: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
    ok: tuple[int, ...] = (0,),
    limits: tuple[int, int, int] | None = None,
) -> bytes:
    """Standard output of one git command, run in `folder`. Blocks.

    Args:
        input: bytes, or a file to read from.
        env: further variables.
        ok: exit codes that are no failure.
        limits: seconds of CPU, KiB of address space, 512-byte blocks of the largest file written.

    Raises:
        GitFailed: with git's first line of words.
    """
    variables = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    kept = {key: os.environ[key] for key in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM") if key in os.environ}
    off = [word for setting in _OFF for word in ("-c", setting)]
    command = ["git", "--no-pager", *off, *arguments]
    if limits is not None:
        command = [*_LIMITED, *map(str, limits), *command]
    data = input if isinstance(input, bytes) else None
    try:
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            command,
            cwd=folder,
            env={**variables, **kept, **_SAFE, **(env or {})},
            input=data,
            stdin=None if isinstance(input, bytes) else input,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError:
        if not os.path.isdir(folder):
            raise GitFailed(f"{folder} is gone") from None
        raise GitMissing("git is not installed") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GitFailed(f"git did not answer for {folder} ({error})") from None
    if done.returncode in ok:
        return done.stdout
    words = (done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"])[0]
    raise GitFailed(f"git refused {folder} ({words})")
