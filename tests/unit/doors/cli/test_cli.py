"""The whole command line: what is imported, how it ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from continue_exec import errors
from continue_exec.doors.cli import main
from tests.support.command_line import ARGV, cli
from tests.support.local_engine import LocalEngine

HEAVY = ("aiohttp", "pydantic", "pygls", "lsprotocol", "git", "continue_exec.engine", "continue_exec.model")


async def test_a_run_imports_nothing_heavy(engine: LocalEngine) -> None:
    code = (
        "import sys\n"
        "from continue_exec.doors.cli import main\n"
        "code = main(['run', '--', 'true'])\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
        "sys.exit(code)\n"
    )
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=pipe)
    out, _ = await process.communicate()
    assert (process.returncode, out) == (0, b"[]\n")


def test_help_does_not_even_import_asyncio() -> None:
    code = (
        "import sys\nfrom continue_exec.doors.cli import main\nmain(['--version'])\nsys.exit('asyncio' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=30, stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize("cls", errors.all_errors())
async def test_every_error_has_its_code_and_words(engine: LocalEngine, cls: type[errors.ContinueExecError]) -> None:
    engine.answers["sandbox.list"] = cls("what went wrong", hint="what to do")
    done = await cli("ls")
    assert (done.code, done.out) == (cls.exit_code, b"")
    assert done.words == "continue-exec: what went wrong\ncontinue-exec: hint: what to do\n"


async def test_a_defect_is_no_traceback(engine: LocalEngine) -> None:
    engine.answers["sandbox.list"] = {"sandboxes": [{}]}
    done = await cli("ls")
    assert done.code == 125
    assert "Traceback" not in done.words and "defect" in done.words


async def test_a_table_into_a_closed_pipe(engine: LocalEngine) -> None:
    process = await asyncio.create_subprocess_shell(
        f"{' '.join(map(repr, ARGV[:1]))} -c '{ARGV[2]}' help | true; exit ${{PIPESTATUS[0]}}",
        executable="/bin/bash",
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode in (0, 141)
    assert err == b""


async def test_closed_descriptors(engine: LocalEngine) -> None:
    script = f"""exec {sys.executable} -c '{ARGV[2]}' run -- echo hi <&- >&- 2>&-"""
    process = await asyncio.create_subprocess_exec("sh", "-c", script)
    assert await process.wait() == 0


def test_main_gives_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing-of-the-kind"]) == 125
    assert capsys.readouterr().err.startswith("continue-exec: There is no command nothing-of-the-kind.\n")
