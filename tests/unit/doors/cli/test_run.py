from __future__ import annotations

import json
from pathlib import Path

import pytest

from continue_exec.protocol import events
from tests.support.command_line import cli
from tests.support.local_engine import LocalEngine


async def test_streams_stay_apart_and_bytes_are_bytes(engine: LocalEngine) -> None:
    done = await cli("run", "--", "sh", "-c", r"printf '\377\0a\r\n'; printf '\376' >&2; exit 3")
    assert (done.code, done.out, done.err) == (3, b"\xff\0a\r\n", b"\xfe")


async def test_what_the_engine_is_asked(engine: LocalEngine, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    words = ["run", "--cwd", "sub", "--env", "A=1", "--env", "OURS", "--timeout", "2m", "--title", "t"]
    await cli(*words, "--", "true", "--json", cwd=tmp_path, env={"OURS": "x"})
    asked = await engine.called("run.stream")
    assert asked == {
        "workspace": {"path": str(tmp_path / "sub"), "root": False},
        "argv": ["true", "--json"],
        "cwd": str(tmp_path / "sub"),
        "env": {"A": "1", "OURS": "x"},
        "timeout_s": 120.0,
        "title": "t",
        "client": "cli",
    }


async def test_without_the_mirror(engine: LocalEngine) -> None:
    await cli("run", "--no-sync", "--", "true")
    assert (await engine.called("run.stream"))["sync"] is False


async def test_code_file_and_standard_input(engine: LocalEngine, tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text("echo file")
    done = await cli("run", "-l", "bash", "-c", "echo code", cwd=tmp_path)
    assert done.out == b"code\n"
    done = await cli("run", "--language", "bash", "-", input=b"echo piped", cwd=tmp_path)
    assert done.out == b"piped\n"
    await cli("run", "a.sh", cwd=tmp_path)
    asked = await engine.called("run.stream", 3)
    assert asked["file"] == str(tmp_path / "a.sh") and "argv" not in asked and "language" not in asked


async def test_json_is_the_wire_s(engine: LocalEngine) -> None:
    done = await cli("run", "--json", "--", "sh", "-c", "echo a; sleep 0.1; printf '\\377' >&2; exit 4")
    assert done.code == 4
    (run,) = engine.runs.values()
    found = [events.RUN_EVENT.validate_json(line) for line in done.out.splitlines()]
    assert found == [events.from_frame(kind, at + 1, payload) for at, (kind, payload) in enumerate(run.events)]
    assert [event.type for event in found] == ["started", "output", "output", "exited"]


async def test_detach(engine: LocalEngine) -> None:
    done = await cli("run", "--detach", "--", "true")
    assert (done.code, done.text) == (0, f"{next(iter(engine.runs))}\n")
    done = await cli("run", "--detach", "--json", "--", "true")
    assert json.loads(done.out)["id"] in engine.runs


async def test_no_such_command(engine: LocalEngine) -> None:
    done = await cli("run", "--", "no-such-program")
    assert (done.code, done.out) == (127, b"")
    assert done.words == "continue-exec: There is no no-such-program.\ncontinue-exec: hint: Install it.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Say what to run"),
        (["a.py", "--", "true"], "Say what to run"),
        (["--"], "no command after --"),
        (["pytest"], "`continue-exec run -- pytest`"),
        (["."], "is not a file"),
        (["-c", "1"], "needs its --language"),
        (["-"], "needs its --language"),
        (["--language", "go", "--", "true"], "--language is for"),
        (["--stdin", "-l", "bash", "-"], "cannot be both"),
        (["--tty", "--", "true"], "standard input is not one"),
        (["--timeout", "soon", "--", "true"], "not a duration"),
        (["--cwd", "/nowhere", "--", "true"], "no folder /nowhere"),
        (["--env", "=1", "--", "true"], "names no variable"),
        (["a", "b"], "nrecognized arguments"),
    ],
)
async def test_what_makes_no_sense(engine: LocalEngine, words: list[str], said: str, tmp_path: Path) -> None:
    done = await cli("run", *words, cwd=tmp_path)
    assert done.code == 125 and done.out == b""
    assert said in done.words
    assert not engine.runs


async def test_code_that_is_no_text(engine: LocalEngine) -> None:
    done = await cli("run", "-l", "bash", "-", input=b"\xff")
    assert (done.code, "not UTF-8" in done.words) == (125, True)


async def test_standard_input_is_left_alone_unless_asked_for(engine: LocalEngine) -> None:
    assert (await cli("run", "--", "cat", input=b"mine")).out == b""
    assert (await cli("run", "--stdin", "--", "cat", input=b"yours")).out == b"yours"


async def test_a_shell_needs_a_terminal(engine: LocalEngine) -> None:
    done = await cli("shell")
    assert (done.code, "needs a terminal" in done.words) == (125, True)
