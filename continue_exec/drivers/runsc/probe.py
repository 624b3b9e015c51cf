"""What `continue-exec doctor` shows for this driver: every precondition, what was found, how to mend it.

Each check tries the thing itself where that is cheap (a namespace, an overlay mount, a boot) instead of
deducing it from versions. To add one: a function here, a call in `check`, a row in docs/reference/drivers.md.
"""

from __future__ import annotations

import asyncio
import json
import marshal
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from ... import paths
from ...errors import ContinueExecError
from ..base import Check
from . import cgroups, failures, locate
from .processes import boot_id
from .rootfs import overlay_options

MIN_FREE = 1 << 30
"""Bytes of free disk below which a warning is due: one `pip install` of a large package takes as much."""

MIN_WATCHES = 65_536
"""inotify watches per user: the mirror takes one per folder of a workspace."""

MIN_INSTANCES = 128

Boot = Callable[[Path, Path], Awaitable[None]]


def check_platform() -> Check:
    """Linux on a processor that gVisor supports."""
    found = f"{platform.system()} {platform.release()} on {platform.machine()}"
    if platform.system() != "Linux":
        return Check("platform", "failed", found, "gVisor needs Linux: use a Linux machine, or WSL 2 on Windows.")
    if platform.machine() not in ("x86_64", "aarch64"):
        return Check("platform", "failed", found, "gVisor runs on x86_64 and aarch64 only.")
    numbers = [int("".join(filter(str.isdigit, part)) or 0) for part in platform.release().split(".")[:2]]
    need = (4, 14, "gVisor") if os.geteuid() == 0 else (5, 11, "overlay mounts by an ordinary user")
    if tuple(numbers) < need[:2]:
        return Check("platform", "failed", found, f"{need[2]} need Linux {need[0]}.{need[1]} or later; or run as root.")
    return Check("platform", "ok", found)


async def check_runsc(explicit: Path | None) -> Check:
    """runsc is there and new enough for systrap."""
    path = locate.find(explicit)
    if path is None:
        where = f"not at {explicit}" if explicit else "neither on PATH nor in ~/.local/bin"
        return Check("runsc", "failed", f"gVisor's runsc is {where}", locate.INSTALL_HINT)
    try:
        version = await locate.version(path)
    except ContinueExecError as error:
        return Check("runsc", "failed", error.message, error.hint)
    release = locate.release(version)
    if release is not None and release < locate.OLDEST:
        remedy = f"It has no systrap platform. {locate.INSTALL_HINT}"
        return Check("runsc", "failed", f"{path}: {version} is too old", remedy)
    return Check("runsc", "ok", f"{path}: {version}")


def _launch(folder: Path, user: bool) -> tuple[str, int]:
    """Let the real launcher make its namespaces and mount an overlay in `folder`; the step that failed, and errno."""
    with tempfile.TemporaryDirectory(prefix="probe-", dir=folder) as name:
        place = Path(name)
        for part in ("upper", "work", "root", "sockets"):
            (place / part).mkdir()
        plan = {
            "user": user,
            "cgroup": "",
            "root": str(place / "root"),
            "sockets": (str(place / "upper"), str(place / "sockets")),
            "root_options": overlay_options(["/usr"], place / "upper", place / "work", user),
            "mounts": [],
            "folders": [],
            "doorbell": "/dev/null",
            "argv": [shutil.which("true") or "/bin/true"],
            "env": {},
        }
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py"))],
            input=marshal.dumps(plan, 2),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=30,
            check=False,
        )
        for left in (place / "work").iterdir():  # mode 0, made by overlayfs
            left.chmod(0o700)
    step, _, rest = done.stdout.decode(errors="replace").strip().partition("\t")
    digits = rest.rpartition("\t")[2]
    return step, int(digits) if digits.isdigit() else 0


def check_mounts(folder: Path, user: bool) -> list[Check]:
    """Really make the namespaces, and mount an overlay with its upper where sandboxes keep their files."""
    what = "user and mount namespaces" if user else "mount namespaces"
    try:
        step, number = _launch(paths.private(folder), user)
    except (OSError, ContinueExecError) as error:
        remedy = "Make it a folder of this user, or set CONTINUE_EXEC_HOME to another."
        return [Check("overlayfs", "failed", f"{folder} cannot be used: {error}", remedy)]
    if step in ("unshare", "propagation"):
        return [Check("namespaces", "failed", f"{what}: {os.strerror(number)}", failures.namespaces_remedy())]
    found = [Check("namespaces", "ok", f"{what} can be made")]
    if step:
        remedy = failures.overlay_remedy(number, folder)
        message = f"cannot mount an overlay in {folder}: {os.strerror(number)}"
        return [*found, Check("overlayfs", "failed", message, remedy)]
    return [*found, Check("overlayfs", "ok", f"works in {folder}")]


def check_cgroups(found: cgroups.Cgroups, user: bool) -> Check:
    """Which limits can be enforced."""
    missing = [name for name in cgroups.WANTED if name not in found.controllers]
    if not missing:
        return Check("cgroups", "ok", f"version {found.version}: memory, cpu and pids")
    if user and found.version == 2:
        remedy = (
            "Start the engine from a systemd user service, or as root: `systemd-run --user --scope -p Delegate=yes`."
        )
    elif user:
        remedy = (
            "Run as root, or boot with cgroup v2 (`systemd.unified_cgroup_hierarchy=1` on the kernel's command line)."
        )
    else:
        remedy = "Inside a container, start that with `--privileged --cgroupns=host`."
    have = ", ".join(sorted(found.controllers)) or "none"
    what = {"memory": "memory", "cpu": "CPU", "pids": "host threads"}
    lost = " and ".join(what[name] for name in missing)
    message = f"version {found.version}, usable: {have}; no limits on {lost} ({found.reason or 'not offered'})"
    return Check("cgroups", "warning", message, remedy)


def check_disk(folder: Path) -> Check:
    """Room for the sandboxes' files."""
    place = folder
    while not place.exists():
        place = place.parent
    usage = shutil.disk_usage(place)
    free = f"{usage.free / (1 << 30):.1f} GiB free in {folder}"
    if usage.free < MIN_FREE:
        return Check(
            "disk", "warning", free, "Free disk space, or set CONTINUE_EXEC_HOME to a folder on a larger disk."
        )
    return Check("disk", "ok", free)


def check_inotify(proc: Path = Path("/proc")) -> Check:
    """Limits that decide whether large workspaces can be watched."""
    values = {}
    for name in ("max_user_watches", "max_user_instances"):
        try:
            values[name] = int((proc / "sys" / "fs" / "inotify" / name).read_text())
        except (OSError, ValueError):
            return Check("inotify", "warning", "cannot be read", "Large workspaces may not be watched completely.")
    message = f"{values['max_user_watches']} watches, {values['max_user_instances']} instances per user"
    remedies = []
    if values["max_user_watches"] < MIN_WATCHES:
        remedies.append("sysctl -w fs.inotify.max_user_watches=524288")
    if values["max_user_instances"] < MIN_INSTANCES:
        remedies.append("sysctl -w fs.inotify.max_user_instances=512")
    if remedies:
        return Check("inotify", "warning", message, "As root: `" + "; ".join(remedies) + "`.")
    return Check("inotify", "ok", message)


def _agent() -> Path | None:
    """A program that waits for its stdin when it is started without arguments: our agent, else `cat`."""
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")
    ours = Path(__file__).parents[2] / "_bin" / f"agent-linux-{arch}"
    found = str(ours) if os.access(ours, os.X_OK) else shutil.which("cat")
    return Path(found).resolve() if found else None


async def check_boot(runsc: Path, folder: Path, boot: Boot) -> Check:
    """Boot a sandbox for real, once per runsc, kernel and boot of the host: it is remembered in `folder`."""
    agent = _agent()
    key = f"{runsc} {runsc.stat().st_mtime_ns} {platform.release()} {os.geteuid()} {boot_id()}"
    memory = folder / "boots.json"
    try:
        if json.loads(memory.read_text()) == key:
            return Check("boot", "ok", "a sandbox booted")
    except (OSError, ValueError):
        pass
    if agent is None:
        return Check("boot", "failed", "neither the agent nor `cat` was found", "Run `scripts/build-agent`.")
    place = Path(tempfile.mkdtemp(prefix="probe-", dir=paths.private(folder)))
    try:
        await boot(place, agent)
    except ContinueExecError as error:
        return Check("boot", "failed", error.message, error.hint)
    finally:
        if place.exists():
            place.rmdir()
    memory.write_text(json.dumps(key))
    return Check("boot", "ok", "a sandbox booted")


async def check(explicit: Path | None, folder: Path, limits: cgroups.Cgroups, user: bool, boot: Boot) -> list[Check]:
    """All of them. The boot is tried only when nothing else failed.

    Args:
        explicit: the setting `runsc`.
        folder: where sandboxes and layers are kept.
        limits: what cgroups can do here.
        user: an ordinary user.
        boot: boots a sandbox in a folder with a given program as process 1, and removes it.
    """
    found = [check_platform(), await check_runsc(explicit)]
    if found[0].status == "failed":
        return found
    found += await asyncio.to_thread(check_mounts, folder, user)
    found += [check_cgroups(limits, user), check_disk(folder), check_inotify()]
    runsc = locate.find(explicit)
    if runsc is not None and all(one.status != "failed" for one in found):
        found.append(await check_boot(runsc, folder, boot))
    return found
