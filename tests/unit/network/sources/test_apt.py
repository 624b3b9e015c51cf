from __future__ import annotations

from continue_exec.network.sources import apt
from tests.unit.network.sources.conftest import FolderHost, hosts


def test_both_formats(host: FolderHost) -> None:
    host.write(
        "/etc/apt/sources.list",
        "# deb http://no.corp x\ndeb [arch=amd64 signed-by=/k] https://a.corp/x stable main\n"
        "deb-src http://b.corp x y\n",
    )
    host.write("/etc/apt/sources.list.d/x.list", "deb cdrom:[x]/ y z\ndeb mirror+http://m.corp/list x y\n")
    host.write(
        "/etc/apt/sources.list.d/y.sources",
        "Types: deb\n# words\nURIs: http://c.corp/debian\n http://d.corp/debian\nSuites: x\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://off.corp/\n",
    )
    host.write("/etc/apt/sources.list.d/z.list.disabled", "deb http://disabled.corp x\n")
    found = apt.read(host)
    assert hosts(found) == {"a.corp", "b.corp", "m.corp", "c.corp", "d.corp"}
    assert found.files == {}
