from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import Terminal
from tests.support.local_engine import LocalEngine

from .reviewing import asked, begin


async def answers(terminal: Terminal, *keys: str) -> bytes:
    """Answer each question with a key; what was seen on the way."""
    seen = b""
    for key in keys:
        seen += await terminal.until(b"]? ")
        terminal.type(key.encode() + b"\n")
    return seen


async def picks(engine: LocalEngine, command: str = "apply") -> dict[str, Any]:
    await engine.called(f"changes.{command}")
    found: Any = asked(engine, f"changes.{command}")["picks"]
    return {pick["path"]: pick for pick in found}


async def test_every_change_is_asked_about(
    engine: LocalEngine, tmp_path: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    both = begin(engine, tmp_path)
    first, second = (both.change("a.txt") or {})["hunks"]
    await terminal.start("apply", cwd=tmp_path)
    seen = await answers(terminal, "y", "y", "n", "y", "?", "n", "s", "y", "n")
    await terminal.until(b"Applied:")
    assert await terminal.end() == 0
    for words in (
        b"! direnv executes it",
        b"(1/2) Apply this hunk [y,n,a,d,q,?]?",
        b"Apply this change [y,n,q,?]?",
    ):
        assert words in seen
    assert b"y - take this" in seen and b"a - take this" not in seen.split(b"this change")[1].split(b"both")[0]
    assert b"<<<<<<< yours" in seen and b"in spite of the conflict [s,m,n,q,?]" in seen
    assert seen.count(b"[" + second["id"].encode() + b"]") == 1 and first["id"].encode() in seen
    found = await picks(engine)
    assert set(found) == {".envrc", "a.txt", "both", "gone"}
    assert found["a.txt"]["hunks"] == [second["id"]]
    assert found["both"]["take"] == "sandbox" and found["both"]["version"]
    assert asked(engine, "changes.apply")["yes"] == [".envrc"]


@pytest.mark.parametrize(
    ("keys", "hunks"),
    [("a", [0, 1]), ("d", None), ("ya", [0, 1]), ("yd", [0]), ("nn", None), ("yq", [0]), ("q", None)],
)
async def test_the_rest_of_a_file(
    engine: LocalEngine, tmp_path: Path, terminal: Terminal, keys: str, hunks: list[int] | None
) -> None:
    both = begin(engine, tmp_path)
    for name in set(both.host | both.inside) - {"a.txt"}:
        both.host.pop(name, None), both.inside.pop(name, None)
    await terminal.start("apply", cwd=tmp_path)
    await answers(terminal, *keys)
    await terminal.end()
    ids = [hunk["id"] for hunk in (both.change("a.txt") or {})["hunks"]]
    if hunks is None:
        assert not [name for name, _ in engine.calls if name == "changes.apply"]
        assert b"Nothing to do." in terminal.seen
    else:
        pick = (await picks(engine))["a.txt"]
        assert pick.get("hunks", ids) == [ids[n] for n in hunks]
        assert ("hunks" in pick) == (len(hunks) < len(ids)), "all of it is the file, its mode included"


async def test_the_end_of_the_input_is_q(engine: LocalEngine, tmp_path: Path, terminal: Terminal) -> None:
    begin(engine, tmp_path)
    await terminal.start("discard", cwd=tmp_path)
    seen = await answers(terminal, "y")
    assert b"Discard this hunk [y,n,q,?]?" in seen
    await terminal.until(b"]? ")
    terminal.type(b"\x04")
    await terminal.end()
    assert set(await picks(engine, "discard")) == {".envrc"}


async def test_ctrl_c_applies_nothing(engine: LocalEngine, tmp_path: Path, terminal: Terminal) -> None:
    begin(engine, tmp_path)
    await terminal.start("apply", cwd=tmp_path)
    await answers(terminal, "y", "y")
    await terminal.until(b"]? ")
    terminal.type(b"\x03")
    assert await terminal.end() == 130
    assert not [name for name, _ in engine.calls if name == "changes.apply"]
    assert terminal.is_as_before


async def test_what_cannot_come_home_is_shown_and_not_asked_about(
    engine: LocalEngine, tmp_path: Path, terminal: Terminal
) -> None:
    both = begin(engine, tmp_path)
    both.words = {name: {"refused": "no"} for name in both.host | both.inside}
    await terminal.start("apply", cwd=tmp_path)
    await terminal.until(b"Nothing to do.")
    assert await terminal.end() == 0


async def test_a_conflict_merged(engine: LocalEngine, tmp_path: Path, terminal: Terminal) -> None:
    both = begin(engine, tmp_path)
    for name in set(both.host | both.inside) - {"both"}:
        both.host.pop(name, None), both.inside.pop(name, None)
    await terminal.start("apply", cwd=tmp_path)
    await answers(terminal, "y", "m")
    assert await terminal.end() == 0
    assert (await picks(engine))["both"]["take"] == "merged"
