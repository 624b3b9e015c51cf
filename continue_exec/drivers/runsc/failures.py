"""From what the launcher, runsc and the kernel said to an error with a remedy.

Only here are messages of others looked at, and only to choose between hints: what is not recognised is
SandboxFailed with the log's end, never a guess.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from ...errors import ContinueExecError, DiskFull, HostUnready, SandboxFailed

APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
MAX_NAMESPACES = Path("/proc/sys/user/max_user_namespaces")
CLONE = Path("/proc/sys/kernel/unprivileged_userns_clone")

TAIL_BYTES = 4000


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def namespaces_remedy() -> str:
    """Why an ordinary user cannot make user namespaces here, and what to type about it."""
    if _number(APPARMOR) == 1:
        return (
            "AppArmor restricts user namespaces here (Ubuntu 23.10 and later). As root: "
            "`sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, and to keep it: "
            "`echo kernel.apparmor_restrict_unprivileged_userns=0 > /etc/sysctl.d/60-continue-exec.conf`."
        )
    if _number(CLONE) == 0:
        return "As root: `sysctl -w kernel.unprivileged_userns_clone=1` (and the same line in /etc/sysctl.d/)."
    if _number(MAX_NAMESPACES) == 0:
        return "As root: `sysctl -w user.max_user_namespaces=15000` (and the same line in /etc/sysctl.d/)."
    if os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv"):
        return (
            "This looks like a container: start it with `--privileged`, or with "
            "`--security-opt seccomp=unconfined --security-opt apparmor=unconfined`, or run on the host itself."
        )
    return "Run as root, or allow user namespaces for this user (user_namespaces(7))."


def overlay_remedy(number: int, folder: Path) -> str:
    """What to do when an overlay cannot be mounted in `folder`: `number` is the errno."""
    if number == errno.EPERM:
        return "Kernel 5.11 or later is needed for overlay mounts by an ordinary user; or run as root."
    if number == errno.ENODEV:
        return "The kernel has no overlay file system: as root, `modprobe overlay`."
    return (
        f"{folder} must lie on a local disk (ext4, XFS, btrfs, tmpfs), not on a network file system or inside a "
        "container's own root: set CONTINUE_EXEC_HOME to a folder on one."
    )


def of_launcher(line: str, folder: Path, log: Path) -> ContinueExecError:
    """The error for a line that the launcher reported: `step TAB subject TAB errno`."""
    step, _, rest = line.rstrip("\n").partition("\t")
    subject, _, digits = rest.rpartition("\t")
    number = int(digits) if digits.isdigit() else 0
    words = os.strerror(number)
    data = {"log": str(log), "step": step, "subject": subject}
    if number in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"No space left while preparing the sandbox's {subject}", data=data)
    if step == "unshare":
        return HostUnready(f"This user cannot make namespaces: {words}", hint=namespaces_remedy(), data=data)
    if step == "overlay":
        hint = overlay_remedy(number, folder)
        return HostUnready(f"Cannot mount an overlay of {subject}: {words}", hint=hint, data=data)
    if step == "cgroup":
        return HostUnready(
            f"Cannot join the cgroup {subject}: {words}", hint="Run without limits, or as root.", data=data
        )
    if step == "exec":
        return HostUnready(f"Cannot execute {subject}: {words}", hint="Run `scripts/install-runsc`.", data=data)
    if step == "folder":
        return SandboxFailed(
            f"The sandbox's own files leave no place for the workspace {subject}: {words}",
            hint="Something inside put a link or a file in its path; `continue-exec rm` removes all of the sandbox.",
            data=data,
        )
    return SandboxFailed(f"The sandbox could not be prepared: {step} {subject}: {words}", data=data)


def tail(log: Path, start: int) -> str:
    """The log from `start` on, at most its last TAIL_BYTES."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(start, size - TAIL_BYTES))
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""


_KNOWN = (
    (re.compile(r"no space left on device|disk quota exceeded", re.I), DiskFull, "The disk is full", None),
    (
        re.compile(r"exec format error", re.I),
        HostUnready,
        "A program is for another processor",
        "Run `scripts/install-runsc`, and `scripts/build-agent` if the agent was copied from elsewhere.",
    ),
    (
        re.compile(r"cgroup.*(read-only|permission denied|no such file|invalid argument)", re.I),
        HostUnready,
        "The sandbox's cgroup cannot be made",
        "Inside a container, start that with `--privileged` and `--cgroupns=host`; see `continue-exec doctor`.",
    ),
    (
        re.compile(r"flag provided but not defined|unknown flag", re.I),
        HostUnready,
        "This runsc is too old",
        "Run `scripts/install-runsc`: it needs a release of 2023-09 or later.",
    ),
    (
        re.compile(r"(ptrace|seccomp|clone|unshare|pivot_root|fork/exec).*operation not permitted", re.I),
        HostUnready,
        "This machine does not let gVisor isolate a process",
        "Inside a container, start that with `--privileged` or run on the host itself; see `continue-exec doctor`.",
    ),
)


def of_runsc(code: int, text: str, log: Path) -> ContinueExecError:
    """The error for a `runsc run` that exited with `code` and said `text`."""
    last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
    data = {"log": str(log), "exit_code": code, "said": text[-1000:]}
    for pattern, kind, message, hint in _KNOWN:
        if pattern.search(text):
            return kind(f"{message}: {last[:300]}", hint=hint, data=data)
    how = f"was killed by signal {-code}" if code < 0 else f"exited with {code}"
    return SandboxFailed(f"runsc {how}: {last[:300]}", data=data)


def of_os(error: OSError, folder: Path) -> ContinueExecError:
    """The error for a failed file operation of the driver's own."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"No space left for the sandbox in {folder}")
    return HostUnready(
        f"Cannot prepare the sandbox in {folder}: {error.strerror}: {error.filename}",
        hint="Check that the folder is writable and on a local disk; CONTINUE_EXEC_HOME moves it.",
    )
