from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from continue_exec.errors import Conflict, ContinueExecError
from continue_exec.protocol.changes import ChangeList
from tests.support.command_line import Terminal, cli
from tests.support.local_engine import LocalEngine

from .reviewing import begin


async def test_diff(engine: LocalEngine, tmp_path: Path) -> None:
    both = begin(engine, tmp_path)
    done = await cli("diff", cwd=tmp_path)
    assert (done.code, done.err) == (0, b"")
    lines = done.text.splitlines()
    ids = [hunk["id"] for hunk in (both.change("a.txt") or {})["hunks"]]
    assert [line for line in lines if line.startswith("@@")][-3:] == [
        f"@@ -1 +1 @@ [{(both.change('both') or {})['hunks'][0]['id']}]",
        f"@@ -1 +0,0 @@ [{(both.change('gone') or {})['hunks'][0]['id']}]",
        f"@@ -0,0 +1 @@ [{(both.change('sub/new') or {})['hunks'][0]['id']}]",
    ]
    assert f"@@ -1,5 +1,5 @@ [{ids[0]}]" in lines and f"@@ -6,5 +6,5 @@ [{ids[1]}]" in lines
    assert "! conflict: both changed line 1" in lines and "! needs a yes of its own: direnv executes it" in lines
    at = lines.index("! merged, with markers (apply --merged both):")
    assert lines[at + 1 : at + 6] == [f"{n:>6} {text}" for n, text in enumerate(both.merged["both"].splitlines(), 1)]
    assert {"new file mode 100755", "deleted file mode 100644", "Binary files differ (3 B in the sandbox)"} <= set(
        lines
    )


async def test_other_forms(engine: LocalEngine, tmp_path: Path) -> None:
    begin(engine, tmp_path)
    done = await cli("diff", "--names", cwd=tmp_path)
    assert done.text.split() == [".envrc", "a.txt", "bin", "both", "gone", "sub/new"]
    done = await cli("diff", "--json", cwd=tmp_path)
    answer = ChangeList.model_validate(json.loads(done.out))
    assert len(answer.changes) == 6 and answer.changes[1].hunks
    done = await cli("diff", "--stat", cwd=tmp_path)
    assert done.text.splitlines() == [
        " .envrc  | 2 +-  [yes?]",
        " a.txt   | 4 ++--",
        " bin     | Bin 3 B",
        " both    | 2 +-  [conflict]",
        " gone    | 1 -",
        " sub/new | 1 +",
        " 6 files changed, 5 insertions(+), 5 deletions(-)",
    ]
    done = await cli("diff", "--stat", "--color", "always", "a.txt", cwd=tmp_path)
    assert done.text.splitlines()[0] == " a.txt | 4 \x1b[32m++\x1b[m\x1b[31m--\x1b[m"
    assert (await cli("diff", "--stat", "--names", cwd=tmp_path)).code == 125


async def test_the_patch_is_git_s(engine: LocalEngine, tmp_path: Path) -> None:
    begin(engine, tmp_path)
    done = await cli("diff", "--patch", "--", cwd=tmp_path)
    words = ["git", "apply"]
    await asyncio.to_thread(subprocess.run, words, input=done.out, cwd=tmp_path, check=True, timeout=30)
    assert (tmp_path / "bin").read_bytes() == b"\0\1\2"
    assert not (tmp_path / "gone").exists()
    assert (tmp_path / "sub/new").stat().st_mode & 0o100


async def test_which_changes(engine: LocalEngine, tmp_path: Path) -> None:
    begin(engine, tmp_path)
    (tmp_path / "sub").mkdir()
    assert (await cli("diff", "--names", ".", cwd=tmp_path / "sub")).text == "sub/new\n"
    assert (await cli("diff", "--names", "../a.txt", cwd=tmp_path / "sub")).text == "a.txt\n"
    assert (await cli("diff", "same", cwd=tmp_path)).text == ""
    done = await cli("diff", "smae", cwd=tmp_path)
    assert (done.code, "smae has no change, and is no file here" in done.words) == (125, True)
    engine.answers["run.get"] = {"id": "run_0123"}
    await cli("diff", "--run", "run_01", cwd=tmp_path)
    assert [body for name, body in engine.calls if name == "changes.list"][-1]["run_id"] == "run_0123"
    assert (await cli("diff", "-U", "-1", cwd=tmp_path)).code == 125


async def test_exit_codes(engine: LocalEngine, tmp_path: Path) -> None:
    both = begin(engine, tmp_path)
    assert (await cli("diff", "--exit-code", cwd=tmp_path)).code == 1
    assert (await cli("diff", "--exit-code", "same", cwd=tmp_path)).code == 0
    both.inside = dict(both.host)
    done = await cli("diff", "--exit-code", cwd=tmp_path)
    assert (done.code, done.out) == (0, b"")
    assert (await cli("diff", "--stat", cwd=tmp_path)).text == "No changes.\n"


async def test_what_could_not_be_compared_is_said(engine: LocalEngine, tmp_path: Path) -> None:
    both = begin(engine, tmp_path)
    engine.answers["changes.list"] = {**both.list({}), "left_out": ["huge (too large)"]}
    assert "not compared: huge (too large)" in (await cli("diff", "--names", cwd=tmp_path)).words


async def test_colours_and_a_pager_on_a_terminal(
    engine: LocalEngine, tmp_path: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(engine, tmp_path)
    monkeypatch.setenv("PAGER", "sed s/^/paged:/")
    await terminal.start("diff", "a.txt", cwd=tmp_path)
    seen = await terminal.until(b"nine")
    assert b"paged:\x1b[1mdiff --git" in seen and b"\x1b[31m-line 2\x1b[m" in seen
    assert await terminal.end() == 0


async def test_a_run_that_changed_something_says_so_on_a_terminal(
    engine: LocalEngine, tmp_path: Path, terminal: Terminal
) -> None:
    answer = {"run_id": "r", "changes": [{"path": n, "kind": "added"} for n in "abc"], "restorable": True}
    engine.answers["run.changes"] = answer
    await terminal.start("run", "--", "echo", "hi", cwd=tmp_path)
    await terminal.until(b"3 files changed in the sandbox: continue-exec diff")
    assert await terminal.end() == 0
    (run,) = engine.runs.values()
    assert await engine.called("run.changes") == {"run_id": run.id}


@pytest.mark.parametrize("answer", [{"run_id": "r", "changes": [], "restorable": True}, Conflict("It has no record.")])
async def test_a_run_that_changed_nothing_says_nothing(
    engine: LocalEngine, tmp_path: Path, terminal: Terminal, answer: dict[str, object] | ContinueExecError
) -> None:
    engine.answers["run.changes"] = answer
    await terminal.start("run", "--", "sh", "-c", "echo hi; exit 3", cwd=tmp_path)
    assert await terminal.end() == 3
    assert await engine.called("run.changes")
    assert b"continue-exec" not in terminal.seen and b"record" not in terminal.seen


async def test_pipes_hear_nothing_of_it(engine: LocalEngine, tmp_path: Path) -> None:
    assert (await cli("run", "--", "echo", "hi", cwd=tmp_path)).err == b""
    assert not [name for name, _ in engine.calls if name == "run.changes"]
