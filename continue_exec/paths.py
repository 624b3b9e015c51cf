"""Where things live on the host. Standard library only: the CLI reads this before anything else.

    home()     ~/.local/share/continue-exec   state.db, engine.lock, engine.log, runs/, sandboxes/
    runtime()  $XDG_RUNTIME_DIR/continue-exec engine.sock and one folder of sockets per sandbox
    config()   ~/.config/continue-exec/config.toml

Each can be moved by an environment variable (CONTINUE_EXEC_HOME, CONTINUE_EXEC_RUNTIME_DIR,
CONTINUE_EXEC_CONFIG). Sockets live in the runtime folder because their paths may have at most
107 bytes (sun_path, unix(7)); everything that must survive a reboot lives in home.
pathlib is imported only where a Path is made (it costs 8 ms): a command needs but the socket's name.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from .errors import HostUnready

if TYPE_CHECKING:
    from pathlib import Path


def home() -> Path:
    """Folder of everything that survives a reboot; not created here."""
    base = os.environ.get("XDG_DATA_HOME") or os.path.join(os.path.expanduser("~"), ".local", "share")
    return _path(os.environ.get("CONTINUE_EXEC_HOME") or os.path.join(base, "continue-exec"))


def runtime() -> Path:
    """Folder of sockets; not created here."""
    return _path(_runtime())


def config() -> Path:
    """The user's settings file; it need not exist."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return _path(os.environ.get("CONTINUE_EXEC_CONFIG") or os.path.join(base, "continue-exec", "config.toml"))


def engine_socket() -> Path:
    """The engine's Unix socket."""
    return _path(engine_socket_name())


def engine_socket_name() -> str:
    """`engine_socket` as a string."""
    return os.path.join(_runtime(), "engine.sock")


def _runtime() -> str:
    explicit = os.environ.get("CONTINUE_EXEC_RUNTIME_DIR")
    if explicit:
        return explicit if os.path.isabs(explicit) else os.path.join(os.getcwd(), explicit)
    base = os.environ.get("XDG_RUNTIME_DIR")
    # A stale or foreign XDG_RUNTIME_DIR (su, sudo -E) is common; a folder that is not ours is not used.
    if base and os.path.isdir(base) and os.stat(base).st_uid == os.getuid():
        return os.path.join(base, "continue-exec")
    return f"/tmp/continue-exec-{os.getuid()}"


def _path(name: str) -> Path:
    from pathlib import Path

    return Path(name).absolute()


def private(folder: Path) -> Path:
    """Create `folder` with mode 0700, or insist that it is ours and closed to others.

    Raises:
        HostUnready: it belongs to another user, is a link, or is open to others and cannot be closed.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise HostUnready(
            f"{folder} is not a folder of this user",
            hint="Remove it, or set CONTINUE_EXEC_RUNTIME_DIR or CONTINUE_EXEC_HOME to a private folder.",
        )
    if found.st_mode & 0o077:
        folder.chmod(0o700)
    return folder
