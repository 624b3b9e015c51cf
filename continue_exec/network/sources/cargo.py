"""cargo: registries of its configuration; the default one from cargo itself, by watching where it wants to go."""

from __future__ import annotations

import json
import socket
import threading
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..host import FETCH_KEEP_S, Host
from .base import Found, toml_string, web

CONFIG = "/.cargo/config.toml"
"""Inside: cargo reads every folder above the project, and this is above all of them."""


def files(host: Host) -> list[Path]:
    """cargo's configuration files, weakest first."""
    home = Path(host.env.get("CARGO_HOME") or host.home / ".cargo")
    return [host.path(CONFIG), home / "config", home / "config.toml"]


def read(host: Host) -> Found:
    """The registries, and a config.toml for inside."""
    found = Found("cargo")
    merged: dict[str, dict[str, Any]] = {"source": {}, "registries": {}}
    for path in files(host):
        try:
            table = tomllib.loads(host.text(path))
        except tomllib.TOMLDecodeError:
            continue
        for section, entries in merged.items():
            got = table.get(section)
            if isinstance(got, dict):
                entries.update({name: value for name, value in got.items() if isinstance(value, dict)})
    for name, value in host.env.items():
        if name.startswith("CARGO_REGISTRIES_") and name.endswith("_INDEX"):
            merged["registries"][name[17:-6].lower().replace("_", "-")] = {"index": value}
    indexes = [str(each.get("registry", "")) for each in merged["source"].values()]
    indexes += [str(each.get("index", "")) for each in merged["registries"].values()]
    indexes = [index for index in indexes if index]
    if "replace-with" not in merged["source"].get("crates-io", {}) and (cargo := host.which("cargo")):
        indexes += [f"sparse+{url}/" for url in default(host, cargo)]
    for index in indexes:
        url = index.removeprefix("sparse+").removeprefix("registry+")
        found.urls.append(url)
        if index.startswith("sparse+"):
            found.urls += download_hosts(host, url)
    if body := _carried(merged):
        found.files[CONFIG] = body
    return found


def default(host: Host, cargo: str) -> list[str]:
    """cargo's own registry: asked for a package through a proxy that only takes down the host's name."""
    key = f"cargo's registry {cargo} {Path(cargo).stat().st_mtime_ns}"
    if (kept := host.kept(key)) is not None:
        return [str(each) for each in kept]
    wanted: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_take_down, args=(listener, wanted), daemon=True)
        thread.start()
        proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
        host.ask(
            [cargo, "info", "cfg-if"],
            # Never let rustup download a toolchain for this.
            env={"CARGO_HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "CARGO_NET_RETRY": "0", "RUSTUP_AUTO_INSTALL": "0"},
        )
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    if wanted:
        host.keep(key, wanted)
    return wanted


def _take_down(listener: socket.socket, wanted: list[str]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client:
            client.settimeout(5)
            try:
                words = client.recv(4096).split(b" ")
                client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            except OSError:
                continue
        if len(words) > 1 and words[0] == b"CONNECT":
            url = f"https://{words[1].decode('latin-1').removesuffix(':443')}"
            if url not in wanted:
                wanted.append(url)


def download_hosts(host: Host, index: str) -> list[str]:
    """Where a sparse registry keeps its packages: its config.json says (Cargo book, "Registry Index")."""
    key = f"downloads of {web(index)}"
    if (kept := host.kept(key)) is not None:
        return [str(each) for each in kept]
    page = host.fetch(index.rstrip("/") + "/config.json", "application/json", ca=host.env.get("CARGO_HTTP_CAINFO", ""))
    if page is None:
        return []
    try:
        config = json.loads(page[1])
        urls = [str(config[name]) for name in ("dl", "api") if config.get(name)]
    except (ValueError, TypeError, AttributeError):
        return []
    found = [f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, urls)]
    host.keep(key, found, FETCH_KEEP_S)
    return found


def _carried(merged: dict[str, dict[str, Any]]) -> str:
    """Sources and registries, addresses only: tokens and local folders stay outside."""
    lines: list[str] = []
    for section, keys in (("source", ("registry", "replace-with")), ("registries", ("index",))):
        for name, entry in merged[section].items():
            kept = []
            for key in keys:
                text = str(entry.get(key, ""))
                if key != "replace-with":
                    kind = next((p for p in ("sparse+", "registry+") if text.startswith(p)), "")
                    address = web(text.removeprefix(kind))
                    text = kind + address if address else ""
                if text:
                    kept.append(f"{key} = {toml_string(text)}")
            if kept:
                lines += [f"[{section}.{toml_string(name)}]", *kept]
    return "".join(f"{line}\n" for line in lines)
