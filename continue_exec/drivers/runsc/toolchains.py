"""Language toolchains that live outside /usr: found from the user's PATH and home, mounted at the same path.

To add one: a `Home` in `HOMES` (which folders to mount, and nothing beside them: no credentials, no settings),
and, if its programs are reached through shims, a function that names the real folders. A shim costs up to
1.5 s per start inside gVisor (pyenv's is a shell script), so the real version's `bin` goes on PATH instead.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


@dataclass(frozen=True)
class Look:
    """Where to look."""

    home: Path
    environ: Mapping[str, str]
    workspace: Path

    def path(self) -> list[str]:
        """The user's PATH, normalised, without duplicates or relative entries."""
        entries = [os.path.normpath(entry) for entry in self.environ.get("PATH", "").split(":") if entry[:1] == "/"]
        return list(dict.fromkeys(entries))


@dataclass(frozen=True)
class Home:
    """One kind of toolchain."""

    name: str
    variables: tuple[str, ...]
    """Environment variables that may name its folder."""
    defaults: tuple[str, ...]
    """Folders relative to the home (or absolute) to try otherwise."""
    mounts: tuple[str, ...]
    """Folders within it that are mounted; `.` for all of it."""
    bins: Callable[[Path, Look], list[Path]]
    """Its folders of programs, best first. Those that the user's PATH names directly need not be given."""
    variable: str = ""
    """Set inside to the folder, if its programs need it."""
    files: tuple[str, ...] = ()
    """Single files within it, bound read-only."""


@dataclass(frozen=True)
class Found:
    """What is to be mounted and set."""

    mounts: tuple[Path, ...]
    """Folders, writable inside."""
    files: tuple[Path, ...]
    """Files, read-only inside."""
    path: tuple[str, ...]
    env: dict[str, str]


def _nothing(_folder: Path, _look: Look) -> list[Path]:
    return []


def _versions(folder: Path) -> list[Path]:
    """Subfolders that are named like versions, newest first."""

    def key(path: Path) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", path.name)]

    try:
        found = [entry for entry in folder.iterdir() if entry.is_dir() and re.search(r"\d", entry.name)]
    except OSError:
        return []
    return sorted(found, key=key, reverse=True)


def _words(path: Path) -> list[str]:
    """First words of a small file's lines; empty if it cannot be read."""
    try:
        lines = path.read_text(errors="replace")[:4096].splitlines()
    except OSError:
        return []
    return [line.split()[0] for line in lines if line.split() and not line.startswith("#")]


def _selected(folder: Path, names: list[str]) -> list[Path]:
    """Of the installed versions in `folder`, those called `names` (also by prefix: `3.12` for `3.12.1`)."""
    found: list[Path] = []
    for name in names:
        # The workspace's own file may say anything; only a name that is installed counts.
        exact = [entry for entry in _versions(folder) if entry.name == name or entry.name.startswith(name + ".")]
        found.extend(exact[:1])
    return found


def _pyenv(folder: Path, look: Look) -> list[Path]:
    asked = look.environ.get("PYENV_VERSION", "").split(":")
    for names in (asked, _words(look.workspace / ".python-version"), _words(folder / "version")):
        chosen = _selected(folder / "versions", [name for name in names if name])
        if chosen:
            return [version / "bin" for version in chosen]
    return []


def _rbenv(folder: Path, look: Look) -> list[Path]:
    for names in (_words(look.workspace / ".ruby-version"), _words(folder / "version")):
        if chosen := _selected(folder / "versions", names):
            return [version / "bin" for version in chosen]
    return []


def _nvm(folder: Path, look: Look) -> list[Path]:
    installed = folder / "versions" / "node"
    names = [*_words(look.workspace / ".nvmrc"), *_words(folder / "alias" / "default")]
    chosen = _selected(installed, [name if name.startswith("v") else f"v{name}" for name in names])
    return [version / "bin" for version in (chosen or _versions(installed)[:1])]


def _fnm(folder: Path, _look: Look) -> list[Path]:
    default = folder / "aliases" / "default"
    versions = _versions(folder / "node-versions")
    chosen = [Path(os.path.realpath(default))] if default.is_symlink() else [v / "installation" for v in versions[:1]]
    return [version / "bin" for version in chosen]


def _installs(folder: Path, look: Look) -> list[Path]:
    """asdf and mise: installs/TOOL/VERSION/bin, chosen by .tool-versions, else the newest."""
    wanted: dict[str, list[str]] = {}
    for file in (look.home / ".tool-versions", look.workspace / ".tool-versions"):
        try:
            lines = file.read_text(errors="replace")[:16384].splitlines()
        except OSError:
            continue
        wanted.update({words[0]: words[1:] for line in lines if len(words := line.split("#")[0].split()) > 1})
    found: list[Path] = []
    try:
        tools = sorted((folder / "installs").iterdir())
    except OSError:
        return []
    for tool in tools:
        chosen = _selected(tool, wanted.get(tool.name, [])) or _versions(tool)[:1]
        found.extend(version / "bin" for version in chosen)
    return found


def _uv(folder: Path, look: Look) -> list[Path]:
    """uv links its Pythons into ~/.local/bin, which is not mounted: the newest one's own folder instead."""
    linked = any((look.home / ".local" / "bin").glob("python3*"))
    return [version / "bin" for version in _versions(folder)[:1]] if linked else []


def _sdkman(folder: Path, _look: Look) -> list[Path]:
    return sorted((folder / "candidates").glob("*/current/bin"))


def _bin(folder: Path, _look: Look) -> list[Path]:
    return [folder / "bin"]


HOMES = (
    Home("pyenv", ("PYENV_ROOT",), (".pyenv",), ("versions",), _pyenv),
    Home("uv", ("UV_PYTHON_INSTALL_DIR",), (".local/share/uv/python",), (".",), _uv),
    # No `.`: a CONDA prefix is all toolchain, but conda's own settings file may hold a token.
    Home(
        "conda",
        ("CONDA_ROOT", "MAMBA_ROOT_PREFIX"),
        ("miniconda3", "miniforge3", "mambaforge", "anaconda3", "micromamba"),
        ("bin", "lib", "libexec", "include", "share", "condabin", "etc/profile.d", "envs", "pkgs", "conda-meta", "ssl"),
        _nothing,
    ),
    Home("nvm", ("NVM_DIR",), (".nvm",), ("versions",), _nvm),
    Home("fnm", ("FNM_DIR",), (".local/share/fnm", ".fnm"), ("node-versions", "aliases"), _fnm),
    Home("volta", ("VOLTA_HOME",), (".volta",), ("bin", "tools"), _bin, "VOLTA_HOME"),
    Home("bun", ("BUN_INSTALL",), (".bun",), ("bin",), _nothing),
    Home("deno", ("DENO_INSTALL",), (".deno",), ("bin",), _nothing),
    # rustup's proxies are fast programs and honour rust-toolchain.toml, so they stay.
    Home(
        "rustup",
        ("RUSTUP_HOME",),
        (".rustup",),
        ("toolchains", "update-hashes"),
        _nothing,
        "RUSTUP_HOME",
        ("settings.toml",),
    ),
    Home("cargo", ("CARGO_HOME",), (".cargo",), ("bin",), _bin),
    Home("go", ("GOROOT",), ("sdk", ".local/go"), (".",), _nothing),
    Home("gopath", ("GOPATH",), ("go",), ("bin",), _nothing),
    Home("rbenv", ("RBENV_ROOT",), (".rbenv",), ("versions",), _rbenv),
    Home("sdkman", ("SDKMAN_DIR",), (".sdkman",), ("candidates",), _sdkman),
    Home("asdf", ("ASDF_DATA_DIR",), (".asdf",), ("installs",), _installs),
    Home("mise", ("MISE_DATA_DIR",), (".local/share/mise",), ("installs",), _installs),
    Home("ghcup", (), (".ghcup",), ("bin", "ghc"), _nothing),
    Home("juliaup", (), (".juliaup", ".julia/juliaup"), (".",), _nothing),
    Home("nix", (), ("/nix",), (".",), _nothing),
    Home("homebrew", (), ("/home/linuxbrew/.linuxbrew",), (".",), _nothing),
)

SINGLE_FILES = ("uv", "uvx", "bun", "deno", "rye", "pixi")
"""Programs that are one file in ~/.local/bin: bound one by one, as that folder holds the user's own scripts too."""


def _folder(kind: Home, look: Look) -> Path | None:
    """Its folder under the name that the user knows: that is what its scripts' first lines contain."""
    candidates = [look.environ.get(variable, "") for variable in kind.variables]
    candidates += [str(look.home / default) for default in kind.defaults]
    home = look.home.resolve()
    for candidate in candidates:
        # Neither the home nor anything above it: a wrong variable must not expose everything.
        if candidate[:1] == "/" and os.path.isdir(candidate) and not home.is_relative_to(os.path.realpath(candidate)):
            return Path(os.path.normpath(candidate))
    return None


def _beneath(path: str, folders: list[Path] | tuple[str, ...]) -> bool:
    return any(path == str(folder) or path.startswith(f"{folder}/") for folder in folders)


def find(look: Look, shared: tuple[str, ...]) -> Found:
    """The toolchains of this user.

    Args:
        look: where to look.
        shared: host folders that are inside anyway (`/usr`, `/opt`, ...).
    """
    mounts: list[Path] = []
    programs = single_files(look)
    files = list(programs)
    env: dict[str, str] = {}
    user = look.path()
    ahead: list[str] = []
    behind: list[str] = []
    for kind in HOMES:
        folder = _folder(kind, look)
        if folder is None or _beneath(str(folder), shared):
            continue
        parts = [folder / part if part != "." else folder for part in kind.mounts]
        present = [part for part in parts if part.is_dir() and os.access(part, os.R_OK | os.X_OK)]
        if not present:
            continue
        mounts.extend(present)
        files.extend(folder / name for name in kind.files if (folder / name).is_file())
        if kind.variable:
            env[kind.variable] = str(folder)
        direct = [entry for entry in user if _beneath(entry, present)]
        if direct:
            ahead.extend(direct)
            continue
        bins = [str(path) for path in kind.bins(folder, look) if path.is_dir()]
        # Real versions come where the shims stood, that is before what the system has. A toolchain that the user's
        # PATH does not mention (an editor's PATH often lacks it) only fills gaps.
        (ahead if any(_beneath(entry, [folder]) for entry in user) else behind).extend(bins)
    if programs:
        behind.append(str(look.home / ".local" / "bin"))
    system = [entry for entry in user if _beneath(entry, shared)]
    path = dict.fromkeys([*ahead, *system, *SYSTEM_PATH, *behind])
    return Found(tuple(mounts), tuple(files), tuple(path), env)


def single_files(look: Look) -> list[Path]:
    """Programs to bind one by one (links resolved by the mount)."""
    folder = look.home / ".local" / "bin"
    return [folder / name for name in SINGLE_FILES if (folder / name).is_file()]
