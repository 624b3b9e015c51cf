from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from continue_exec.network import hosts
from continue_exec.network.host import Host
from continue_exec.network.hosts import HostNetwork, HostWatch, read_host
from continue_exec.network.sources.base import Found


def bare(folder: Path) -> Host:
    """A host without tools or files."""
    return Host(env={"PATH": str(folder / "bin")}, home=folder / "home", root=folder / "root")


def test_the_sources_are_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def one(host: Host) -> Found:
        return Found("one", ["https://a.corp/x", "https://a.corp/y"], {"/etc/one": "1"}, {"ONE": "1"})

    def two(host: Host) -> Found:
        host.failed.append("no answer")
        return Found("two", ["http://b.corp:8080", "http://localhost:3000", "nonsense"], {"/etc/two": "2"})

    def broken(host: Host) -> Found:
        raise ValueError("unforeseen")

    monkeypatch.setattr(hosts, "READERS", (one, broken, two))
    found = read_host(bare(tmp_path))
    assert [(str(rule), rule.origin) for rule in found.rules] == [("a.corp", "one"), ("b.corp:8080", "two")]
    assert (found.files, found.env) == ({"/etc/one": "1", "/etc/two": "2"}, {"ONE": "1"})
    assert found.missing == ("no answer",)


def test_this_very_host_can_be_read(tmp_path: Path) -> None:
    """Whatever is configured here: it is read without an error, and nothing of it is a credential."""
    found = read_host(Host(cache=tmp_path / "cache.json"))
    assert any(rule.origin == "pip" for rule in found.rules), "pip is always there: this project was installed by it"
    for text in (*found.files.values(), *found.env.values()):
        assert "@" not in text.partition("://")[2].partition("/")[0]


async def test_watching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([HostNetwork(missing=("x",)), HostNetwork(env={"A": "1"}), HostNetwork(env={"A": "1"})])
    last = asyncio.Event()
    loop = asyncio.get_running_loop()

    def reading(host: Host) -> HostNetwork:
        try:
            return next(readings)
        except StopIteration:
            loop.call_soon_threadsafe(last.set)
            return HostNetwork(env={"A": "1"})

    monkeypatch.setattr(hosts, "read_host", reading)
    monkeypatch.setattr(hosts, "RETRY_S", 0)
    monkeypatch.setattr(hosts, "REREAD_S", 0)
    seen: list[HostNetwork] = []
    watch = HostWatch(bare(tmp_path), seen.append)
    await watch.start()
    assert (await watch.settled()) == watch.current
    async with asyncio.timeout(10):
        await last.wait()
    await watch.close()
    assert seen == [HostNetwork(missing=("x",)), HostNetwork(env={"A": "1"})]
