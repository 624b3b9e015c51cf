from __future__ import annotations

import pytest

from continue_exec.mirror import guard

ROWS = [(why, pattern) for why, patterns in guard.EXECUTED.items() for pattern in patterns]


def example(pattern: str) -> str:
    """A path that a pattern stands for."""
    path = pattern.removeprefix("**/").replace("*", "x")
    return path + "inner/file" if path.endswith("/") else path


@pytest.mark.parametrize(("why", "pattern"), ROWS, ids=[pattern for _, pattern in ROWS])
def test_every_row_needs_a_yes(why: str, pattern: str) -> None:
    """As it is, deeper down where the pattern is not bound to the top, in capitals, and as a folder's bare name."""
    path = example(pattern)
    assert guard.executed(path)
    assert guard.executed(path.upper())
    assert guard.executed(path + ". ")
    if "/" not in pattern.rstrip("/") or pattern.startswith("**/"):
        assert guard.executed("a/b/" + path)
    if pattern.endswith("/"):
        assert guard.executed(path.removesuffix("/inner/file")), "a link of this name is as good as the folder"


@pytest.mark.parametrize(
    "path",
    [
        "main.py", "src/app.ts", "Makefile", "package.json", "pyproject.toml", "setup.py", "conftest.py", "build.rs",
        "CMakeLists.txt", "build.gradle.kts", "tsconfig.json", "vite.config.ts", "docs/vscode/tasks.json",
        "src/hooks/post-form.ts", "vscode/settings.json", ".gitignore", "requirements.txt", "Cargo.toml", "Dockerfile",
        "python/bin.py", "README.md",
    ],
)  # fmt: skip
def test_what_changes_every_day_needs_none(path: str) -> None:
    assert guard.executed(path) == ""


@pytest.mark.parametrize(
    "path", [".v\u017fcode/x", ".\uff36SCODE/x", ".vs\u200dcode/x", "a/.ENVRC", ".envrc.", ".idea /x"]
)
def test_other_spellings_of_one_name(path: str) -> None:
    assert guard.executed(path)


@pytest.mark.parametrize(
    "path",
    [
        ".git", ".git/config", "sub/.git", ".GIT/hooks/x", ".git./x", ".git /x", ".git. . /x", "git~1", "GIT~12/x",
        ".git::$INDEX_ALLOCATION/x", ".git:stream", ".g\u200cit/x", ".gi\ufefft", ".\uff27it/x", "a\\.git\\x",
        "..", "a/../b", "./a", "a//b", "/a", "a/", "a\\..\\b",
        "a\nb", "a\x1b[2J", "a\x7fb", "a\x9bb", "a\u202eb", "a\u2066b", "a\u2028b", "\x00",
        "/".join(["d" * 200] * 20),
    ],
)  # fmt: skip
def test_paths_that_never_come_home(path: str) -> None:
    assert guard.refusal(path, "f", 0o644)


@pytest.mark.parametrize(
    "path",
    ["a", "a/b", ".gitignore", ".github/x", "digit/x", "git", "a b", "caf\u00e9", "..a", "a..b", "...", "x\udcff"],
)
def test_paths_that_may(path: str) -> None:
    assert guard.refusal(path, "f", 0o644) == ""


@pytest.mark.parametrize(("kind", "mode"), [("o", 0o644), ("f", 0o4755), ("f", 0o2755), ("f", 0o6000)])
def test_kinds_and_bits_that_never_come_home(kind: str, mode: int) -> None:
    assert guard.refusal("a", kind, mode)
    assert guard.refusal("a", "f", mode & 0o777) == ""
    assert guard.refusal("a", "d", 0o1777) == ""


@pytest.mark.parametrize(
    "target",
    ["", "/etc/passwd", "/", "..", "../x", "../../x", "../../../x", ".git", ".git/config", ".GIT", "../s/.git./x",
     "b/../c", "b/..", "./../b/..", "b/./../c", "a\x1b"],
)  # fmt: skip
def test_links_that_lead_out(target: str) -> None:
    assert guard.refusal("link" if target in ("..", "../x") else "s/link", "l", 0, target)


@pytest.mark.parametrize("target", ["x", "../x", "t/x", "./x", "..", "../t/./x", "..x", "x..", ".gitignore", "link"])
def test_links_that_stay(target: str) -> None:
    assert guard.refusal("s/link", "l", 0, target) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [("Readme", "README"), ("caf\u00e9", "cafe\u0301"), ("a", "a."), ("a", "a "), ("a\u200db", "ab"), ("ss", "\u00df"),
     ("\ufb01", "fi")],
)  # fmt: skip
def test_names_that_clash(one: str, other: str) -> None:
    assert guard.clash(one, guard.names(["else", other])) == other
    assert guard.clash(other, guard.names([one])) == one
    assert guard.clash(one, guard.names([one])) == ""
    assert guard.clash(one, guard.names(["else"])) == ""


def test_what_others_could_write() -> None:
    assert guard.exposed("f", 0o666, 0o644) and guard.exposed("d", 0o777, 0)
    assert (
        not guard.exposed("f", 0o666, 0o666) and not guard.exposed("l", 0o777, 0) and not guard.exposed("f", 0o664, 0)
    )
