"""The decision, case by case. Commits are letters; `contains` says that later letters contain earlier ones."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from continue_exec.mirror.git.merge import NOTHING, Moves, View, may_follow, merge

MAIN, SIDE, HOST = "refs/heads/main", "refs/heads/side", "refs/remotes/host/main"


def view(main: str = "", side: str = "", head: str = "main", index: str | None = None, **more: str) -> View:
    refs = {name: oid for name, oid in ((MAIN, main), (SIDE, side)) if oid}
    refs |= {name.replace("__", "/"): oid for name, oid in more.items()}
    commit = refs.get(f"refs/heads/{head}", "")
    return View(refs, f"ref: refs/heads/{head}", commit if index is None else index)


def do(base: View, host: View, inside: View, staged: bool = False) -> Moves:
    return merge(base, host, inside, contains=lambda old, new: "" < old <= new, staged=staged)


def test_nothing_moved() -> None:
    assert do(view("a"), view("a"), view("a")) == Moves(base=view("a"))


def test_only_the_host_moved() -> None:
    moves = do(view("a"), view("b"), view("a"))

    assert (moves.refs, moves.checkout, moves.base) == ({MAIN: ("b", "a")}, True, view("b"))


def test_only_the_sandbox_moved() -> None:
    moves = do(view("a"), view("a"), view("b"))

    assert (moves.refs, moves.checkout, moves.base, moves.kept) == ({}, False, view("a"), [])


def test_both_moved_apart() -> None:
    moves = do(view("a"), view("b"), view("c"))

    assert (moves.refs, moves.checkout, moves.kept) == ({HOST: ("b", "")}, False, [MAIN])
    assert moves.checkout_kept and moves.base == view("a")


def test_the_host_merged_what_the_sandbox_made() -> None:
    inside = View({MAIN: "b", HOST: "a"}, "ref: refs/heads/main", "b")
    assert may_follow(view("a"), view("c"), inside)

    moves = do(view("a"), view("c"), inside)

    assert (moves.refs, moves.checkout, moves.base) == ({MAIN: ("c", "b"), HOST: ("", "a")}, True, view("c"))
    assert do(view("a"), view("c"), view("b"), staged=True).refs == {HOST: ("c", "")}


def test_the_host_took_just_what_the_sandbox_made() -> None:
    moves = do(view("a"), view("b"), view("b"))

    assert (moves.refs, moves.checkout, moves.base) == ({}, False, view("b"))


def test_a_branch_is_not_moved_beneath_what_is_staged() -> None:
    moves = do(view("a"), view("b"), view("a", index="a+staged"), staged=True)

    assert (moves.refs, moves.checkout, moves.checkout_kept) == ({HOST: ("b", "")}, False, True)


def test_only_the_hosts_index_moved() -> None:
    moves = do(view("a"), view("a", index="a+staged"), view("a"))

    assert (moves.refs, moves.checkout, moves.base) == ({}, True, view("a", index="a+staged"))


def test_another_branch_of_the_host_moves_whatever_is_checked_out() -> None:
    inside = view("a", "a", head="side", index="a+staged")
    moves = do(view("a", "a"), view("b", "a"), inside, staged=True)

    assert (moves.refs, moves.checkout) == ({MAIN: ("b", "a")}, False)


def test_the_sandbox_goes_to_another_branch_with_the_host() -> None:
    moves = do(view("a"), view("a", "b", head="side"), view("c"))

    assert (moves.refs, moves.checkout, moves.base.head) == ({SIDE: ("b", "")}, True, "ref: refs/heads/side")
    kept = do(view("a"), view("a", "b", head="side"), view("c", index="c+staged"), staged=True)
    assert (kept.refs, kept.checkout) == ({SIDE: ("b", "")}, False)


def test_deleted_on_one_side() -> None:
    assert do(view("a", "a"), view("a"), view("a", "a")).refs == {SIDE: ("", "a")}
    assert do(view("a", "a"), view("a", "a"), view("a")).refs == {}
    assert do(view("a", "a"), view("a"), view("a", "b")).kept == [SIDE]


def test_unknown_in_common_keeps_what_differs() -> None:
    assert do(NOTHING, view("a"), view("a")) == Moves(base=view("a"))
    assert do(NOTHING, view("b"), view("c")).kept == [MAIN]


LETTER = st.sampled_from(["", "a", "b", "c"])
VIEW = st.builds(
    lambda main, side, head, extra: view(main, side, head, extra),
    LETTER, LETTER, st.sampled_from(["main", "side"]), st.sampled_from([None, "x", "y"]),
)  # fmt: skip


@given(base=VIEW, host=VIEW, inside=VIEW, staged=st.booleans())
def test_nothing_of_the_sandboxes_is_lost_and_a_second_time_changes_nothing(
    base: View, host: View, inside: View, staged: bool
) -> None:
    moves = do(base, host, inside, staged)
    refs = dict(inside.refs)
    for name, (new, old) in moves.refs.items():
        assert refs.get(name, "") == old
        # What the sandbox moved is replaced only by what contains it.
        assert old == base.refs.get(name, "") or name == HOST or name.endswith("/side") or "" < old <= new
        if new:
            refs[name] = new
        else:
            del refs[name]
    after = View(refs, host.head, host.digest) if moves.checkout else View(refs, inside.head, inside.digest)
    if moves.checkout:
        assert inside.checkout == base.checkout or not staged

    again = do(moves.base, host, after, staged)

    assert again.refs == {} or set(again.refs) <= {HOST, HOST.replace("main", "side")}
    # The index is then what both had in common, so nothing is lost with it.
    assert not again.checkout or after.digest == base.digest
