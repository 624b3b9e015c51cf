"""apt: the hosts of its package sources, in both formats (sources.list(5))."""

from __future__ import annotations

import re

from ..host import Host
from .base import Found

_LINE = re.compile(r"^\s*deb(?:-src)?\s+(?:\[[^\]]*\]\s+)?(\S+)", re.MULTILINE)
_URIS = re.compile(r"^URIs:((?:.*)(?:\n[ \t].*)*)", re.MULTILINE | re.IGNORECASE)


def read(host: Host) -> Found:
    """The hosts; nothing is carried."""
    found = Found("apt")
    folder = host.path("/etc/apt/sources.list.d")
    for path in [host.path("/etc/apt/sources.list"), *sorted(folder.glob("*.list"))]:
        found.urls += _LINE.findall(host.text(path))
    for path in sorted(folder.glob("*.sources")):
        # Comments may stand between the lines of a field.
        text = "".join(line for line in host.text(path).splitlines(keepends=True) if not line.startswith("#"))
        for stanza in re.split(r"\n\s*\n", text):
            if not re.search(r"^Enabled:\s*no\b", stanza, re.MULTILINE | re.IGNORECASE):
                found.urls += [url for match in _URIS.findall(stanza) for url in match.split()]
    # `mirror+https://…` fetches a list of mirrors over https.
    found.urls = [url.removeprefix("mirror+") for url in found.urls]
    return found
