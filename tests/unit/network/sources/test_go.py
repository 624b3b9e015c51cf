from __future__ import annotations

from continue_exec.network.sources import go
from tests.unit.network.sources.conftest import FolderHost, hosts


def test_defaults_from_go_itself(host: FolderHost) -> None:
    host.tool("go", """echo '{"GOPROXY": "https://p.corp,direct", "GOSUMDB": "s.corp"}'""")
    found = go.read(host)
    assert hosts(found) == {"p.corp", "s.corp"}
    assert found.env == {}


def test_what_the_user_has_set_is_carried(host: FolderHost) -> None:
    host.write(".config/go/env", "GOSUMDB=sum.corp+033de https://sums.corp/x\nGOFLAGS=-mod=mod\n")
    host.env = {**host.env, "GOPROXY": "https://u:p@a.corp|https://b.corp,direct"}
    found = go.read(host)
    assert hosts(found) == {"a.corp", "b.corp", "sums.corp"}
    assert found.env == {
        "GOPROXY": "https://a.corp|https://b.corp,direct",
        "GOSUMDB": "sum.corp+033de https://sums.corp/x",
    }


def test_off(host: FolderHost) -> None:
    host.env = {**host.env, "GOPROXY": "off", "GOSUMDB": "off"}
    assert go.read(host).urls == []
