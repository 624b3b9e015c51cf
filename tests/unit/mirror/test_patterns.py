"""The pattern language against git's own matcher."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continue_exec.mirror.patterns import PatternList, parse

ENV = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", str(folder)], check=True, env=ENV)
    return folder


def git_ignores(repository: Path, text: bytes, paths: list[bytes]) -> dict[bytes, bool]:
    """Which of `paths` git's check-ignore excludes. They do not exist: the last part counts as a file."""
    (repository / ".git/info/exclude").write_bytes(text)
    done = subprocess.run(
        ["git", "-C", str(repository), "check-ignore", "--stdin", "-z", "-v", "-n", "--no-index"],
        input=b"\0".join(paths) + b"\0",
        capture_output=True,
        env=ENV,
    )
    assert done.returncode in (0, 1), done.stderr
    fields = done.stdout.split(b"\0")[:-1]
    found = {}
    for source, _, pattern, path in zip(fields[::4], fields[1::4], fields[2::4], fields[3::4], strict=True):
        found[path] = bool(source) and not pattern.startswith(b"!")
    return found


def ours(text: bytes, path: bytes) -> bool:
    """The same by PatternList: a folder that is out takes everything below with it."""
    patterns = PatternList(parse(text))
    parts = path.split(b"/")
    return any(
        patterns.match(b"/".join(parts[:depth]), parts[depth - 1], depth < len(parts))
        for depth in range(1, len(parts) + 1)
    )


NAMES = st.text(alphabet="abAB.-_ é[]\\*?!#", min_size=1, max_size=4).filter(
    lambda name: name not in (".", "..") and not name.endswith("\\")
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(lambda parts: os.fsencode("/".join(parts)))
WORDS = ["a", "b", "A", "ab", "*", "**", "?", "/", "//", "\\", "!", "#", "é", ".", "-"]
WORDS += ["[ab]", "[!a]", "[a-b]", "[^b.]", "[[:alpha:]]", "[[:x:]]", "[]a]", "[a-]", "[\\]]"]
LINES = st.lists(
    st.one_of(
        st.sampled_from(WORDS),
        st.sampled_from(["**/", "/**", "/", " ", "\\ ", "*a", "[", "]", "\r"]),
    ),
    min_size=1,
    max_size=6,
).map("".join)
TEXTS = st.lists(LINES, min_size=1, max_size=4).map(lambda lines: os.fsencode("\n".join(lines) + "\n"))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS, paths=st.lists(PATHS, min_size=1, max_size=30, unique=True))
def test_as_git_does(repository: Path, text: bytes, paths: list[bytes]) -> None:
    expected = git_ignores(repository, text, paths)
    assert {path: ours(text, path) for path in expected} == expected


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (b"*.pyc\n!keep.pyc\n", [b"keep.pyc", b"a.py"], [b"x.pyc", b"d/x.pyc"]),
        (b"build/\n", [b"build"], [b"build/x", b"d/build/y"]),
        (b"/build\n", [b"d/build"], [b"build", b"build/x"]),
        (b"docs/*.txt\n", [b"docs/a/b.txt", b"x/docs/a.txt"], [b"docs/a.txt"]),
        (b"**/logs\n", [b"logsx"], [b"logs", b"a/logs", b"a/b/logs/c"]),
        (b"a/**/b\n", [b"ab", b"a/c"], [b"a/b", b"a/x/b", b"a/x/y/b"]),
        (b"a/**\n", [b"a"], [b"a/b", b"a/b/c"]),
        (b"\xef\xbb\xbfx\r\ny  \nz\\ \n", [b"z", b"y  "], [b"x", b"y", b"z "]),
        (b"\\#a\n\\!b\n#c\n", [b"c", b"#c"], [b"#a", b"!b"]),
        (b"[]-]x\n", [b"ax"], [b"]x", b"-x"]),
    ],
)
def test_the_manual_s_examples(repository: Path, text: bytes, inside: list[bytes], outside: list[bytes]) -> None:
    assert [path for path in inside if ours(text, path)] == []
    assert [path for path in outside if not ours(text, path)] == []
    expected = git_ignores(repository, text, inside + outside)
    assert expected == {path: path in outside for path in inside + outside}


def test_a_hostile_pattern_takes_no_time() -> None:
    name = b"a" * 255
    lists = [
        PatternList([b"*a" * 60 + b"*b"]),
        PatternList([b"**/" + b"*a*/**/" * 20 + b"b"]),
        PatternList([b"?*" * 100 + b"b"]),
    ]
    started = time.perf_counter()
    for patterns in lists:
        assert patterns.match(b"/".join([name[:50]] * 40), name, False) is None
    assert time.perf_counter() - started < 1
