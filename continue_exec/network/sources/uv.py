"""uv: its indexes, from uv.toml and variables. Without any it uses pip's default, which pip.py reads."""

from __future__ import annotations

import tomllib
from typing import Any

from ..host import Host
from .base import Found, toml_string, web
from .pip import defaults, file_hosts


def read(host: Host) -> Found:
    """uv's indexes, and a uv.toml for inside. Nothing is asked when there is no uv."""
    found = Found("uv")
    tables = [_table(host, host.path("/etc/uv/uv.toml")), _table(host, host.config_home() / "uv" / "uv.toml")]
    default, extra, links = "", [], []
    for table in tables:
        for section in (table, table.get("pip", {})):
            default = str(section.get("index-url") or default)
            extra += _strings(section.get("extra-index-url"))
            links += _strings(section.get("find-links"))
        for index in table.get("index", []):
            if index.get("default"):
                default = str(index.get("url", ""))
            else:
                extra.append(str(index.get("url", "")))
    env = host.env
    default = env.get("UV_DEFAULT_INDEX") or env.get("UV_INDEX_URL") or default
    # UV_INDEX holds `name=url` or `url`.
    extra += [part.partition("=")[2] if "://" in part.partition("=")[2] else part for part in _split(env, "UV_INDEX")]
    extra += _split(env, "UV_EXTRA_INDEX_URL")
    links += _split(env, "UV_FIND_LINKS")
    extra, links = [url for url in extra if web(url)], [url for url in links if web(url)]
    if not default and host.which("uv"):
        found.urls += defaults(host)
    for index_url in [default, *extra]:
        if web(index_url):
            found.urls += [index_url, *file_hosts(host, index_url, env.get("SSL_CERT_FILE", ""))]
    found.urls += links
    body = "".join(f"[[index]]\nurl = {toml_string(web(url))}\n" for url in extra)
    if web(default):
        body += f"[[index]]\nurl = {toml_string(web(default))}\ndefault = true\n"
    if links:
        body = f"find-links = [{', '.join(toml_string(web(url)) for url in links)}]\n{body}"
    if body:
        found.files["/etc/uv/uv.toml"] = body
    return found


def _table(host: Host, path: Any) -> dict[str, Any]:
    try:
        return tomllib.loads(host.text(path))
    except tomllib.TOMLDecodeError:
        return {}


def _strings(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


def _split(env: Any, name: str) -> list[str]:
    return str(env.get(name, "")).split()
