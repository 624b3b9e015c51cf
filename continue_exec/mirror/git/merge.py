"""Host and sandbox against what both last had in common: who moves whom. Pure; `sync.py` carries it out.

Each ref by itself: who did not move it takes the other's. Where both did, the sandbox keeps its own, and the host's is
shown beside it as refs/remotes/host/*, unless the host's contains it (it was merged): then the sandbox follows.

HEAD, the branch that it names and the index are one thing, the checkout: were the branch moved beneath an index that
holds something else, the next commit inside would undo the host's. When the host goes to another branch and nothing is
staged inside, the sandbox goes with it: what it committed stays on the branch that it was on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from . import names

UNKNOWN = "unknown"
"""The digest of an index that could not be read: like no other."""


@dataclass(frozen=True)
class View:
    """One side's refs, HEAD, and its index's digest."""

    refs: dict[str, str]
    head: str
    digest: str

    @property
    def branch(self) -> str:
        """The branch that is checked out, as a ref; empty if HEAD is detached."""
        return self.head.removeprefix("ref: ") if self.head.startswith("ref: ") else ""

    @property
    def commit(self) -> str:
        """What is checked out; empty on a branch without a commit."""
        return self.refs.get(self.branch, "") if self.branch else self.head

    @property
    def checkout(self) -> tuple[str, str, str]:
        """HEAD, its commit, the index."""
        return self.head, self.commit, self.digest


NOTHING = View({}, "", UNKNOWN)
"""What both have in common when that is not known."""


@dataclass
class Moves:
    """What is to be done inside."""

    refs: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name → object id or "" for none, and what it is now."""
    checkout: bool = False
    """HEAD and the index become the host's."""
    base: View = NOTHING
    """What both have in common once that is done."""
    kept: list[str] = field(default_factory=list)
    """Refs that both moved, and the sandbox keeps."""
    checkout_kept: bool = False
    """The sandbox's checkout stays although the host's moved."""


def may_follow(base: View, host: View, inside: View) -> bool:
    """Whether it matters if something is staged inside: both moved the checkout, and the sandbox may yet follow."""
    return (
        inside.checkout not in (base.checkout, host.checkout)
        and host.checkout != base.checkout
        and inside.head in (host.head, base.head)
    )


def _follows(base: View, host: View, inside: View, contains: Callable[[str, str], bool]) -> bool:
    """Whether the sandbox's checkout may become the host's with nothing lost, though both moved it."""
    if inside.head == host.head:
        return contains(inside.commit, host.commit)
    own, old = inside.refs.get(host.branch, ""), base.refs.get(host.branch, "")
    return not host.branch or own in (old, host.commit) or contains(own, host.commit)


def merge(base: View, host: View, inside: View, *, contains: Callable[[str, str], bool], staged: bool) -> Moves:
    """Decide.

    Args:
        base: what both last had in common.
        host: the host's; `inside`: the sandbox's.
        contains: whether the host's commit (second) contains the sandbox's (first).
        staged: the sandbox's index holds something other than its commit; only asked where `may_follow`.
    """
    moves = Moves()
    refs = dict(base.refs)
    follow = may_follow(base, host, inside) and not staged and _follows(base, host, inside, contains)
    moves.checkout = inside.checkout != host.checkout and (inside.checkout == base.checkout or follow)
    moves.checkout_kept = inside.checkout != host.checkout and not moves.checkout and host.checkout != base.checkout
    aside: dict[str, str] = {}
    for name in sorted(base.refs.keys() | host.refs.keys() | inside.refs.keys()):
        if not names.is_mirrored(name):
            continue
        old, theirs, own = base.refs.get(name, ""), host.refs.get(name, ""), inside.refs.get(name, "")
        checked_out = name == inside.branch
        if own == theirs:
            _set(refs, name, theirs)
        elif theirs == old:
            pass  # only the sandbox moved it
        elif (own == old or (own and theirs and contains(own, theirs))) and (moves.checkout or not checked_out):
            moves.refs[name] = theirs, own
            _set(refs, name, theirs)
        else:
            moves.kept.append(name)
            if theirs and name.startswith("refs/heads/"):
                aside[names.ASIDE + name.removeprefix("refs/heads/")] = theirs
    for name in sorted(aside.keys() | {name for name in inside.refs if name.startswith(names.ASIDE)}):
        if aside.get(name, "") != inside.refs.get(name, ""):
            moves.refs[name] = aside.get(name, ""), inside.refs.get(name, "")
    agreed = host if moves.checkout or inside.checkout == host.checkout else base
    moves.base = View(refs, agreed.head, agreed.digest)
    return moves


def _set(refs: dict[str, str], name: str, oid: str) -> None:
    if oid:
        refs[name] = oid
    else:
        refs.pop(name, None)
