from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continue_exec.mirror.git import names


@pytest.mark.parametrize(
    "name", ["refs/heads/main", "refs/heads/feature/x-1", "refs/tags/v1.2.3", "refs/heads/ünï", "refs/heads/a+b,c=d"]
)
def test_usual_names_may_come(name: str) -> None:
    assert names.fault(name) == ""


@pytest.mark.parametrize(
    "name",
    [
        "HEAD", "refs/notes/x", "refs/heads/", "refs/heads/.a", "refs/heads/a..b", "refs/heads/a.lock",
        "refs/heads/a.lock/b", "refs/heads/-a", "refs/heads/@", "refs/heads/a b", "refs/heads/a\x1b[2J",
        "refs/heads/\u202ea", "refs/heads/\udcff", "refs/heads/a//b", "refs/heads/HEAD", "refs/heads/tags",
        "refs/heads/tags/x", "refs/heads/$(x)", "refs/heads/" + "a" * 200,
    ],
)  # fmt: skip
def test_others_may_not(name: str) -> None:
    assert names.fault(name)


@settings(max_examples=50, deadline=None)
@given(st.text(st.sampled_from("ab./-@{~^:?*[\\ \x7fé"), min_size=1, max_size=8))
def test_git_itself_takes_what_may_come(short: str) -> None:
    name = f"refs/heads/{short}"
    if not names.fault(name):
        assert subprocess.run(["git", "check-ref-format", names.at_home(name, "sb_1")]).returncode == 0


def test_names_at_home() -> None:
    assert names.at_home("refs/heads/a/b", "sb_1") == "refs/continue-exec/sb_1/a/b"
    assert names.at_home("refs/tags/v1", "sb_1") == "refs/continue-exec/sb_1/tags/v1"
    assert names.at_home("HEAD", "sb_1") == "refs/continue-exec/sb_1/HEAD"


def test_words_are_shown_without_what_moves_a_cursor() -> None:
    assert names.shown("a\x1b[2J\u202eb\nc", 6) == "a?[2J?"


def test_ids() -> None:
    assert names.is_oid("a" * 40) and names.is_oid("0" * 64)
    assert not names.is_oid("a" * 39) and not names.is_oid("A" * 40) and not names.is_oid("a" * 40 + "\n")
