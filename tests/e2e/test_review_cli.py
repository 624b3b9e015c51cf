"""What the sandbox changed, reviewed at the command line: real engine, real sandbox, real git."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from continue_exec.protocol.changes import ChangeList
from tests.support.command_line import Terminal
from tests.support.engines import RealEngine

pytestmark = pytest.mark.may_block("starts processes from a large one")

TEN = "".join(f"line {n}\n" for n in range(1, 11))


class Shell:
    """`continue-exec` in one workspace."""

    def __init__(self, engine: RealEngine, workspace: Path) -> None:
        self.engine = engine
        self.workspace = workspace

    def __call__(self, *words: str, code: int | None = 0, **options: Any) -> str:
        done = self.engine.cli(*words, cwd=self.workspace, **options)
        assert code is None or done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        out: str = done.stdout
        return out if code == 0 or isinstance(out, bytes) else out + done.stderr

    def inside(self, script: str) -> str:
        return self("run", "--", "sh", "-ec", script)

    def changes(self, *words: str) -> dict[str, Any]:
        answer = ChangeList.model_validate(json.loads(self("diff", "--json", *words)))
        return {change.path: change for change in answer.changes}


@pytest.fixture
def shell(engine: RealEngine, workspace: Path) -> Shell:
    (workspace / "ten").write_text(TEN)
    return Shell(engine, workspace)


@pytest.fixture
async def terminal(engine: RealEngine) -> AsyncIterator[Terminal]:
    terminal = Terminal(rows=50, cols=120)
    yield terminal
    await terminal.close()


def test_nothing_changed(shell: Shell) -> None:
    shell.inside("true")
    assert shell("diff") == "" and shell("diff", "--stat") == "No changes.\n"
    assert shell("diff", "--exit-code") == ""
    assert shell("apply", "--all") == "Nothing to do.\n"


def test_one_of_two_hunks_comes_home(shell: Shell, workspace: Path) -> None:
    shell.inside("sed -i -e s/^line.2$/two/ -e s/^line.9$/nine/ ten")
    first, second = shell.changes()["ten"].hunks
    text = shell("diff", "ten")
    assert f"@@ -1,5 +1,5 @@ [{first.id}]\n line 1\n-line 2\n+two\n line 3\n" in text
    assert f"[{second.id}]" in text
    assert shell("apply", "--hunk", second.id) == "Applied:\n  ten\n"
    assert (workspace / "ten").read_text() == TEN.replace("line 9\n", "nine\n")
    left = shell("diff", "ten")
    assert first.id in left and second.id not in left and "+nine" not in left
    assert shell("discard", "--hunk", first.id) == "Discarded:\n  ten\n"
    assert shell("diff") == ""
    assert shell.inside("cat ten") == (workspace / "ten").read_text()


SCRIPT = r"""
printf 'print("new")\n' > main.py
mkdir -p sub; printf '#!/bin/sh\necho hi\n' > sub/run.sh; chmod 755 sub/run.sh
printf '\000\001\377' > bin
ln -s main.py link
rm .gitignore
mv ten eleven
printf 'no newline' > 'a "name" ü'
"""


@pytest.mark.parametrize("way", ["apply", "patch"])
def test_every_kind_of_change_comes_home(shell: Shell, workspace: Path, way: str) -> None:
    shell.inside(SCRIPT)
    assert shell("diff", "--names").splitlines() == [
        ".gitignore",
        'a "name" ü',
        "bin",
        "eleven",
        "link",
        "main.py",
        "sub/run.sh",
    ]
    if way == "apply":
        assert shell("apply", "--all").splitlines()[0] == "Applied:"
    else:
        patch = shell("diff", "--patch", text=False)
        subprocess.run(["git", "apply"], input=patch, cwd=workspace, check=True, timeout=30)
    assert (workspace / "main.py").read_text() == 'print("new")\n'
    assert (workspace / "sub/run.sh").stat().st_mode & 0o111 == 0o111
    assert (workspace / "bin").read_bytes() == b"\0\1\xff"
    assert os.readlink(workspace / "link") == "main.py"
    assert not (workspace / ".gitignore").exists() and not (workspace / "ten").exists()
    assert (workspace / "eleven").read_text() == TEN
    assert (workspace / 'a "name" ü').read_text() == "no newline"
    assert shell("diff", "--exit-code") == ""


def test_a_mode_alone(shell: Shell, workspace: Path) -> None:
    shell.inside("chmod +x main.py")
    assert "old mode 100644\nnew mode 100755\n" in shell("diff")
    shell("apply", "main.py")
    assert (workspace / "main.py").stat().st_mode & 0o111


def test_both_sides_changed_the_same_line(shell: Shell, workspace: Path) -> None:
    shell.inside("true")
    (workspace / "ten").write_text(TEN + "eleven\n")
    shell.inside("sed -i s/^line.2$/sandbox/ ten; sed -i s/hello/bye/ main.py")
    (workspace / "ten").write_text(TEN.replace("line 2\n", "mine\n"))
    text = shell("diff", "ten")
    assert "! conflict: " in text and "<<<<<<< host" in text and ">>>>>>> sandbox" in text
    assert "ten" in shell("apply", "ten", code=1)
    assert "mine" in (workspace / "ten").read_text(), "its name alone is not enough"
    done = shell("apply", "--all", code=1)
    assert "Applied:\n  main.py\nLeft:\n  ten: " in done
    shell("apply", "--merged", "ten")
    assert "<<<<<<< host\nmine\n=======\nsandbox\n>>>>>>> sandbox\n" in (workspace / "ten").read_text()


def test_a_conflict_is_settled_for_either_side(shell: Shell, workspace: Path) -> None:
    for way, words in (("sandbox", ["apply", "--sandbox", "ten"]), ("mine", ["discard", "ten"])):
        (workspace / "ten").write_text(TEN)
        shell.inside("sed -i s/^line.2$/sandbox/ ten")
        (workspace / "ten").write_text(TEN.replace("line 2\n", "mine\n"))
        shell(*words)
        assert f"line 1\n{way}\nline 3" in (workspace / "ten").read_text()
        assert shell("diff", "--exit-code") == ""
        assert f"\n{way}\n" in shell.inside("cat ten")


def test_what_this_machine_executes_needs_its_name(shell: Shell, workspace: Path) -> None:
    shell.inside("echo export EVIL=1 > .envrc; echo fine > notes")
    assert "! needs a yes of its own: " in shell("diff", ".envrc")
    assert "  notes\nLeft:\n  .envrc: " in shell("apply", ".", code=1)
    assert not (workspace / ".envrc").exists()
    shell("apply", "--yes", ".envrc")
    assert (workspace / ".envrc").read_text() == "export EVIL=1\n"


def test_names_that_are_no_text(shell: Shell, workspace: Path) -> None:
    shell.inside("printf x > $(printf 'caf\\351'); printf 'a\\351b\\n' >> main.py")
    assert shell("diff", "--names", text=False) == b"caf\xe9\nmain.py\n"
    assert '+++ "b/caf\\351"\n' in shell("diff") and " caf\\351 " in shell("diff", "--stat")
    patch = shell("diff", "--patch", text=False)
    subprocess.run(["git", "apply", "--check"], input=patch, cwd=workspace, check=True, timeout=30)
    assert shell("apply", os.fsdecode(b"caf\xe9"), "main.py") == "Applied:\n  caf\\351\n  main.py\n"
    assert b"caf\xe9" in os.listdir(os.fsencode(workspace))
    assert (workspace / "main.py").read_bytes().endswith(b"a\xe9b\n")


def test_what_cannot_come_home_does_not(shell: Shell, workspace: Path) -> None:
    shell.inside("ln -s /etc/passwd out; printf '\\033[2J' > 'esc'")
    text = shell("diff")
    assert "! cannot come home: " in text and "\x1b" not in text and "^[[2J" in text
    shell("apply", "out", code=1)
    assert not (workspace / "out").is_symlink()


def test_runs_know_their_changes_and_can_be_undone(shell: Shell, workspace: Path) -> None:
    shell.inside("echo one > one")
    shell("run", "--title", "second", "--", "sh", "-c", "echo two > two; rm one; echo x >> main.py")
    runs = {run["title"]: run["id"] for run in json.loads(shell("ps", "-a", "--here", "--json"))["runs"]}
    assert shell("diff", "--names", "--run", runs["second"]).split() == ["main.py", "two"]
    would = shell("rewind", runs["second"], "--dry-run")
    assert would.splitlines() == ["Would be set back:", "  main.py", "  one", "  two"]
    assert shell.inside("ls; cat main.py").split()[:2] == ["main.py", "ten"]
    shell("rewind", runs["second"])
    assert shell.inside("cat one; ls") == "one\nmain.py\none\nten\n"
    assert (workspace / "main.py").read_text() == 'print("hello from main")\n', "the host is not touched"


async def test_hunk_by_hunk_at_a_terminal(
    shell: Shell, workspace: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    await asyncio.to_thread(
        shell.inside, "sed -i -e s/^line.2$/two/ -e s/^line.9$/nine/ ten; echo new > new; echo x >> main.py"
    )
    await terminal.start("apply", cwd=workspace)
    for key in (b"n", b"y", b"n", b"y"):  # main.py, new, the first hunk of ten, the second
        await terminal.until(b"]? ")
        terminal.type(key + b"\n")
    await terminal.until(b"Applied:")
    assert await terminal.end() == 0
    assert (workspace / "ten").read_text() == TEN.replace("line 9\n", "nine\n")
    assert (workspace / "new").read_text() == "new\n"
    assert (workspace / "main.py").read_text() == 'print("hello from main")\n'


async def test_a_run_at_a_terminal_says_what_it_changed(shell: Shell, workspace: Path, terminal: Terminal) -> None:
    await terminal.start("run", "--", "sh", "-c", "echo 1 > a; echo 2 > b", cwd=workspace)
    await terminal.until(b"2 files changed in the sandbox: continue-exec diff")
    assert await terminal.end() == 0


def test_a_preview_is_looked_at_and_thrown_away_or_kept(shell: Shell, workspace: Path) -> None:
    shell.inside("echo before > made")
    done = shell.engine.cli(
        "run",
        "--preview",
        "--",
        "sh",
        "-c",
        "echo out; rm made; echo x > new; echo y > /opt/beside; exit 3",
        cwd=workspace,
    )
    assert (done.returncode, done.stdout) == (3, "out\n")
    lines = done.stderr.splitlines()
    assert lines[0] == "In the workspace: 2 files changed." and {"  - made", "  + new"} <= set(lines)
    assert "  + /opt/beside" in lines
    run_id = lines[-1].split()[-1]
    assert shell.inside("cat made; ls") == "before\nmade\nmain.py\nten\n", "the sandbox is as it was"
    assert shell("preview", "show", run_id).splitlines()[:1] == lines[:1]
    shell("preview", "discard", run_id)
    assert "hint: " in shell("preview", "show", run_id, code=125)
    assert shell.inside("cat made") == "before\n"

    done = shell.engine.cli("run", "--preview", "--", "sh", "-c", "rm made; echo x > new", cwd=workspace)
    assert done.returncode == 0, done.stderr
    shell("preview", "keep", done.stderr.split()[-1])
    assert shell.inside("ls") == "main.py\nnew\nten\n"
    assert shell("diff", "--names") == "new\n"
    assert not (workspace / "new").exists()


async def test_a_preview_at_a_terminal(shell: Shell, workspace: Path, terminal: Terminal) -> None:
    await terminal.start("run", "--preview", "--", "sh", "-c", "echo x > new", cwd=workspace)
    await terminal.until(b"In the workspace: 1 file changed.")
    await terminal.until(b"[k,d,?]? ")
    terminal.type(b"k\n")
    await terminal.until(b"Kept")
    assert await terminal.end() == 0
    assert await asyncio.to_thread(shell.inside, "cat new") == "x\n"
