"""scripts/lib.sh: sets up once, then only looks; and says what to do when it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.sources import ROOT
from tests.support.users import OrdinaryUser

# What the real steps do takes a minute and a network: .ci/run does it for real on a bare machine.
PRETEND = """
set_up_python() { mkdir -p "$VENV/bin"; printf '#!/bin/sh\\n' | tee "$VENV/bin/python" >"$VENV/bin/continue-exec"
    chmod +x "$VENV"/bin/*; echo python >>"$ROOT/calls"; sleep "${SLOW:-0}"; }
set_up_agent() { mkdir -p "$ROOT/continue_exec/_bin"; cp "$VENV/bin/python" "$ROOT/continue_exec/_bin/agent"
    echo agent >>"$ROOT/calls"; }
set_up_runsc() { mkdir -p "$HOME/.local/bin"; touch "$HOME/.local/bin/runsc"; chmod +x "$HOME/.local/bin/runsc"
    echo runsc >>"$ROOT/calls"; }
MIN_FREE_MB=1
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with what lib.sh looks at, in a place with a space in its name."""
    folder = tmp_path / "a clone"
    (folder / "scripts").mkdir(parents=True)
    (folder / "home").mkdir()
    for name in ("lib.sh", "constraints.txt"):
        shutil.copy(ROOT / "scripts" / name, folder / "scripts")
    (folder / "pyproject.toml").touch()
    (folder / "sandbox_images/agent/wire").mkdir(parents=True)
    (folder / "sandbox_images/agent/wire/frames.go").touch()
    return folder


def variables(clone: Path) -> dict[str, str]:
    """`stubs` come first on PATH, which holds no runsc of this machine's."""
    (clone / "stubs").mkdir(exist_ok=True)
    return {"PATH": f"{clone}/stubs:/usr/sbin:/sbin:/bin", "HOME": f"{clone}/home", "LC_ALL": "C.UTF-8"}


def stub(clone: Path, name: str, body: str) -> None:
    path = clone / "stubs" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def bash(clone: Path, code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/bash", "-c", f'source "{clone}/scripts/lib.sh"\n{PRETEND}\n{code}'],
        env={**variables(clone), **env},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
    )


def calls(clone: Path) -> list[str]:
    return (clone / "calls").read_text().split()


def test_gvisor_comes_first_and_once(clone: Path) -> None:
    found = "runsc_found() { [[ -x $HOME/.local/bin/runsc ]]; }"  # whatever this machine has on its PATH
    for _ in range(2):
        assert bash(clone, f"{found}; set_up").returncode == 0
    assert calls(clone) == ["runsc", "python", "agent"]


RUNSC = 'CONTINUE_EXEC_RUNSC="$(type -P sh)"'


def test_the_second_time_nothing_is_done_or_even_started(clone: Path) -> None:
    first = bash(clone, f"export {RUNSC}; set_up")
    assert (first.returncode, first.stderr) == (0, "")
    assert calls(clone) == ["runsc", "python", "agent"]
    # Without PATH no program can be found: whatever it still does, it does within the shell.
    second = bash(clone, "PATH=; set_up; echo ready", CONTINUE_EXEC_RUNSC="/bin/sh")
    assert (second.stdout, second.stderr) == ("ready\n", "")
    assert calls(clone) == ["runsc", "python", "agent"]


@pytest.mark.parametrize(
    "name", ["pyproject.toml", "scripts/constraints.txt", "sandbox_images/agent/wire/frames.go", "sandbox_images/agent"]
)
def test_a_change_is_noticed(clone: Path, name: str) -> None:
    bash(clone, f"export {RUNSC}; set_up")
    later = time.time() + 5
    os.utime(clone / name, (later, later))
    assert bash(clone, f"export {RUNSC}; set_up").returncode == 0
    assert calls(clone) == ["runsc", "python", "agent"] * 2


@pytest.mark.parametrize("lost", [".venv/bin/python", ".venv/bin/continue-exec", "continue_exec/_bin/agent"])
def test_a_loss_is_mended(clone: Path, lost: str) -> None:
    bash(clone, f"export {RUNSC}; set_up")
    (clone / lost).unlink()
    assert bash(clone, f"export {RUNSC}; set_up").returncode == 0
    assert (clone / lost).exists()


def test_a_moved_clone_is_set_up_anew(clone: Path) -> None:
    bash(clone, f"export {RUNSC}; set_up")
    moved = clone.rename(clone.with_name("moved"))
    assert bash(moved, f"export {RUNSC}; set_up").returncode == 0
    assert calls(moved) == ["runsc", "python", "agent"] * 2


def test_two_at_once_do_the_work_once(clone: Path) -> None:
    stub(clone, "runsc", "")
    command = ["/bin/bash", "-c", f'source "{clone}/scripts/lib.sh"\n{PRETEND}\nset_up; echo ready']
    both = [
        subprocess.Popen(
            command, env={**variables(clone), "SLOW": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=60) for process in both]
    assert [out for out, _ in outputs] == ["ready\n"] * 2
    assert sum("waiting for it" in err for _, err in outputs) == 1
    assert calls(clone) == ["runsc", "python", "agent"]


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 125, done
    for word in words:
        assert word in done.stderr
    assert "unbound" not in done.stderr


def test_other_systems_and_machines_are_refused_in_words(clone: Path) -> None:
    stub(clone, "uname", "echo Darwin")
    refused(bash(clone, "set_up"), "needs Linux; this is Darwin", "virtual machine")
    stub(clone, "uname", '[ "$1" = -s ] && echo Linux || echo riscv64')
    refused(bash(clone, "set_up"), "x86_64 and aarch64; this machine is riscv64")


def test_a_full_disk_is_said_before_anything_is_fetched(clone: Path) -> None:
    stub(clone, "df", 'echo "Filesystem 1M Used Available Use% Mounted"; echo "/dev/x 10 10 0 100% /"')
    refused(bash(clone, "set_up"), "has 0 MB free", "Free some space")
    assert not (clone / "calls").exists()


def test_old_pythons_and_none_are_told_what_to_type(clone: Path) -> None:
    none = bash(clone, "find_python() { :; }; type() { [[ $2 != uv ]]; }; make_venv")
    refused(none, "Python 3.11 or newer is needed", "apt-get install python3 python3-venv", "PYTHON=")
    bare = bash(clone, "find_python() { echo without-venv python3.12; }; type() { [[ $2 != uv ]]; }; make_venv")
    refused(bare, "python3.12 lacks the modules venv and ensurepip", "sudo apt-get install python3-venv")


def test_uv_helps_where_python_cannot(clone: Path) -> None:
    stub(clone, "uv", 'echo "$@" >"$HOME/uv"')
    assert bash(clone, "find_python() { echo without-venv python3.12; }; make_venv").returncode == 0
    assert (clone / "home/uv").read_text() == f"venv --seed --python >=3.11 {clone}/.venv\n"


def test_find_python_passes_over_what_is_old_or_broken(clone: Path) -> None:
    stub(clone, "python3.13", "exit 127")  # a pyenv shim of a version that is not chosen
    stub(clone, "python3.12", 'case "$2" in *version_info*) exit 0;; *ensurepip*) exit 1;; esac')
    stub(clone, "python3.11", 'case "$2" in *executable*) echo /good/python3.11;; esac')
    assert bash(clone, "find_python").stdout == "/good/python3.11\n"
    assert bash(clone, "find_python", PYTHON="python3.11").stdout == "/good/python3.11\n"


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("Failed to establish a new connection: [Errno -3] Temporary failure in name resolution", "network is missing"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "differs from the one that was pinned"),
        ("ERROR: No matching distribution found for aiohttp==3", "no such version"),
        ("[Errno 13] Permission denied: 'x'", "A file cannot be written"),
    ],
)
def test_a_failed_step_says_why_and_what_to_do(clone: Path, said: str, advice: str) -> None:
    stub(clone, "fetch", f'echo "{said}" >&2; exit 4')
    refused(bash(clone, 'step "Getting things" fetch'), "Getting things: failed (exit code 4)", said, advice)


def test_a_long_step_shows_that_it_lives(clone: Path) -> None:
    done = bash(clone, 'step "Short" true; step "Long" sleep 1.5; echo "after $?"')
    assert done.stdout == "after 0\n"
    assert done.stderr.splitlines() == ["Long…", "Long: done in 1 s"] or done.stderr.splitlines() == [
        "Long…",
        "Long: done in 2 s",
    ]


def test_an_interrupted_step_is_ended_with_all_it_started(clone: Path) -> None:
    stub(clone, "fetch", 'sleep 600 & echo $! >"$HOME/pid"; wait')
    code = f'source "{clone}/scripts/lib.sh"\nstep "Long" fetch'
    with subprocess.Popen(["/bin/bash", "-c", code], env=variables(clone), stderr=subprocess.PIPE, text=True) as shell:
        assert shell.stderr is not None
        assert shell.stderr.readline() == "Long…\n"
        shell.terminate()
        assert shell.wait(timeout=10) == 130
    status = Path("/proc", (clone / "home/pid").read_text().strip(), "status")
    assert not status.exists() or "Z (zombie)" in status.read_text(), "it still runs"


def as_user(user: OrdinaryUser, clone: Path, code: str) -> subprocess.CompletedProcess[str]:
    env = {**variables(clone), "HOME": str(user.folder)}
    options = {**user.identity, "env": env, "cwd": "/"}
    return subprocess.run(
        ["/bin/bash", "-c", f'source "{clone}/scripts/lib.sh"\n{PRETEND}\n{code}'],
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )


@pytest.mark.root
def test_somebody_elses_clone_is_told_to_be_cloned(ordinary_user: OrdinaryUser, clone: Path) -> None:
    folder = Path(shutil.copytree(clone, ordinary_user.folder / "theirs"))
    refused(as_user(ordinary_user, folder, "set_up"), "cannot be written by", f"git clone {folder}")
    shutil.rmtree(folder)


def test_closed_user_namespaces_are_told_how_to_open(ordinary_user: OrdinaryUser, clone: Path) -> None:
    folder = Path(shutil.copytree(clone, ordinary_user.folder / "mine"))
    stub(folder, "unshare", "exit 1")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, ordinary_user.uid, ordinary_user.gid)
    refused(as_user(ordinary_user, folder, "set_up"), "user namespace", "sudo sysctl -w", "administrator")
    shutil.rmtree(folder)
