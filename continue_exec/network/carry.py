"""What of the host's package configuration goes into a sandbox: files and variables, never a credential.

Proxies are not carried: inside there is one proxy, ours, and it chains through the host's. Certificates are the
driver's to bring in, because only it knows which folders are the same inside.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field

from .hosts import HostNetwork

log = logging.getLogger(__name__)

# Each source strips what it knows. This is the second lock, for what a tool may have put elsewhere.
_SECRET = re.compile(
    r"://[^/\s\"'@]*@"  # a user name, with or without a password, in an address
    r"|[?&;][^=\s&]*(?:token|secret|passw|key|sig)[^=\s&]*="  # a signed address
    r"|_auth|-----BEGIN [A-Z ]*PRIVATE KEY",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Carried:
    """What the engine writes into a new sandbox, and adds to every run's variables."""

    files: dict[str, str] = field(default_factory=dict)
    """Absolute path inside → text. For root, mode 0644."""
    env: dict[str, str] = field(default_factory=dict)


def carry(network: HostNetwork) -> Carried:
    """What goes inside. A line or variable that still looks like a credential is left out, and the log says so."""
    files = {path: _clean(path, text) for path, text in network.files.items()}
    env = {}
    for name, value in network.env.items():
        if _SECRET.search(value):
            log.warning("%s is not carried into sandboxes: it looks like a credential", name)
        else:
            env[name] = value
    return Carried({path: text for path, text in files.items() if text.strip()}, env)


def _clean(path: str, text: str) -> str:
    kept = [line for line in text.splitlines(keepends=True) if not _SECRET.search(line)]
    if len(kept) < len(text.splitlines()):
        log.warning("a line of %s is not carried into sandboxes: it looks like a credential", path)
    return "".join(kept)
