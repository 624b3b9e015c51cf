"""Which folder is the workspace, and which never may be one. Starts no process: it is on the path of every request."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from .. import paths
from ..errors import InvalidRequest, NotFound, WorkspaceRefused
from .repository import find_top

_CLOSED = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var",
    "/Applications",
    "/Library",
    "/System",
    "/private/etc",
)
"""Refused with all below, except what `_OPEN` names."""

_OPEN = ("/usr/src", "/usr/local/src", "/var/tmp", "/var/www", "/var/home", "/run/media")
"""Below these (not these themselves) people do keep projects."""

_SHARED = ("/", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/tmp", "/snap", "/Users", "/Volumes", "/private")
"""Refused themselves: they hold other people's or other projects' files."""

_PRIVATE = (".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".password-store", ".mozilla", ".thunderbird")
"""Below the home directory: credentials. Refused with all below."""

_PRIVATE_ALONE = (".config", ".local", ".local/share", ".cache")
"""Below the home directory: refused themselves."""


def resolve_workspace(path: Path, *, root: bool = False) -> Path:
    """The workspace of `path` (a file or folder, absolute): the Git work tree that holds it, else the folder itself.

    `root`: the folder itself, whatever Git says. Links are resolved.

    Raises:
        InvalidRequest: the path is not absolute.
        NotFound: it does not exist.
        WorkspaceRefused: the folder must not be mirrored: a home directory, the root, a system folder.
    """
    if not path.is_absolute() or "\0" in str(path):
        raise InvalidRequest(f"{str(path)!r} is not an absolute path", hint="Send absolute paths.")
    try:
        folder = os.path.realpath(path, strict=True)
    except OSError as error:
        raise NotFound(f"There is no {path}", hint="Name a folder that exists.") from error
    if not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    if not root:
        top = find_top(folder)
        # A home directory kept in Git does not make every folder in it one workspace.
        if top is not None and not _refusal(top):
            return Path(top)
    if reason := _refusal(folder):
        raise WorkspaceRefused(f"{folder} cannot be a workspace: {reason}")
    return Path(folder)


def _refusal(folder: str) -> str:
    """Why `folder` (links resolved) may not be a workspace; empty if it may."""
    home, *own_places = _places(os.path.expanduser("~"), paths.home(), paths.runtime(), paths.config().parent)
    if folder == home:
        return "it is your home directory"
    if _within(home, folder):
        return "it holds your home directory"
    for name in _PRIVATE:
        if _within(folder, os.path.join(home, name)):
            return f"{name} holds credentials"
    if folder in [os.path.join(home, name) for name in _PRIVATE_ALONE]:
        return "it holds the settings and data of your programs"
    for own in own_places:
        if _within(folder, own) or _within(own, folder):
            return "it holds the sandboxes themselves"
    if folder in _SHARED:
        return "it holds more than one project"
    if home not in ("/", "") and _within(folder, home):
        return ""  # a service's home may lie in /var/lib
    if any(_within(folder, closed) for closed in _CLOSED) and not any(
        _within(folder, opened) and folder != opened for opened in _OPEN
    ):
        return "it is a system folder"
    return ""


@functools.lru_cache(maxsize=8)
def _places(*given: str | os.PathLike[str]) -> tuple[str, ...]:
    """Links resolved. Remembered: every run asks, and resolving costs more than all else that it asks here."""
    return tuple(os.path.realpath(place) for place in given)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
