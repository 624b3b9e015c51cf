"""npm (and yarn): the registry and those of scopes, from .npmrc files and variables; the default from npm itself."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..host import Host
from .base import Found, web

_VARIABLE = re.compile(r"\$\{([^}]+)\}")
GLOBAL_FILE = "/etc/npmrc"
"""Where the carried file lies inside; npm is pointed to it by a variable, so that the user's own .npmrc stays free."""


def files(host: Host) -> list[Path]:
    """.npmrc files, weakest first."""
    found = [host.path("/etc/npmrc")]
    node = host.which("node")
    if node:
        # npm's global file lies under its prefix: the folder above node's bin.
        found.append(Path(os.path.realpath(node)).parent.parent / "etc" / "npmrc")
    if explicit := _variable(host, "globalconfig"):
        found.append(Path(explicit))
    found.append(Path(_variable(host, "userconfig") or host.home / ".npmrc"))
    return found


def registries(host: Host) -> dict[str, str]:
    """`registry` and `@scope:registry` in force; without the default."""
    merged: dict[str, str] = {}
    for path in files(host):
        for line in host.text(path).splitlines():
            name, equals, value = line.strip().partition("=")
            name = name.strip()
            if equals and (name == "registry" or (name.startswith("@") and name.endswith(":registry"))):
                text = _VARIABLE.sub(lambda m: host.env.get(m[1], m[0]), value.strip().strip("\"'"))
                merged[name] = text
    if explicit := _variable(host, "registry"):
        merged["registry"] = explicit
    return merged


def read(host: Host) -> Found:
    """The registries, and an npmrc for inside."""
    found = Found("npm")
    named = registries(host)
    found.urls += named.values()
    if "registry" not in named and (npm := host.which("npm")):
        answer = host.ask([npm, "config", "get", "registry"], files(host), {"npm_config_update_notifier": "false"})
        found.urls += [answer.strip()]
    if yarn := host.which("yarn"):
        found.urls += [host.ask([yarn, "config", "get", "registry"], [host.home / ".yarnrc"]).strip()]
    lines = "".join(f"{name}={web(url)}\n" for name, url in sorted(named.items()) if web(url))
    if lines:
        found.files[GLOBAL_FILE] = lines
        found.env["npm_config_globalconfig"] = GLOBAL_FILE
    return found


def _variable(host: Host, name: str) -> str:
    """An npm option given as a variable; npm ignores the case."""
    wanted = f"npm_config_{name}"
    return next((value for key, value in host.env.items() if key.lower() == wanted and value), "")
