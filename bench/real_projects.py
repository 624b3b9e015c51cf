"""Other people's projects, their own tests, natively and inside: the same counts?

Takes source distributions that nobody here wrote from the package index this machine is configured for, unpacks each
as a workspace, and runs its test suite twice: in a virtual environment of the host, and through `continue-exec run`,
where the virtual environment is made and filled inside (pip goes out through the egress proxy). Prints a table in
Markdown; exits 1 if any count differs.

    scripts/real-projects [NAME...]
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PYTEST = "pytest==8.4.2"
"""Pinned, as newer ones reject what some of these suites do at collection."""


@dataclass(frozen=True)
class Project:
    """A source distribution that carries its tests."""

    name: str
    version: str
    needs: tuple[str, ...] = ()

    @property
    def requirement(self) -> str:
        return f"{self.name}=={self.version}"


# To add one: its sdist carries its tests, and they pass natively with pytest and what `needs` names.
PROJECTS = (
    Project("click", "8.3.1"),
    Project("idna", "3.11"),
    Project("itsdangerous", "2.2.0", ("freezegun==1.5.5",)),
)


@dataclass(frozen=True)
class Outcome:
    """One run of a test suite."""

    counts: str
    """As pytest says them, without the time: `1314 passed, 21 skipped, 1 xfailed`."""
    install_s: float
    tests_s: float
    ok: bool


def fetch(project: Project, folder: Path) -> Path:
    """Download and unpack; the unpacked folder."""
    pip = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--no-binary", project.name]
    subprocess.run([*pip, "--dest", folder / "sdists", project.requirement], check=True, timeout=300)
    stem = f"{project.name.replace('-', '_')}-{project.version}"
    with tarfile.open(folder / "sdists" / f"{stem}.tar.gz") as archive:
        archive.extractall(folder / "work", filter="data")
    return folder / "work" / stem


def natively(argv: list[str], workspace: Path) -> list[str]:
    """A command on the host."""
    return argv


def inside(argv: list[str], workspace: Path) -> list[str]:
    """The same command in the workspace's sandbox."""
    return [str(Path(sys.executable).parent / "continue-exec"), "run", "--cwd", str(workspace), "--", *argv]


def run(where: str, project: Project, workspace: Path, venv: str) -> Outcome:
    """Make a virtual environment, install the project, run its tests; `where` is `natively` or `inside`."""
    wrap = {"natively": natively, "inside": inside}[where]

    def call(*argv: str) -> tuple[subprocess.CompletedProcess[str], float]:
        began = time.monotonic()
        done = subprocess.run(
            wrap(list(argv), workspace), cwd=workspace, capture_output=True, text=True, timeout=1200, env=ENV
        )
        return done, time.monotonic() - began

    install_s = 0.0
    python = f"{venv}/bin/python"
    for argv in (
        ["python3", "-m", "venv", venv],
        [python, "-m", "pip", "install", "--quiet", ".", PYTEST, *project.needs],
    ):
        done, took = call(*argv)
        install_s += took
        if done.returncode != 0:
            print(f"{project.name}, {where}: {' '.join(argv)}\n{done.stdout}{done.stderr}", file=sys.stderr)
            return Outcome("did not install", install_s, 0.0, False)
    done, tests_s = call(python, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    found = re.search(r"^(\d+ \w+.*) in [\d.]+s", done.stdout, re.MULTILINE)
    if found is None or done.returncode not in (0, 1):
        print(f"{project.name}, {where}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}", file=sys.stderr)
    elif done.returncode == 1:
        print(
            "\n".join(line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))),
            file=sys.stderr,
        )
    # Warnings are about the suite's age, not about what ran.
    counts = re.sub(r", \d+ warnings?", "", found[1]) if found else "no result"
    return Outcome(counts, install_s, tests_s, done.returncode == 0)


# Colours and widths of the terminal that happens to be there change what some suites test.
ENV = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR", "NO_COLOR")}


def main(names: list[str]) -> int:
    """Run the projects named, or all; 1 if any differs."""
    unknown = set(names) - {project.name for project in PROJECTS}
    if unknown:
        print(
            f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(p.name for p in PROJECTS)}", file=sys.stderr
        )
        return 2
    folder = Path(tempfile.mkdtemp(prefix="real-projects-"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()} on the host\n")
    print("| project | natively | inside | same | install (s), natively / inside | tests (s), natively / inside |")
    print("|---|---|---|---|---|---|", flush=True)
    differs = False
    try:
        for project in PROJECTS:
            if names and project.name not in names:
                continue
            workspace = fetch(project, folder)
            ours = run("natively", project, workspace, str(folder / f"venv-{project.name}"))
            theirs = run("inside", project, workspace, f"/opt/venv-{project.name}")
            same = ours.counts == theirs.counts and ours.ok and theirs.ok
            differs |= not same
            print(
                f"| {project.name} {project.version} | {ours.counts} | {theirs.counts} | {'yes' if same else 'NO'} "
                f"| {ours.install_s:.1f} / {theirs.install_s:.1f} | {ours.tests_s:.1f} / {theirs.tests_s:.1f} |",
                flush=True,
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if differs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
