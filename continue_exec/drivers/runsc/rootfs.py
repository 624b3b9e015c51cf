"""Template `host`: which mounts make this machine's toolchains a private, writable machine. Nothing is downloaded.

    /                 overlay: the sandbox's files over the template's layer (layer.py)
    /usr /opt /bin…   overlay: the sandbox's files over the host's, so `pip install` and `apt install` work inside
                      and the host stays as it is; host folders below are never written
    ~/.pyenv/… etc.   the same, at the same path (toolchains.py)
    the agent         a read-only bind

All uppers lie in the sandbox's folder as plain files: they survive a killed sentry and a reboot.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InternalError, WorkspaceRefused
from ...protocol.agent import BIND_DIR
from ..base import Bind
from .bundle import AGENT, SOCKETS
from .layer import LINKS, Layer
from .places import Places
from .toolchains import Look, find

PROXY = "http://127.0.0.1:3128"
"""Where the agent listens for egress (docs/reference/agent-protocol.md)."""

SYSTEM = ("/usr", "/opt")
DPKG = "/var/lib/dpkg"
BIND_POINTS = "host"
"""In the sandbox's folder: where the spec's binds are mounted, to be shown at BIND_DIR."""
RESERVED = ("/dev", "/proc", "/sys", SOCKETS, "/.continue-exec", DPKG)
"""A workspace can be neither one of these nor beneath one."""
WHOLE = ("/", "/etc", "/home", "/opt", "/root", "/run", "/srv", "/tmp", "/usr", "/var", "/var/lib", "/var/tmp")
"""A workspace cannot be one of these: it would hide what the machine is made of."""


@dataclass(frozen=True)
class Plan:
    """What the launcher is to mount."""

    root: Path
    root_options: str
    mounts: list[dict[str, Any]]
    folders: list[tuple[str, int, bool]]
    """Path inside, mode, and whether the boot fails without it."""
    env: dict[str, str]
    places: Places


def escape(path: Path | str) -> str:
    """`path` as it stands in overlayfs's options, where `:` and `,` separate."""
    return "".join("\\" + letter if letter in "\\:," else letter for letter in str(path))


def overlay_options(lower: list[Path | str], upper: Path, work: Path, user: bool) -> str:
    """Mount options of one overlay. `lower`: topmost first."""
    layers = ":".join(escape(path) for path in lower)
    options = f"lowerdir={layers},upperdir={escape(upper)},workdir={escape(work)},index=off,metacopy=off"
    # In a user namespace the trusted.* attributes cannot be written, and folders cannot be redirected.
    return options + (",userxattr" if user else ",redirect_dir=on")


def system_folders() -> tuple[str, ...]:
    """Host folders that every sandbox of this template has: /usr, /opt, and on hosts that are not merged /bin, ..."""
    unmerged = [f"/{name}" for name in LINKS if os.path.isdir(f"/{name}") and not os.path.islink(f"/{name}")]
    return tuple(path for path in (*SYSTEM, *unmerged) if os.path.isdir(path))


def mounted_beneath(folder: str, mountinfo: str) -> list[str]:
    """Mount points strictly beneath `folder`: an overlay does not show them by itself.

    Args:
        folder: a host folder.
        mountinfo: text of /proc/self/mountinfo (proc(5)); field 5 is the mount point, with octal escapes.
    """
    found = []
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        if len(fields) < 10:
            continue
        point = fields[4].encode().decode("unicode_escape").encode("latin-1").decode(errors="surrogateescape")
        kind = fields[fields.index("-") + 1] if "-" in fields else ""
        if point.startswith(folder.rstrip("/") + "/") and kind not in ("autofs", "proc", "sysfs", "devtmpfs"):
            found.append(point)
    return found


def check_workspace(workspace: Path, toolchains: tuple[Path, ...]) -> None:
    """Raises:
    WorkspaceRefused: the folder cannot exist inside at its own path beside what the machine is made of.
    """
    path = str(workspace)
    if path in WHOLE or path in system_folders():
        raise WorkspaceRefused(f"{path} cannot be a workspace: it is part of the machine itself")
    for reserved in RESERVED:
        if path == reserved or path.startswith(reserved + "/"):
            raise WorkspaceRefused(f"{path} cannot be a workspace: the sandbox has its own {reserved}")
    for toolchain in toolchains:
        if toolchain == workspace or toolchain.is_relative_to(workspace):
            raise WorkspaceRefused(f"{path} cannot be a workspace: it contains the toolchain {toolchain}")


def _pair(folder: Path, name: str) -> tuple[Path, Path]:
    """Upper and work folders of one mount beneath the sandbox's folder."""
    place = folder / "over" / name
    (place / "upper").mkdir(parents=True, exist_ok=True)
    (place / "work").mkdir(exist_ok=True)
    return place / "upper", place / "work"


def mount_name(path: str) -> str:
    """A file name for a mount at `path`: readable, short and unique."""
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
    readable = "".join(letter if letter.isalnum() or letter in ".-_" else "-" for letter in path.strip("/"))
    return f"{readable[-40:]}-{digest}"


def _overlay(folder: Path, source: str, layer: Layer, user: bool, optional: bool) -> dict[str, Any]:
    upper, work = _pair(folder, mount_name(source))
    if not any(upper.iterdir()):
        shutil.copymode(source, upper)
    over = layer.over(source)
    lower: list[Path | str] = [over, source] if over is not None else [source]
    return {
        "kind": "overlay",
        "source": source,
        "target": source,
        "options": overlay_options(lower, upper, work, user),
        "optional": optional,
    }


def uppers(plan: Plan, workspace: Path) -> dict[str, str]:
    """Folder's name in `over` → the path inside that it belongs to."""
    found = {mount_name(entry["target"]): entry["target"] for entry in plan.mounts if entry["kind"] == "overlay"}
    return {**found, private_workspace(Path(), workspace).parent.name: str(workspace)}


def private_workspace(folder: Path, workspace: Path) -> Path:
    """The folder of a workspace's files if it lies beneath a host folder that is mounted; there is none otherwise."""
    return folder / "over" / f"workspace-{mount_name(str(workspace))}" / "upper"


def bind_points(folder: Path, binds: Iterable[Bind]) -> list[tuple[str, str, list[str], str]]:
    """Make the mount points of `binds`, and remove those of an earlier start; returns what the launcher binds.

    Returns: (source, target, files that are hidden, an empty file to hide them with).
    """
    points, empty = folder / BIND_POINTS, folder / "empty"
    points.mkdir(mode=0o755, exist_ok=True)
    points.chmod(0o755)
    empty.touch(mode=0o444)
    found = []
    for bind in binds:
        if "/" in bind.name or bind.name in ("", ".", ".."):
            raise InternalError(f"{bind.name!r} names no bind")
        (points / bind.name).mkdir(mode=0o755, exist_ok=True)
        found.append((str(bind.source), str(points / bind.name), list(bind.hidden), str(empty)))
    for left in {entry.name for entry in points.iterdir()} - {bind.name for bind in binds}:
        (points / left).rmdir()
    return found


def environment(layer: Layer, path: tuple[str, ...], more: Mapping[str, str]) -> dict[str, str]:
    """Base environment of every run."""
    local = "localhost,127.0.0.1,::1"
    return {
        "PATH": ":".join(path),
        "HOME": "/root",
        "USER": "root",
        "LOGNAME": "root",
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "CONTINUE_EXEC": "1",
        "HTTP_PROXY": PROXY,
        "HTTPS_PROXY": PROXY,
        "http_proxy": PROXY,
        "https_proxy": PROXY,
        "NO_PROXY": local,
        "no_proxy": local,
        "NODE_USE_ENV_PROXY": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        # The machine is the sandbox's own, so the distribution's guard (PEP 668) protects nobody here.
        "PIP_BREAK_SYSTEM_PACKAGES": "1",
        "npm_config_update_notifier": "false",
        "DEBIAN_FRONTEND": "noninteractive",
        **layer.env,
        **more,
    }


def plan(
    *,
    folder: Path,
    workspace: Path,
    agent: Path,
    layer: Layer,
    user: bool,
    environ: Mapping[str, str],
    mountinfo: str,
) -> Plan:
    """Everything to mount; makes the folders in the sandbox's own folder that hold its files.

    Args:
        folder: the sandbox's folder.
        workspace: its path, the same inside.
        agent: the agent's binary on the host.
        layer: the template's layer.
        user: an ordinary user.
        environ: the user's environment.
        mountinfo: text of /proc/self/mountinfo.

    Raises:
        WorkspaceRefused: the workspace's path is taken.
    """
    system = system_folders()
    home = Path(environ.get("HOME") or os.path.expanduser("~"))
    found = find(Look(home, environ, workspace), system)
    check_workspace(workspace, found.mounts)
    upper, work = folder / "upper", folder / "work"
    for path in (upper, work, folder / "root"):
        path.mkdir(exist_ok=True)
    upper.chmod(0o755)
    mounts = []
    required = [*system, *([DPKG] if os.path.isdir(DPKG) else [])]
    for source in [*required, *map(str, found.mounts)]:
        mounts.append(_overlay(folder, source, layer, user, optional=source not in SYSTEM))
        for inner in mounted_beneath(source, mountinfo):
            if os.path.isdir(inner) and os.access(inner, os.R_OK | os.X_OK):
                mounts.append(_overlay(folder, inner, layer, user, optional=True))
    for file in found.files:
        mounts.append({"kind": "file", "source": str(file), "target": str(file), "read_only": True, "optional": True})
    mounts.append({"kind": "file", "source": str(agent), "target": AGENT, "read_only": True, "optional": False})
    # One entry in /tmp keeps runsc from mounting an empty file system in memory over it.
    folders = [("/tmp", 0o1777, False), ("/tmp/.continue-exec", 0o700, False), (SOCKETS, 0o755, False)]
    folders.append((BIND_DIR, 0o755, False))
    private: Path | None = None
    beneath = [source for source in (*required, *map(str, found.mounts)) if str(workspace).startswith(source + "/")]
    if beneath:
        # What lies there is the host's own copy of the workspace, secrets and all: an empty folder covers it.
        private, _ = _pair(folder, private_workspace(folder, workspace).parent.name)
        entry = {"kind": "bind", "source": str(private), "target": str(workspace), "read_only": False}
        mounts.append({**entry, "optional": False})
    else:
        folders.append((str(workspace), 0o755, True))
    options = overlay_options([layer.root], upper, work, user)
    places = Places(upper, layer.root, tuple(entry["target"] for entry in mounts), workspace, private)
    return Plan(folder / "root", options, mounts, folders, environment(layer, found.path, found.env), places)
