"""What of the host's package configuration goes into a sandbox: files and variables, never a credential.

Proxies are not carried: inside there is one proxy, ours, and it chains through the host's.
Certificates are: where a company's proxy or mirror signs with its own authority, nothing works without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .hosts import HostNetwork

SHARED = ("/usr", "/opt", "/etc/ssl", "/etc/ca-certificates")
"""Folders that are inside what they are outside (template `host`); certificates elsewhere are copied."""

CA_FOLDER = "/etc/continue-exec/ca"

CA_VARIABLES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
)
"""Variables by which programs are pointed to certificates."""

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


@dataclass(frozen=True)
class Carried:
    """What the engine writes into a new sandbox, and adds to every run's variables."""

    files: dict[str, str] = field(default_factory=dict)
    """Absolute path inside → text. For root, mode 0644."""
    env: dict[str, str] = field(default_factory=dict)


def carry(network: HostNetwork, env: Mapping[str, str], *, shared: tuple[str, ...] = SHARED) -> Carried:
    """Put together what goes inside. Reads certificate files; writes nothing."""
    files = dict(network.files)
    variables = dict(network.env)
    for name in CA_VARIABLES:
        path = env.get(name, "")
        if not path.startswith("/"):
            continue
        real = Path(path).resolve()
        if any(real.is_relative_to(folder) and Path(path).is_relative_to(folder) for folder in shared):
            if real.exists():
                variables[name] = path
        elif certificates := _certificates(real):
            inside = f"{CA_FOLDER}/{name.lower()}.pem"
            files[inside] = certificates
            variables[name] = inside
    return Carried(files, variables)


def _certificates(path: Path) -> str:
    """The certificates in a file, and nothing else of it: a bundle may hold a private key too."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return ""
    return "".join(f"{block}\n" for block in _CERTIFICATE.findall(text))
