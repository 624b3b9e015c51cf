"""cgroups v1 and v2: which limits can be enforced here, as this user, and where a sandbox's group lies.

As root runsc makes the group itself (`cgroupsPath`), so that the sandbox sees its memory limit as MemTotal. An
ordinary user has none on v1. On v2 systemd may have delegated a subtree (systemd.resource-control(5),
`Delegate=`); there the launcher joins a group that we made, because runsc would write to the hierarchy's root.
"""

from __future__ import annotations

import errno
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path("/sys/fs/cgroup")
PARENT = "continue-exec"
WANTED = ("memory", "cpu", "pids")

REMOVE_TIMEOUT_S = 5.0
"""For the last processes of a killed sandbox to leave its group: milliseconds. A group that stays costs a little
memory of the kernel's and is used again by the sandbox's next boot."""


@dataclass(frozen=True)
class Cgroups:
    """What there is."""

    version: int
    """1, 2, or 0 for none."""
    controllers: frozenset[str]
    """Of `memory`, `cpu` and `pids`, those that can be enforced."""
    parent: str
    """Path, within the hierarchy, of the folder that holds the sandboxes' groups; empty if it cannot be used."""
    by_launcher: bool
    """The launcher joins the group (v2, delegated), rather than runsc making it."""
    reason: str
    """Why nothing, or less than all, can be used; empty otherwise."""

    def group(self, sandbox: str) -> str:
        """Path of one sandbox's group; empty if there can be none."""
        return f"{self.parent}/{sandbox}" if self.parent else ""


def _none(version: int, reason: str) -> Cgroups:
    return Cgroups(version, frozenset(), "", False, reason)


def version(root: Path = ROOT) -> int:
    """1, 2 or 0. A hybrid host (v2 beside v1) counts as v1: its controllers are there."""
    if (root / "cgroup.controllers").exists():
        return 2
    return 1 if (root / "memory").is_dir() or (root / "pids").is_dir() else 0


def _own_v2(proc: Path) -> str:
    """Path of our own group in the v2 hierarchy."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return ""
    return next((line[3:] for line in lines if line.startswith("0::")), "")


def _enable(folder: Path, controllers: list[str]) -> None:
    """Let `folder`'s children have these controllers (cgroup-v2, `cgroup.subtree_control`)."""
    have = (folder / "cgroup.subtree_control").read_text().split()
    missing = [name for name in controllers if name not in have]
    if missing:
        (folder / "cgroup.subtree_control").write_text(" ".join("+" + name for name in missing))


def _prepare_v2(root: Path, base: str) -> Cgroups:
    """Make PARENT beneath `base` and delegate what the hierarchy has."""
    try:
        offered = (root / base.strip("/") / "cgroup.controllers").read_text().split()
        usable = [name for name in WANTED if name in offered]
        _enable(root / base.strip("/"), usable)
        parent = root / base.strip("/") / PARENT
        parent.mkdir(exist_ok=True)
        _enable(parent, usable)
    except OSError as error:
        return _none(2, f"{error.strerror}: {error.filename}")
    missing = [name for name in WANTED if name not in usable]
    reason = f"the controllers {', '.join(missing)} are not delegated" if missing else ""
    return Cgroups(2, frozenset(usable), f"{base.rstrip('/')}/{PARENT}", False, reason)


def detect(*, root: Path = ROOT, proc: Path = Path("/proc"), user: bool) -> Cgroups:
    """What can be enforced here. Makes the parent group on v2, as only trying shows whether it may be made.

    Args:
        root: where cgroups are mounted.
        proc: where proc is mounted.
        user: not root.
    """
    found = version(root)
    if found == 0:
        return _none(0, f"no cgroups at {root}")
    if found == 1:
        if user:
            return _none(1, "cgroup v1 cannot be delegated to an ordinary user")
        usable = frozenset(name for name in WANTED if os.access(root / name, os.W_OK))
        if not usable:
            return _none(1, f"{root} is read-only")
        return Cgroups(1, usable, f"/{PARENT}", False, "")
    if not user:
        return _prepare_v2(root, "/")
    # Processes may move only within the delegated subtree, so we must be in it ourselves: systemd's user manager.
    own = _own_v2(proc)
    manager, name, _ = own.partition(f"/user@{os.getuid()}.service")
    if not name:
        return _none(2, "not started by systemd's user manager, so no delegated group")
    prepared = _prepare_v2(root, manager + name)
    return Cgroups(2, prepared.controllers, prepared.parent, bool(prepared.parent), prepared.reason)


def make_v2(group: str, resources: dict[str, Any], *, root: Path = ROOT) -> Path:
    """Make a v2 group with the limits of `linux.resources`; the file that a process writes itself into to join.

    Raises:
        OSError: it cannot be made.
    """
    folder = root / group.strip("/")
    folder.mkdir(exist_ok=True)
    if "pids" in resources:
        (folder / "pids.max").write_text(str(resources["pids"]["limit"]))
    if "memory" in resources:
        (folder / "memory.max").write_text(str(resources["memory"]["limit"]))
    if "cpu" in resources:
        (folder / "cpu.max").write_text(f"{resources['cpu']['quota']} {resources['cpu']['period']}")
    return folder / "cgroup.procs"


def make_pids_v1(group: str, resources: dict[str, Any], *, root: Path = ROOT) -> Path:
    """Make a v1 group with the limit on processes alone; the file that a process writes itself into to join.

    Where memory and CPU are not limited, this is all that a sandbox needs of cgroups, and it takes 0.2 ms, where runsc
    takes 40 ms to make a group in each of v1's hierarchies.

    Raises:
        OSError: it cannot be made.
    """
    folder = root / "pids" / group.strip("/")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pids.max").write_text(str(resources["pids"]["limit"]))
    return folder / "cgroup.procs"


def remove(group: str, *, root: Path = ROOT) -> None:
    """Remove a sandbox's group in every hierarchy, its processes having been killed. Blocks: for a thread."""
    if not group or ".." in group.split("/"):
        return
    places = [root] if version(root) == 2 else [entry for entry in root.iterdir() if not entry.is_symlink()]
    deadline = time.monotonic() + REMOVE_TIMEOUT_S
    for place in places:
        while True:
            try:
                (place / group.strip("/")).rmdir()
            except OSError as error:
                # Busy: the sentry is gone, but not yet the processes that ran the guest's code, which the kernel ends
                # after it. cgroup v1 has nothing to wait on.
                if error.errno == errno.EBUSY and time.monotonic() < deadline:
                    time.sleep(0.002)
                    continue
            break
