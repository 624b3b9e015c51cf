"""What the host is configured for, put together: the rules of the default allowlist, and what is carried inside.

Reading takes up to a few seconds the first time (tools are started, indexes asked) and milliseconds after that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ..tasks import Tasks
from .host import Host
from .policy import Rule
from .sources import apt, cargo, git, go, npm, pip, uv
from .sources.base import Found

log = logging.getLogger(__name__)

READERS: tuple[Callable[[Host], Found], ...] = (pip.read, uv.read, npm.read, cargo.read, go.read, apt.read, git.read)

REREAD_S = 600.0
"""Between looks for changed files; a look costs about as many stat calls as there are files."""
RETRY_S = 60.0
"""After a question stayed without an answer (no network yet)."""


@dataclass(frozen=True)
class HostNetwork:
    """What the host's package managers and git are configured for. Without credentials."""

    rules: tuple[Rule, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    """Path inside → text."""
    env: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    """Questions without an answer, in words; they are asked again."""


def read_host(host: Host) -> HostNetwork:
    """Ask everything, in parallel. Blocks; a source that fails is logged and left out."""
    host.failed.clear()
    with ThreadPoolExecutor(len(READERS), thread_name_prefix="host-network") as threads:
        found = [each for each in threads.map(lambda reader: _read(reader, host), READERS) if each is not None]
    files: dict[str, str] = {}
    env: dict[str, str] = {}
    for each in found:
        files |= each.files
        env |= each.env
    rules = tuple(dict.fromkeys(rule for each in found for rule in each.rules()))
    return HostNetwork(rules, files, env, tuple(host.failed))


def _read(reader: Callable[[Host], Found], host: Host) -> Found | None:
    try:
        return reader(host)
    except Exception:
        # A file nobody foresaw must not cost the others their network.
        log.exception("reading the host's configuration: %s failed", reader.__module__)
        return None


class HostWatch:
    """Keeps a `HostNetwork` up to date. `start`, then `close`.

    `on_change` is called on the event loop with each new reading that differs from the last.
    """

    def __init__(self, host: Host, on_change: Callable[[HostNetwork], None] = lambda network: None) -> None:
        self.host = host
        self.current = HostNetwork()
        self._on_change = on_change
        self._tasks = Tasks("host-network")
        self._settled = asyncio.Event()

    async def start(self) -> None:
        """Begin reading, in the background."""
        self._tasks.spawn("read", self._run())

    async def settled(self) -> HostNetwork:
        """The first complete look at the host, as soon as there is one."""
        await self._settled.wait()
        return self.current

    async def close(self) -> None:
        """Stop."""
        await self._tasks.close()

    async def _run(self) -> None:
        while True:
            found = await asyncio.to_thread(read_host, self.host)
            if found != self.current:
                self.current = found
                self._on_change(found)
            self._settled.set()
            for question in found.missing:
                log.info("the host's network configuration is incomplete: %s", question)
            await asyncio.sleep(RETRY_S if found.missing else REREAD_S)
