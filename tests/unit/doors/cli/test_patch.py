"""The patch is what git makes of it: every case goes through the real `git apply`."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from continue_exec.doors.cli import patch
from tests.support.two_sides import Entry, TwoSides, made_hunks

PLAIN = patch.Paint(colour=False)
TEN = "".join(f"line {n}\n" for n in range(1, 11))


def sides(tmp_path: Path, host: dict[str, Entry], inside: dict[str, Entry], **renames: str) -> TwoSides:
    return TwoSides(str(tmp_path), host, inside, renames=renames)


def git_patch(both: TwoSides) -> bytes:
    lines: list[str] = []
    for change in both.list({"hunks": True})["changes"]:
        contents = [
            None if change["kind"] == without else both.content({"path": path, "side": side})
            for without, path, side in (
                ("added", change["old_path"] or change["path"], "host"),
                ("deleted", change["path"], "sandbox"),
            )
        ]
        lines += patch.patch(change, *contents)
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def write(folder: Path, entries: dict[str, Entry]) -> None:
    folder.mkdir()
    for name, entry in entries.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.type == "symlink":
            path.symlink_to(entry.data.decode())
        elif entry.type == "folder":
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(entry.data)
            path.chmod(entry.mode)


def read(folder: Path) -> dict[str, Entry]:
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = Entry(os.readlink(path).encode(), type="symlink")
        elif path.is_file():
            found[name] = Entry(path.read_bytes(), 0o755 if path.stat().st_mode & 0o100 else 0o644)
    return found


def applied(tmp_path: Path, both: TwoSides) -> dict[str, Entry]:
    """The host after `git apply`."""
    folder = tmp_path / "host"
    write(folder, both.host)
    subprocess.run(
        ["git", "apply", "--whitespace=nowarn", "-"],
        cwd=folder,
        input=git_patch(both),
        check=True,
        timeout=30,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path)},
    )
    return read(folder)


CASES: dict[str, tuple[dict[str, Entry], dict[str, Entry]]] = {
    "modified": ({"a": Entry(TEN.encode())}, {"a": Entry(TEN.replace("line 5", "LINE 5").encode())}),
    "at the ends": ({"a": Entry(TEN.encode())}, {"a": Entry(("first\n" + TEN + "last\n").encode())}),
    "hunks near each other": (
        {"a": Entry(TEN.encode())},
        {"a": Entry(TEN.replace("line 2\n", "").replace("line 5", "5").replace("line 9", "9\n9b").encode())},
    ),
    "no newline at the end, before": ({"a": Entry(b"x\ny")}, {"a": Entry(b"x\ny\n")}),
    "no newline at the end, after": ({"a": Entry(b"x\ny\n")}, {"a": Entry(b"x\ny")}),
    "no newline at the end, both": ({"a": Entry(b"1\n2\n3")}, {"a": Entry(b"0\n2\n3")}),
    "all of it": ({"a": Entry(b"x\n")}, {"a": Entry(b"y\nz\n")}),
    "emptied": ({"a": Entry(b"x\n")}, {"a": Entry(b"")}),
    "filled": ({"a": Entry(b"")}, {"a": Entry(b"x\n")}),
    "crlf": ({"a": Entry(b"x\r\ny\r\n")}, {"a": Entry(b"x\r\nz\r\n")}),
    "form feeds and carriage returns are no line ends": (
        {"a": Entry("a\x0cb\rc\u2028d\nsecond\n".encode())},
        {"a": Entry("a\x0cb\rC\u2028d\nsecond\n".encode())},
    ),
    "added": ({}, {"new/file": Entry(b"x\n")}),
    "added without a newline": ({}, {"n": Entry(b"x")}),
    "added, empty": ({}, {"n": Entry(b"")}),
    "added, executable": ({}, {"n": Entry(b"#!/bin/sh\n", 0o755)}),
    "deleted": ({"a": Entry(b"x\ny")}, {}),
    "deleted, empty": ({"a": Entry(b"")}, {}),
    "mode": ({"a": Entry(b"x\n", 0o644)}, {"a": Entry(b"x\n", 0o755)}),
    "mode and lines": ({"a": Entry(b"x\n", 0o755)}, {"a": Entry(b"y\n", 0o644)}),
    "binary": ({"a": Entry(bytes(range(256)))}, {"a": Entry(bytes(range(255, -1, -1)) * 9)}),
    "binary, added": ({}, {"a": Entry(b"\0" + os.urandom(5000))}),
    "binary, deleted": ({"a": Entry(b"\0\1\2")}, {}),
    "text becomes binary": ({"a": Entry(b"text\n")}, {"a": Entry(b"\xff\xfe")}),
    "a link": ({}, {"a": Entry(b"some where", type="symlink")}),
    "a link turns": ({"a": Entry(b"x", type="symlink")}, {"a": Entry(b"y", type="symlink")}),
    "a link goes": ({"a": Entry(b"x", type="symlink")}, {}),
    "a file becomes a link": ({"a": Entry(b"x\n")}, {"a": Entry(b"y", type="symlink")}),
    "a link becomes a file": ({"a": Entry(b"y", type="symlink")}, {"a": Entry(b"x\n", 0o755)}),
    "names": (
        {"with space": Entry(b"x\n"), 'q"uo\\te': Entry(b"x\n"), "ü\tb": Entry(b"x\n"), "new\nline": Entry(b"x\n")},
        {"with space": Entry(b"y\n"), 'q"uo\\te': Entry(b"y\n"), "ü\tb": Entry(b"y\n"), "ein ß": Entry(b"x")},
    ),
    "a name that is no text": ({}, {os.fsdecode(b"caf\xe9"): Entry(b"x\n")}),
}


@pytest.mark.may_block("runs git")
@pytest.mark.parametrize("case", CASES)
def test_git_applies_it(case: str, tmp_path: Path) -> None:
    host, inside = CASES[case]
    assert applied(tmp_path, sides(tmp_path, host, inside)) == inside


@pytest.mark.may_block("runs git")
@pytest.mark.parametrize("new", [TEN, TEN.replace("line 5", "LINE 5")])
def test_git_applies_a_rename(new: str, tmp_path: Path) -> None:
    both = sides(tmp_path, {"old name": Entry(TEN.encode())}, {"sub/new": Entry(new.encode(), 0o755)})
    both.renames["sub/new"] = "old name"
    assert "rename from old name" in git_patch(both).decode()
    assert applied(tmp_path, both) == both.inside


def test_a_folder_is_nothing_to_git(tmp_path: Path) -> None:
    assert git_patch(sides(tmp_path, {}, {"empty": Entry(mode=0o755, type="folder")})) == b""


@pytest.mark.may_block("runs git")
def test_git_applies_whatever_was_edited(tmp_path: Path) -> None:
    chance = random.Random(4)
    pool = ["a\n", "b\n", "b\n", "\n", "c d\n", "\r\n", "ü\n"]
    host, inside = {}, {}
    for n in range(60):
        old = [chance.choice(pool) for _ in range(chance.randrange(40))]
        new = list(old)
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(new) + 1)
            new[at : at + chance.randrange(4)] = [chance.choice(pool) for _ in range(chance.randrange(4))]
        texts = ["".join(lines)[: -1 if chance.random() < 0.3 else None] for lines in (old, new)]
        host[f"f{n}"], inside[f"f{n}"] = (Entry(text.encode()) for text in texts)
    assert applied(tmp_path, sides(tmp_path, host, inside)) == inside


# For a person


def shown(
    both: TwoSides, path: str, host: str | None = None, context: int = 3, paint: patch.Paint = PLAIN
) -> list[str]:
    change = both.change(path)
    assert change is not None
    if host is None and (entry := both.host.get(both.renames.get(path, path))) is not None:
        host = entry.text
    return list(patch.shown(change, host, paint, context))


def test_a_person_sees_each_hunk_with_its_id_and_each_line_once(tmp_path: Path) -> None:
    new = TEN.replace("line 3\n", "three\n").replace("line 6\n", "six\nand a half\n")
    both = sides(tmp_path, {"a": Entry(TEN.encode())}, {"a": Entry(new.encode())})
    ids = [hunk["id"] for hunk in made_hunks(TEN, new)]
    assert shown(both, "a") == [
        "diff --git a/a b/a",
        "--- a/a",
        "+++ b/a",
        f"@@ -1,5 +1,5 @@ [{ids[0]}]",
        " line 1",
        " line 2",
        "-line 3",
        "+three",
        " line 4",
        " line 5",
        f"@@ -6,4 +6,5 @@ [{ids[1]}]",
        "-line 6",
        "+six",
        "+and a half",
        " line 7",
        " line 8",
        " line 9",
    ]
    assert shown(both, "a", context=0)[4:6] == ["-line 3", "+three"]


def test_a_host_that_has_moved_on_gives_no_context_rather_than_a_wrong_one(tmp_path: Path) -> None:
    both = sides(tmp_path, {"a": Entry(TEN.encode())}, {"a": Entry(TEN.replace("line 3\n", "").encode())})
    assert shown(both, "a", host="quite another text\n")[4:] == ["-line 3"]
    assert shown(both, "a", host="quite another text\n")[3].startswith("@@ -3 +2,0 @@ [")


def test_what_comes_out_of_a_sandbox_draws_nothing_on_the_terminal(tmp_path: Path) -> None:
    evil = "a\x1b[2Jb\x07\x9bc\u202ed\u200be\x7f\ud800f\tg\n"
    both = sides(tmp_path, {}, {"n\x1b[1m": Entry(b"x")})
    change = {**(both.change("n\x1b[1m") or {}), "conflict": "why \x1b[m", "hunks": made_hunks("", evil)}
    lines = list(patch.shown(change, None, PLAIN))
    assert all(line.replace("\t", "").isprintable() for line in lines)
    assert "+a^[[2Jb^G<U+009B>c<U+202E>d<U+200B>e^?<U+D800>f\tg" in lines
    assert '+++ "b/n\\033[1m"' in lines
    assert "! conflict: why ^[[m" in lines


def test_carriage_returns_are_shown_where_something_changed(tmp_path: Path) -> None:
    both = sides(tmp_path, {"a": Entry(b"x\r\ny\r\n")}, {"a": Entry(b"x\r\ny\n")})
    assert shown(both, "a")[4:] == [" x", "-y^M", "+y"]


def test_what_is_no_text_is_said_in_words(tmp_path: Path) -> None:
    both = sides(tmp_path, {"a": Entry(b"\0", 0o600)}, {"a": Entry(b"\0" * 2048, 0o4755)})
    both.words["a"] = {"needs_yes": "it is executed", "refused": "it is dangerous"}
    assert shown(both, "a") == [
        "diff --git a/a b/a",
        "old mode 100600",
        "new mode 104755",
        "Binary files differ (2.0 KiB in the sandbox)",
        "! needs a yes of its own: it is executed",
        "! cannot come home: it is dangerous",
    ]
    lines = list(patch.shown({**(both.change("a") or {}), "binary": False, "insertions": 3}, None, PLAIN))
    assert "Not UTF-8: lines +3 -0 (--patch has them)" in lines
    both = sides(tmp_path, {"a": Entry(b"x")}, {"a": Entry(type="folder", mode=0o755)})
    assert "was a file, is a folder" in shown(both, "a")


def test_colours(tmp_path: Path) -> None:
    both = sides(tmp_path, {"a": Entry(b"x\n")}, {"a": Entry(b"y\n")})
    lines = shown(both, "a", paint=patch.Paint(colour=True))
    assert lines[-2:] == ["\x1b[31m-x\x1b[m", "\x1b[32m+y\x1b[m"]
    assert lines[0].startswith("\x1b[1mdiff") and lines[3].startswith("\x1b[36m@@ -1 +1 @@\x1b[m [")


def test_conflicts_are_shown_between_their_markers() -> None:
    merged = "a\n<<<<<<< yours\nb\n=======\nc\x1b\n>>>>>>> the sandbox's\nd\n<<<<<<< yours\ne"
    assert list(patch.markers(merged)) == [
        "     2 <<<<<<< yours",
        "     3 b",
        "     4 =======",
        "     5 c^[",
        "     6 >>>>>>> the sandbox's",
        "     8 <<<<<<< yours",
        "     9 e",
    ]


def test_quoting_is_git_s() -> None:
    names: dict[str, Any] = {"a b": "x/a b", "ü": "x/ü", 'a"b': '"x/a\\"b"', "a\x01": '"x/a\\001"', "\\": '"x/\\\\"'}
    assert {name: patch.quoted("x/", name) for name in names} == names
    assert patch.quoted("", os.fsdecode(b"\xe9\n")) == '"\\351\\n"'
