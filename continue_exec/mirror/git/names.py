"""Names of refs: which are fit to come home, and what they are called there.

A name comes from the sandbox: it is shown to people, typed into commands and becomes a path below `refs/`. So it is
held to more than git-check-ref-format(1) asks.
"""

from __future__ import annotations

import re

HOME = "refs/continue-exec/"
"""Refs of sandboxes, on the host."""

ASIDE = "refs/remotes/host/"
"""Inside: where the host's branches are shown that could not take their own place."""

MIRRORED = ("refs/heads/", "refs/tags/", "refs/remotes/", "refs/notes/", "refs/replace/")
"""What of the host's refs is shown inside. Not the stash, not bisect's, not what other sandboxes made."""

COMING_HOME = ("refs/heads/", "refs/tags/")

MAX_NAME = 200
"""Bytes of a ref's name. On the host it becomes a path, with `.lock` at its end."""

_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\\"'`$;&|<>(){}!#]|\.\.|@\{|//")


def is_oid(text: str) -> bool:
    """Whether it is a whole object id, SHA-1 or SHA-256."""
    return _OID.fullmatch(text) is not None


def is_mirrored(name: str) -> bool:
    """Whether a ref of the host is shown inside."""
    return name.startswith(MIRRORED) and not name.startswith(ASIDE)


def fault(name: str) -> str:
    """Why the ref `name` may not come home, in words; empty if it may."""
    if not name.startswith(COMING_HOME):
        return "it is neither a branch nor a tag"
    short = name.split("/", 2)[2]
    if len(name.encode(errors="surrogateescape")) > MAX_NAME:
        return f"its name is longer than {MAX_NAME} bytes"
    if not short.isprintable() or any("\ud800" <= letter <= "\udfff" for letter in short):
        return "its name holds characters that cannot be shown"
    if _FORBIDDEN.search(short) or short == "@":
        return "its name holds characters that a shell or git would read otherwise"
    for part in short.split("/"):
        if not part or part.startswith((".", "-")) or part.endswith((".", ".lock")):
            return f"its name has the part {part!r}"
    first = short.partition("/")[0]
    if name.startswith("refs/heads/") and (first == "tags" or short == "HEAD"):
        return "its name is taken on the host: rename the branch"
    return ""


def at_home(name: str, sandbox_id: str) -> str:
    """What a branch (`main`), tag (`tags/v1`) or `HEAD` of the sandbox is called on the host."""
    short = name.removeprefix("refs/heads/").removeprefix("refs/")
    return f"{HOME}{sandbox_id}/{short}"


def shown(text: str, limit: int = MAX_NAME) -> str:
    """Words from the sandbox for a person: cut, and with nothing in them that moves a cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:limit])
