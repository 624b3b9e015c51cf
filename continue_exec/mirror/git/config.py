"""Which of a repository's settings go inside: those that say what the repository is and where it came from.

Named one by one. Nothing that names a program, a file of the host, or a credential: hooksPath, fsmonitor, sshCommand,
credential helpers, includes, filters, aliases stay out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

Setting = tuple[str, str, str, str]
"""Section, subsection ("" for none), name, value."""

_PLAIN = {
    "core": {
        "filemode", "ignorecase", "symlinks", "autocrlf", "eol", "safecrlf", "precomposeunicode", "protecthfs",
        "protectntfs", "abbrev", "quotepath", "sparsecheckout", "sparsecheckoutcone", "commentchar",
    },
    "index": {"version", "sparse"},
    "extensions": {"objectformat", "partialclone"},
    "push": {"default"},
    "pull": {"rebase", "ff"},
    "merge": {"conflictstyle", "ff", "renames"},
    "diff": {"renames", "algorithm", "indentheuristic"},
    "user": {"name", "email"},
}  # fmt: skip
_NAMED = {
    "remote": {"url", "pushurl", "fetch", "promisor", "partialclonefilter", "tagopt"},
    "branch": {"remote", "merge", "rebase", "description"},
    "submodule": {"url", "active", "branch", "ignore"},
}
_URLS = {("remote", "url"), ("remote", "pushurl"), ("submodule", "url")}

_OURS: tuple[Setting, ...] = (
    ("core", "", "bare", "false"),
    ("core", "", "logallrefupdates", "true"),
    # The mirror keeps times of modification, and nothing else that the host's index remembers of a file: with this the
    # index is as true inside as outside, and `git status` need not read files.
    ("core", "", "checkstat", "minimal"),
    ("core", "", "trustctime", "false"),
    # Both are kept in the index, and tell of the host's folders.
    ("core", "", "untrackedcache", "false"),
    ("core", "", "fsmonitor", "false"),
)
_LFS: tuple[Setting, ...] = (
    # As `git lfs install --skip-smudge` writes them: a checkout inside gives pointers rather than a failed download.
    ("filter", "lfs", "clean", "git-lfs clean -- %f"),
    ("filter", "lfs", "smudge", "git-lfs smudge --skip -- %f"),
    ("filter", "lfs", "process", "git-lfs filter-process --skip"),
    ("filter", "lfs", "required", "true"),
)
_SCP = re.compile(r"(?:[\w.-]+@)?[\w.-]+:(?!//)[^\s]*")


def parse(listed: bytes) -> list[Setting]:
    """From `git config --null --list`."""
    found = []
    for line in listed.decode(errors="surrogateescape").split("\0"):
        key, equals, value = line.partition("\n")
        section, _, rest = key.partition(".")
        subsection, _, name = rest.rpartition(".")
        if section and name:
            found.append((section.lower(), subsection, name.lower(), value if equals else "true"))
    return found


def for_inside(settings: Iterable[Setting], *, lfs: bool) -> str:
    """The text of the sandbox's own `.git/config`.

    Args:
        settings: the host's.
        lfs: git-lfs is there inside.
    """
    kept = []
    for section, subsection, name, value in settings:
        allowed = _NAMED.get(section, set()) if subsection else _PLAIN.get(section, set())
        if (section, name) in _URLS:
            value = without_credentials(value)
        elif section == "filter" and name == "required" and subsection != "lfs":
            # Without its program (git-crypt's, say), git then refuses to add the file instead of adding it bare.
            allowed = {"required"}
        if name in allowed and value and (value.isprintable() or name == "description"):
            kept.append((section, subsection, name, value))
    version = "1" if any(section == "extensions" for section, *_ in kept) else "0"
    first: tuple[Setting, ...] = (("core", "", "repositoryformatversion", version),)
    return "".join(_text([*first, *kept, *_OURS, *(_LFS if lfs else ())]))


def identity(name: str, email: str) -> str:
    """A user's `.gitconfig`; empty if there is nothing to say."""
    pairs = (("name", name), ("email", email))
    return "".join(_text([("user", "", key, value) for key, value in pairs if value and value.isprintable()]))


def without_credentials(url: str) -> str:
    """A remote's address with no name, password or token in it; empty if it is none that can be told."""
    if "://" not in url:
        # host:path as ssh takes it keeps its user, which is no secret; so does a plain path. `ext::` runs a program.
        return url if _SCP.fullmatch(url) or ("::" not in url and "@" not in url) else ""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    user = f"{parts.username}@" if parts.scheme in ("ssh", "git+ssh", "ssh+git") and parts.username else ""
    host = f"[{host}]" if ":" in host else host
    return urlunsplit((parts.scheme, f"{user}{host}{f':{port}' if port else ''}", parts.path, "", ""))


def _text(settings: Iterable[Setting]) -> Iterable[str]:
    heading = ""
    for section, subsection, name, value in settings:
        title = f'[{section} "{_escaped(subsection)}"]' if subsection else f"[{section}]"
        if title != heading:
            heading = title
            yield f"{title}\n"
        quoted = _escaped(value).replace("\n", "\\n").replace("\t", "\\t")
        yield f'\t{name} = "{quoted}"\n'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
