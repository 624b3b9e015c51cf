"""The OCI bundle: what process 1 may do and see. A pure function from a plan to config.json.

The fields are those of the OCI runtime specification 1.0, as runsc reads them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...model import Limits
from ...protocol.agent import BIND_DIR

HOSTNAME = "sandbox"
AGENT = "/.continue-exec/agent"
"""The agent's path inside: a read-only bind, so nothing inside can put another program in its place."""
SOCKETS = "/run/continue-exec"

PIDS_FLOOR = 2000
"""Least pids.max: it counts the sentry's own threads, and 300 of them were found to kill whole sandboxes."""

CAPABILITIES = (
    # What Docker gives root by default,
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
    # and what debuggers (gdb, strace) and builds need. All of it ends at the sentry: none of these is a capability
    # on the host. Neither CAP_SYS_RESOURCE nor CAP_SYS_ADMIN: both lift the limit on processes.
    "CAP_DAC_READ_SEARCH",
    "CAP_IPC_LOCK",
    "CAP_SYS_NICE",
    "CAP_SYS_PTRACE",
)
"""Of every program inside that runs as root."""

AGENT_CAPABILITIES = (*CAPABILITIES, "CAP_SYS_ADMIN")
"""Of the agent alone (it is not in the bounding set, so no program that is executed gets it): it lets the agent fork
when the processes inside have used up their limit, so that they can still be looked at and ended."""


def resources(limits: Limits) -> dict[str, Any]:
    """`linux.resources` for `limits`; absent entries mean no limit."""
    found: dict[str, Any] = {}
    if limits.processes is not None:
        found["pids"] = {"limit": max(PIDS_FLOOR, 4 * limits.processes)}
    if limits.memory_bytes is not None:
        found["memory"] = {"limit": limits.memory_bytes}
    if limits.cpus is not None:
        # The period is the kernel's default, 100 ms.
        found["cpu"] = {"period": 100_000, "quota": max(1000, int(limits.cpus * 100_000))}
    return found


def rlimits(limits: Limits) -> list[dict[str, Any]]:
    """Limits that gVisor itself enforces inside."""
    found = [
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_NOFILE", "soft": 65_536, "hard": 1_048_576},
    ]
    if limits.processes is not None:
        found.append({"type": "RLIMIT_NPROC", "soft": limits.processes, "hard": limits.processes})
    return found


def config(
    *,
    root: Path,
    sockets: Path,
    binds: Path,
    env: dict[str, str],
    limits: Limits,
    cgroup: str | None,
    shm_bytes: int = 1 << 30,
) -> dict[str, Any]:
    """The whole config.json.

    Args:
        root: the mounted root folder on the host.
        sockets: host folder bound read-only to /run/continue-exec; itself a read-only mount.
        binds: host folder in which the spec's binds are mounted; one mount for all of them.
        env: environment of the agent, and so of every run.
        limits: what the sandbox may use.
        cgroup: absolute path in the cgroup hierarchy, or None where cgroups cannot be used.
        shm_bytes: size of /dev/shm, which lives in the sandbox's memory.
    """
    linux: dict[str, Any] = {
        "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")],
    }
    if cgroup is not None:
        linux["cgroupsPath"] = cgroup
        linux["resources"] = resources(limits)
    agent = list(AGENT_CAPABILITIES)
    return {
        "ociVersion": "1.0.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": [AGENT],
            "cwd": "/",
            "env": [f"{name}={value}" for name, value in env.items()],
            # Not ambient or inheritable: a program that becomes another user inside loses them, as anywhere.
            "capabilities": {"bounding": list(CAPABILITIES), "effective": agent, "permitted": agent},
            "rlimits": rlimits(limits),
            "noNewPrivileges": False,
        },
        "root": {"path": str(root)},
        "hostname": HOSTNAME,
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
            {
                "destination": "/dev/shm",
                "type": "tmpfs",
                "source": "shm",
                "options": ["nosuid", "nodev", "mode=1777", f"size={shm_bytes}"],
            },
            # The sentry's own, nothing of the host's: the agent tracks a run's processes by it, whatever they do to
            # leave (docs/reference/agent-protocol.md, Signals).
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec"]},
            {"destination": SOCKETS, "type": "bind", "source": str(sockets), "options": ["rbind", "ro"]},
            # Mounts of runsc's own, not part of the root: only these show at once what the host changes.
            {"destination": BIND_DIR, "type": "bind", "source": str(binds), "options": ["rbind", "ro"]},
        ],
        "linux": linux,
    }
