from __future__ import annotations

import tomllib

from continue_exec.network.sources import cargo
from tests.unit.network.sources.conftest import FolderHost, hosts


def test_default_from_where_cargo_wants_to_go(host: FolderHost) -> None:
    host.env = {**host.env, "PATH": f"{host.env['PATH']}:/usr/bin:/bin"}
    # Stands in for cargo: goes through the proxy it is given, as curl inside cargo does.
    host.tool(
        "cargo",
        """exec python3 -c "
import os, socket
host, port = os.environ['CARGO_HTTP_PROXY'].rpartition('/')[2].split(':')
s = socket.create_connection((host, int(port)))
s.sendall(b'CONNECT index.corp:443 HTTP/1.1\\r\\n\\r\\n')
assert b'403' in s.recv(100)
" """,
    )
    host.fetched["https://index.corp/config.json"] = (
        "",
        '{"dl": "https://dl.corp/crates", "api": "https://api.corp"}',
    )
    assert hosts(cargo.read(host)) == {"index.corp", "dl.corp", "api.corp"}


def test_configured(host: FolderHost) -> None:
    host.write(
        ".cargo/config.toml",
        '[source.crates-io]\nreplace-with = "m"\n[source.m]\nregistry = "sparse+https://u:p@m.corp/index/"\n'
        '[source.local]\ndirectory = "/opt/crates"\n'
        '[registries.own]\nindex = "https://git.corp/index.git"\ntoken = "secret"\n[http]\nproxy = "secret"\n',
    )
    host.env = {**host.env, "CARGO_REGISTRIES_MORE_INDEX": "sparse+https://more.corp/"}
    host.tool("cargo", "exit 1")
    found = cargo.read(host)
    assert hosts(found) == {"m.corp", "git.corp", "more.corp"}
    assert tomllib.loads(found.files[cargo.CONFIG]) == {
        "source": {"crates-io": {"replace-with": "m"}, "m": {"registry": "sparse+https://m.corp/index/"}},
        "registries": {
            "own": {"index": "https://git.corp/index.git"},
            "more": {"index": "sparse+https://more.corp/"},
        },
    }


def test_none(host: FolderHost) -> None:
    host.write(".cargo/config.toml", "not toml [")
    assert cargo.read(host).urls == []
