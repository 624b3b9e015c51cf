"""Which package registries the host is configured for: addresses only, never names, passwords or tokens.

The files that say so (~/.npmrc, pip.conf, ...) also hold credentials, so they are never inside; what is taken
from them is written to /etc inside.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "find-links", "no-index")
GO_VARIABLES = ("GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOSUMCHECK", "GOTOOLCHAIN")


def clean(value: str) -> str:
    """`value` without the words that are addresses with a name or password in them."""
    kept = []
    for word in re.split(r"[\s]+", value):
        try:
            parts = urlsplit(word)
        except ValueError:
            continue
        if "@" not in parts.netloc and not re.search(r"(token|key|password|secret)=", parts.query, re.IGNORECASE):
            kept.append(word)
    return " ".join(word for word in kept if word)


def _pip(home: Path, environ: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [Path("/etc/pip.conf"), home / ".pip" / "pip.conf", config / "pip" / "pip.conf"]
    if explicit := environ.get("PIP_CONFIG_FILE"):
        files.append(Path(explicit))
    for file in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(file)
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                found.update({k.replace("_", "-"): v for k, v in parser.items(section)})
    found.update({key: value for key in PIP_KEYS if (value := environ.get("PIP_" + key.upper().replace("-", "_")))})
    return {f"pip {key}": clean(found[key]) for key in PIP_KEYS if key in found and clean(found[key])}


def _npm(home: Path, environ: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in (Path("/usr/etc/npmrc"), Path("/etc/npmrc"), home / ".npmrc"):
        try:
            lines = file.read_text(errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            key, sign, value = (part.strip() for part in line.partition("="))
            # `registry` and `@scope:registry`; the lines with tokens begin with `//`.
            if sign and re.fullmatch(r"(@[\w.-]+:)?registry|strict-ssl|cafile", key):
                found[key] = value.strip("\"'")
    if registry := environ.get("npm_config_registry") or environ.get("NPM_CONFIG_REGISTRY"):
        found["registry"] = registry
    return {f"npm {key}": clean(value) for key, value in found.items() if clean(value) and "${" not in value}


def find(environ: Mapping[str, str]) -> dict[str, str]:
    """What is configured: `pip index-url`, `npm registry`, `npm @scope:registry`, `go GOPROXY`, ... to its value."""
    home = Path(environ.get("HOME") or os.path.expanduser("~"))
    found = {**_pip(home, environ), **_npm(home, environ)}
    for name in GO_VARIABLES:
        if value := environ.get(name):
            words = [clean(word) for word in re.split(r"[,|]", value)]
            found[f"go {name}"] = ",".join(word for word in words if word)
    return found


def write(root: Path, found: Mapping[str, str]) -> None:
    """Write /etc/pip.conf, /etc/npmrc and Go's own settings file beneath `root`."""
    by_tool: dict[str, list[str]] = {}
    for name, value in found.items():
        tool, _, key = name.partition(" ")
        by_tool.setdefault(tool, []).append(f"{key}={value}" if tool != "pip" else f"{key} = {value}")
    files = {"pip": ("etc/pip.conf", "[global]\n"), "npm": ("etc/npmrc", ""), "go": ("root/.config/go/env", "")}
    for tool, (name, head) in files.items():
        if tool in by_tool:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(head + "\n".join(by_tool[tool]) + "\n")
