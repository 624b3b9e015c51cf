"""Each sandbox's way out: policy from settings and from what the host is configured for; refusals are told in words."""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from collections.abc import Callable
from pathlib import Path

from ..config import Settings
from ..network.carry import Carried, carry
from ..network.host import Host
from ..network.hosts import HostNetwork, HostWatch
from ..network.policy import EgressPolicy, Rule
from ..network.proxy import Decision, EgressProxy
from ..network.resolve import SystemResolver
from ..network.upstream import Upstream
from ..protocol.agent import PushEntry, PushItem

log = logging.getLogger(__name__)

FIRST_READING_S = 2.0
"""A new sandbox waits this long for the first reading of the host's configuration (cached: milliseconds), as its
package managers' files come from it; without them they still work with their own defaults."""


class Networks:
    """What all sandboxes' ways out have in common."""

    def __init__(self, settings: Settings, home: Path) -> None:
        self.settings = settings
        self._user = [Rule.parse(text) for text in settings.allow]
        self._watch = HostWatch(Host(cache=home / "host-network.json"), self._changed)
        self._resolver = SystemResolver()
        self._upstream = Upstream.from_env(os.environ)
        self._proxies: weakref.WeakSet[EgressProxy] = weakref.WeakSet()

    async def start(self) -> None:
        """Begin to read the host's configuration, in the background."""
        await self._watch.start()

    async def close(self) -> None:
        """End all of it."""
        await self._watch.close()
        self._resolver.close()

    async def open(self, path: Path, on_decision: Callable[[Decision], None]) -> EgressProxy:
        """Listen at `path` for one sandbox. `on_decision` is told what became of each request."""
        proxy = EgressProxy(
            path,
            self._policy(self._watch.current),
            resolver=self._resolver,
            on_decision=on_decision,
            upstream=self._upstream,
            settled=self._watch.settled,
        )
        await proxy.start()
        self._proxies.add(proxy)
        return proxy

    def _policy(self, network: HostNetwork) -> EgressPolicy:
        return EgressPolicy(self.settings.egress, (*self._user, *network.rules))

    def _changed(self, network: HostNetwork) -> None:
        for proxy in self._proxies:
            proxy.set_policy(self._policy(network))

    async def carried(self) -> Carried:
        """What of the host's package configuration belongs inside; without credentials."""
        try:
            async with asyncio.timeout(FIRST_READING_S):
                await self._watch.settled()
        except TimeoutError:
            log.warning("the host's package configuration is not known yet; a new sandbox starts without it")
        return carry(self._watch.current)


def files_of(carried: Carried) -> list[PushItem]:
    """The carried files as records of a push to `/`."""
    items = []
    for path, text in carried.files.items():
        data = text.encode()
        items.append(PushItem(PushEntry(path=path.lstrip("/"), kind="file", size=len(data)), data))
    return items
