from __future__ import annotations

import tomllib

from continue_exec.network.sources import pip, uv
from tests.unit.network.sources.conftest import FolderHost, hosts


def test_no_uv_no_question(host: FolderHost) -> None:
    assert uv.read(host).urls == []


def test_default_is_pips(host: FolderHost) -> None:
    host.tool("uv", "exit 1")
    assert uv.read(host).urls == pip.defaults(host)


def test_files_and_variables(host: FolderHost) -> None:
    host.write(
        ".config/uv/uv.toml",
        'find-links = ["https://l.corp", "/opt/w"]\n[[index]]\nurl = "https://u:p@a.corp/s"\n'
        '[[index]]\nurl = "https://d.corp/s"\ndefault = true\n[pip]\nextra-index-url = ["https://e.corp"]\n',
    )
    host.env = {**host.env, "UV_INDEX": "mine=https://b.corp/s https://c.corp/s?x=y"}
    found = uv.read(host)
    assert hosts(found) == {"l.corp", "a.corp", "d.corp", "e.corp", "b.corp", "c.corp"}
    carried = tomllib.loads(found.files["/etc/uv/uv.toml"])
    assert carried["find-links"] == ["https://l.corp"]
    assert {"url": "https://d.corp/s", "default": True} in carried["index"]
    assert {"url": "https://a.corp/s"} in carried["index"]
