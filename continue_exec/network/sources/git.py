"""git: addresses that the user rewrites (`insteadOf`), and the hosts of a workspace's remotes."""

from __future__ import annotations

import re
from pathlib import Path

from ..host import Host
from ..policy import Rule
from .base import Found, rule_for, web

_SCP = re.compile(r"(?:[^@/\s]+@)?(\[[^\]]+\]|[^:/\s]+):(?!/)")


def read(host: Host) -> Found:
    """Where rewritten addresses lead, and a gitconfig for inside that rewrites them too."""
    found = Found("git")
    git = host.which("git")
    if git is None:
        return found
    depends = [host.path("/etc/gitconfig"), host.home / ".gitconfig", host.config_home() / "git" / "config"]
    lines = []
    for scope in ("--system", "--global"):
        answer = host.ask([git, "config", scope, "--get-regexp", r"^url\..*\.insteadof$"], depends)
        for entry in answer.splitlines():
            key, _, original = entry.partition(" ")
            base = key[len("url.") : -len(".insteadof")]
            found.urls.append(address(base))
            # The original may carry a name too (`insteadOf = https://me@host/`); only what is plain is carried.
            if web(base) and "@" not in original and not re.search(r'["\\\n]', base + original):
                lines.append(f'[url "{web(base)}"]\n\tinsteadOf = "{original}"\n')
    if lines:
        found.files["/etc/gitconfig"] = "".join(lines)
    return found


def remotes(host: Host, workspace: Path, *, trusted: bool) -> list[Rule]:
    """Rules for the hosts of a workspace's remotes, over https and as configured.

    Of a workspace that is not trusted, none: its `.git` may have come with it, and its files may only narrow policy.
    """
    git = host.which("git")
    if git is None or not trusted:
        return []
    depends = [workspace / ".git", workspace / ".git" / "config"]
    answer = host.ask(
        [git, "-C", str(workspace), "config", "--local", "--get-regexp", r"^remote\..*\.(url|pushurl)$"], depends
    )
    urls = [line.partition(" ")[2] for line in answer.splitlines()]
    rules = [rule for url in urls if (rule := rule_for(address(url), "git remote")) is not None]
    return list(dict.fromkeys(rules))


def address(url: str) -> str:
    """A remote as a URL: `git@host:path` becomes `ssh://host`."""
    if "://" not in url and (match := _SCP.match(url)):
        return f"ssh://{match[1]}"
    return re.sub(r"^git\+", "", url)
