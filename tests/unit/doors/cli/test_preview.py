from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import Terminal, cli
from tests.support.local_engine import LocalEngine

SHOWN = {
    "run_id": "run_7",
    "sandbox_id": "sb_7",
    "changes": [{"path": "a.py", "kind": "modified"}, {"path": "b\x1b.py", "kind": "added"}],
    "elsewhere": [{"path": f"/opt/{n}", "kind": "deleted"} for n in range(30)],
    "elsewhere_total": 1234,
    "hosts": [
        {"host": "pypi.example", "port": 443, "allowed": True, "requests": 3},
        {"host": "evil.example", "port": 80, "allowed": False, "requests": 1},
    ],
}


async def test_show(engine: LocalEngine) -> None:
    engine.answers["preview.show"] = SHOWN
    lines = (await cli("preview", "show", "run_7")).text.splitlines()
    assert lines[:4] == [
        "In the workspace: 2 files changed.",
        "  ~ a.py",
        "  + b^[.py",
        "Elsewhere in the sandbox: 1234 files changed.",
    ]
    assert lines[-4:] == [
        "  … and 1204 more",
        "Hosts asked for:",
        "  pypi.example:443  allowed, 3 requests",
        "  evil.example:80  refused, 1 request",
    ]
    assert json.loads((await cli("preview", "show", "run_7", "--json")).out) == SHOWN
    assert await engine.called("preview.show") == {"run_id": "run_7"}


@pytest.mark.parametrize(("verb", "words"), [("keep", "Kept"), ("discard", "Discarded")])
async def test_keep_and_discard(engine: LocalEngine, verb: str, words: str) -> None:
    engine.answers[f"preview.{verb}"] = {}
    done = await cli("preview", verb, "run_7")
    assert (done.code, done.text.startswith(words)) == (0, True)
    assert await engine.called(f"preview.{verb}") == {"run_id": "run_7"}
    assert (await cli("preview", "burn", "run_7")).code == 125


async def test_without_a_terminal_the_commands_are_named(engine: LocalEngine, tmp_path: Path) -> None:
    engine.answers["preview.show"] = SHOWN
    done = await cli("run", "--preview", "--", "sh", "-c", "echo hi; exit 4", cwd=tmp_path)
    assert (done.code, done.out) == (4, b"hi\n")
    assert (await engine.called("run.stream"))["preview"] is True
    (run,) = engine.runs.values()
    assert f"continue-exec preview keep {run.id}" in done.words and f"preview discard {run.id}" in done.words
    assert "  … and 1214 more" in done.words


@pytest.mark.parametrize(("keys", "verb"), [("k\n", "keep"), ("?\nd\n", "discard"), ("\x04", None)])
async def test_a_person_is_asked(
    engine: LocalEngine, tmp_path: Path, terminal: Terminal, keys: str, verb: str | None
) -> None:
    engine.answers |= {"preview.show": SHOWN, "preview.keep": {}, "preview.discard": {}}
    await terminal.start("run", "--preview", "--", "true", cwd=tmp_path)
    await terminal.until(b"[k,d,?]? ")
    terminal.type(keys.encode())
    await terminal.until({"keep": b"Kept", "discard": b"Discarded", None: b"not decided"}[verb])
    assert await terminal.end() == 0
    decided = [name for name, _ in engine.calls if name in ("preview.keep", "preview.discard")]
    assert decided == ([f"preview.{verb}"] if verb else [])


async def test_detached_it_waits_for_its_verdict(engine: LocalEngine, tmp_path: Path) -> None:
    done = await cli("run", "--preview", "--detach", "--", "true", cwd=tmp_path)
    (run,) = engine.runs.values()
    assert (done.text, run.params.preview) == (f"{run.id}\n", True)
