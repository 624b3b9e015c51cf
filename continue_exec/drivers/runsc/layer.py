"""The template's own layer: a folder beneath every sandbox of this user, built once and shared.

Layers are named by what went into them, so a host that changed (new certificates, a package's alternatives) gets
a new one at the next start. Old ones are removed after a reboot: nothing that ran before it can have them mounted.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import etc, locales
from .processes import boot_id

VERSION = "5"
"""Change it when the builder's output changes."""

LINKS = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
FOLDERS = (
    ("", 0o755), (".continue-exec", 0o755), ("dev", 0o755), ("home", 0o755), ("media", 0o755), ("mnt", 0o755),
    ("opt", 0o755), ("proc", 0o555), ("root", 0o700), ("run", 0o755), ("run/lock", 0o1777), ("srv", 0o755),
    ("sys", 0o555), ("tmp", 0o1777), ("usr", 0o755), ("var", 0o755), ("var/cache", 0o755), ("var/lib", 0o755),
    ("var/log", 0o755), ("var/spool", 0o755), ("var/tmp", 0o1777), ("var/cache/apt/archives/partial", 0o755),
    ("var/lib/apt/lists/partial", 0o755), ("var/log/apt", 0o755), ("var/cache/debconf", 0o755),
)  # fmt: skip

WRITABLE_DEPTH = {"/usr": 4, "/opt": 2, "/var/lib/dpkg": 1}
"""How deep an ordinary user's sandbox may create files beside the host's: see `_folders_of`."""

EMPTY_FILES = {"/var/lib/dpkg": ("lock", "lock-frontend", "triggers/Lock")}
"""Locks, which root inside must be able to open for writing although the host's root owns them."""


@dataclass(frozen=True)
class Layer:
    """A built layer."""

    root: Path
    """Lower layer of the root."""
    folders: Path
    """Folders that lie over a host folder's: `folders/usr` over /usr. For root only the locales (locales.py)."""
    env: dict[str, str]
    """Variables that go with its files."""

    def over(self, source: str) -> Path | None:
        """The layer over the host folder `source`, if there is one."""
        found = self.folders / source.strip("/").replace("/", "!")
        return found if found.is_dir() else None


def _fingerprint(user: bool, environ: Mapping[str, str], host: Path) -> str:
    """Changes when anything that the layer is made of does; costs about a millisecond."""
    facts: list[object] = [VERSION, user]
    watched = [host / name for name in etc.NAMES]
    watched += [host / "apt" / name for name in ("sources.list.d", "apt.conf.d", "keyrings", "trusted.gpg.d")]
    watched += [Path(environ[name]) for name in etc.CA_FILES if environ.get(name)]
    watched += [locales.FOLDER, locales.FOLDER / "locale-archive"]
    if user:
        watched += [Path(name) for name in ("/usr", "/usr/lib", "/usr/share", "/usr/local/lib", "/opt", "/usr/include")]
    facts += [sorted((name, environ[name]) for name in (*etc.CA_FILES, "SSL_CERT_DIR") if name in environ)]
    for path in watched:
        try:
            found = path.stat()
            facts.append((str(path), found.st_mtime_ns, found.st_size))
        except OSError:
            continue
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _folders_of(source: str, target: Path, depth: int) -> None:
    """Make the folders of `source`, owned by us, down to `depth`.

    In a user namespace the host's folders belong to nobody, and not even root inside may create files in them. A
    folder of our own in a layer above the host's makes the merged one ours; its files are the host's as before.
    """
    target.mkdir(parents=True, exist_ok=True)
    if depth == 0:
        return
    try:
        entries = [entry for entry in os.scandir(source) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for entry in entries:
        _folders_of(entry.path, target / entry.name, depth - 1)


def _build(place: Path, user: bool, environ: Mapping[str, str], host: Path) -> None:
    root = place / "root"
    for name, mode in FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name).chmod(mode)
    for name in LINKS:
        path = Path("/") / name
        if path.is_symlink():
            (root / name).symlink_to(os.readlink(path))
        elif path.is_dir():
            (root / name).mkdir()
    for name, link in (("var/run", "/run"), ("var/lock", "/run/lock")):
        (root / name).symlink_to(link)
    etc.copy(host, root)
    etc.synthesize(root)
    env = etc.certificates(root, environ)
    (place / "env.json").write_text(json.dumps(env))
    (place / "folders").mkdir()
    locales.archive(place / "folders")
    if not user:
        return
    for source, depth in WRITABLE_DEPTH.items():
        if Path(source).is_dir():
            target = place / "folders" / source.strip("/").replace("/", "!")
            _folders_of(source, target, depth)
            for name in EMPTY_FILES.get(source, ()):
                if (target / name).parent.is_dir():
                    (target / name).touch(0o640)


def _prune(templates: Path, keep: str, boot: str) -> None:
    for other in templates.iterdir():
        if other.name == keep:
            continue
        try:
            used = (other / "boot").read_text()
        except OSError:
            used = ""
        # One without a mark is being built, or its builder was killed; the latter goes after the next reboot as
        # well, because the mark of a build is written first.
        if used and used != boot:
            shutil.rmtree(other, ignore_errors=True)


def ensure(templates: Path, *, user: bool, environ: Mapping[str, str], host: Path = Path("/etc")) -> Layer:
    """The layer for this host as it is now; builds it if it is not there (20-100 ms).

    Args:
        templates: folder that holds the layers of this user.
        user: an ordinary user, so with folders of our own over the host's.
        environ: the user's environment (certificates).
        host: the host's /etc.
    """
    name = f"host-{_fingerprint(user, environ, host)}"
    place = templates / name
    boot = boot_id()
    if not (place / "env.json").exists():
        templates.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix="new-", dir=templates))
        (building / "boot").write_text(boot)
        # An engine's umask must not decide what programs inside may read.
        old = os.umask(0o022)
        try:
            building.chmod(0o755)
            _build(building, user, environ, host)
            os.rename(building, place)
        except FileExistsError:  # another start was faster
            shutil.rmtree(building, ignore_errors=True)
        except OSError as error:
            shutil.rmtree(building, ignore_errors=True)
            if not (place / "env.json").exists():
                raise error
        finally:
            os.umask(old)
        _prune(templates, name, boot)
    elif (place / "boot").read_text() != boot:
        (place / "boot").write_text(boot)
        _prune(templates, name, boot)
    return Layer(place / "root", place / "folders", json.loads((place / "env.json").read_text()))
