from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from continue_exec import config
from continue_exec.engine import networks
from continue_exec.engine.networks import Networks, files_of
from continue_exec.network.carry import Carried
from continue_exec.network.hosts import HostNetwork
from continue_exec.network.policy import Rule
from continue_exec.network.proxy import Decision


@pytest.fixture
async def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Networks]:
    network = HostNetwork(rules=(Rule.parse("mirror.example.com", origin="pip"),), env={"PIP_INDEX_URL": "https://m/"})
    monkeypatch.setattr("continue_exec.network.hosts.read_host", lambda host: network)
    made = Networks(config.load(allow=("api.example.com:8443",)), tmp_path)
    yield made
    await made.close()


async def test_policy_is_the_users_and_the_hosts_and_changes_when_known(opened: Networks) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="cx-") as folder:
        proxy = await opened.open(Path(folder) / "egress.sock", lambda decision: None)
        assert proxy.policy.allows("api.example.com", 8443)
        assert not proxy.policy.allows("mirror.example.com", 443), "the host has not been read yet"
        await opened.start()
        assert (await opened.carried()).env["PIP_INDEX_URL"] == "https://m/"
        assert proxy.policy.allows("mirror.example.com", 443)
        assert not proxy.policy.allows("elsewhere.example.com", 443)
        await proxy.close()


async def test_refusals_are_told(opened: Networks) -> None:
    refused: list[Decision] = []
    await opened.start()
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="cx-") as folder:
        proxy = await opened.open(Path(folder) / "egress.sock", refused.append)
        reader, writer = await asyncio.open_unix_connection(Path(folder) / "egress.sock")
        writer.write(b"CONNECT elsewhere.example.com:443 HTTP/1.1\r\nHost: elsewhere.example.com:443\r\n\r\n")
        assert b" 403 " in await reader.readline()
        writer.close()
        await writer.wait_closed()
        await proxy.close()
    assert [(d.host, d.port, d.allowed) for d in refused] == [("elsewhere.example.com", 443, False)]


async def test_a_slow_host_does_not_hold_a_sandbox_up(
    opened: Networks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(networks, "FIRST_READING_S", 0.01)
    await opened.carried()
    assert "not known yet" in caplog.text


def test_carried_files_become_records() -> None:
    (item,) = files_of(Carried(files={"/etc/pip.conf": "ü"}))
    assert (item.entry.path, item.entry.size, item.data) == ("etc/pip.conf", 2, "ü".encode())
