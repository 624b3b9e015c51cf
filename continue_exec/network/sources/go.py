"""Go: module proxies and the checksum database, as `go env` knows them."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ..host import Host, strip_credentials
from .base import Found

_NAMES = ("GOPROXY", "GOSUMDB", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOINSECURE")


def read(host: Host) -> Found:
    """The proxies; the variables that the user has set are carried."""
    found = Found("go")
    written = _written(host)
    values = {name: host.env.get(name) or written.get(name, "") for name in _NAMES}
    chosen = {name: value for name, value in values.items() if value}
    if go := host.which("go"):
        answer = host.ask([go, "env", "-json", *_NAMES], [_file(host)], {"GOTOOLCHAIN": "local", **chosen})
        try:
            values = {str(name): str(value) for name, value in json.loads(answer or "{}").items()}
        except (ValueError, AttributeError):
            pass
    # `direct` and `off` are words, not addresses; `|` and `,` differ only in when the next one is tried.
    found.urls += [part for part in re.split(r"[,|]", values.get("GOPROXY", "")) if "://" in part]
    database = values.get("GOSUMDB", "").split()
    if database and database[0] != "off":
        # `name`, `name+key`, or either of them and an address.
        found.urls.append(database[1] if len(database) > 1 else f"https://{database[0].partition('+')[0]}")
    for name, value in chosen.items():
        found.env[name] = re.sub(r"[^,|\s]+", lambda m: strip_credentials(m[0]), value)
    return found


def _file(host: Host) -> Path:
    return Path(host.env.get("GOENV") or host.config_home() / "go" / "env")


def _written(host: Host) -> dict[str, str]:
    """What `go env -w` has kept."""
    pairs = (line.strip().partition("=") for line in host.text(_file(host)).splitlines())
    return {name: value for name, equals, value in pairs if equals}
