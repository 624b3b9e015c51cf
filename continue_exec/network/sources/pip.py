"""pip: `index-url`, `extra-index-url`, `find-links`, from its files and variables; its defaults from pip itself."""

from __future__ import annotations

import configparser
import json
import os
import re
import sys
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from ..host import FETCH_KEEP_S, Host
from .base import Found, web

_SIMPLE = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_HREF = re.compile(r"""<a\s[^>]*?href\s*=\s*["']([^"'#]+)""", re.IGNORECASE)

# pip's constants: the default index and the host of its files. Where pip is not installed, the wheel that
# Python brings to install it (ensurepip, or Debian's folder of wheels) is as good.
_DEFAULTS = """
import glob, os, sys
try:
    from pip._internal.models.index import PyPI
except ImportError:
    wheels = glob.glob("/usr/share/python-wheels/pip-*.whl")
    try:
        import ensurepip
        wheels += glob.glob(os.path.join(os.path.dirname(ensurepip.__file__), "_bundled", "pip-*.whl"))
    except ImportError:
        pass
    sys.path[:0] = wheels
    from pip._internal.models.index import PyPI
print(PyPI.simple_url)
print("https://" + PyPI.file_storage_domain)
"""

# Options worth having inside that are neither addresses nor secrets.
_PLAIN = ("timeout", "default-timeout", "retries", "disable-pip-version-check", "prefer-binary", "only-binary", "pre")


def files(host: Host) -> list[Path]:
    """pip's configuration files, weakest first (pip documentation, "Configuration Files")."""
    explicit = host.env.get("PIP_CONFIG_FILE")
    if explicit == os.devnull:
        return []
    found = [host.path("/etc/xdg/pip/pip.conf"), host.path("/etc/pip.conf")]
    found += [host.home / ".pip" / "pip.conf", host.config_home() / "pip" / "pip.conf"]
    return [*found, Path(explicit)] if explicit else found


def settings(host: Host) -> dict[str, str]:
    """Options in force for `pip install`: files, then their [install] sections, then variables."""
    merged: dict[str, str] = {}
    for section in ("global", "install"):
        for path in files(host):
            parser = configparser.RawConfigParser(strict=False)
            try:
                parser.read_string(host.text(path))
            except configparser.Error:
                continue
            if parser.has_section(section):
                merged |= {key.replace("_", "-"): value for key, value in parser.items(section)}
    for name, value in host.env.items():
        if name.startswith("PIP_") and value:
            merged[name[4:].lower().replace("_", "-")] = value
    return merged


def defaults(host: Host) -> list[str]:
    """pip's own index and the place of its files; empty if no pip can be found."""
    for program in (sys.executable, host.which("python3")):
        if program and (answer := host.ask([program, "-I", "-c", _DEFAULTS]).split()):
            return answer
    return []


def file_hosts(host: Host, index: str, ca: str = "") -> list[str]:
    """The hosts that an index's links lead to: its own, and often another. Asked once a week."""
    key = f"file hosts of {web(index)}"
    if (kept := host.kept(key)) is not None:
        return [str(each) for each in kept]
    # pip itself is the project that every index has; of a missing one the redirect still tells.
    page = host.fetch(index.rstrip("/") + "/pip/", _SIMPLE, ca=ca)
    if page is None:
        return []
    final, text = page
    try:
        links = [str(each["url"]) for each in json.loads(text)["files"]]
    except (ValueError, KeyError, TypeError):
        links = _HREF.findall(text)
    addresses = [urljoin(final, link) for link in links] + [final]
    parts = [urlsplit(each) for each in addresses]
    found = list(dict.fromkeys(f"{p.scheme}://{p.netloc.rpartition('@')[2]}" for p in parts if p.netloc))
    host.keep(key, found, FETCH_KEEP_S)
    return found


def read(host: Host) -> Found:
    """pip's indexes, and a pip.conf for inside."""
    found = Found("pip")
    options = settings(host)
    offline = options.get("no-index", "").lower() in ("1", "true", "yes", "on")
    index = options.get("index-url", "")
    extra = [url for url in options.get("extra-index-url", "").split() if web(url)]
    links = [url for url in options.get("find-links", "").split() if web(url)]
    if not offline:
        found.urls += [index] if index else defaults(host)
        for each in [index, *extra]:
            if web(each):
                found.urls += [each, *file_hosts(host, each, options.get("cert", ""))]
    found.urls += links
    lines = {name: options[name] for name in _PLAIN if name in options}
    lines["index-url"] = web(index)
    lines["extra-index-url"] = " ".join(map(web, extra))
    lines["find-links"] = " ".join(map(web, links))
    lines["trusted-host"] = options.get("trusted-host", "")
    lines["no-index"] = "true" if offline and links else ""
    body = "".join(f"{name} = {' '.join(value.split())}\n" for name, value in lines.items() if value)
    if body:
        found.files["/etc/pip.conf"] = f"[global]\n{body}"
    return found
