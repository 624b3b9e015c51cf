"""What the engine holds towards one sandbox: its way out and the connection to its agent. Made while the sandbox boots,
since both take as long as a program's start inside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from ..agent.connection import AgentConnection
from ..drivers.base import SandboxSpec
from ..errors import SandboxLost
from ..network.proxy import Decision, EgressProxy
from ..tasks import Tasks
from .networks import Networks

BOOT_S = 90.0
"""How long an agent may take that is rung while its sandbox boots: longer than any driver lets a boot take, as it is
the driver that says why one failed."""


class Opening:
    """Both, being made. `ring` it once; then `take` what was made, or `close` it."""

    def __init__(self, spec: SandboxSpec, networks: Networks) -> None:
        self.decided: Callable[[Decision], None] | None = None
        """Told what became of each request, once it is set."""
        self.spec = spec
        self._networks = networks
        self._tasks = Tasks("opening")
        self._egress: EgressProxy | None = None
        self._agent: asyncio.Task[AgentConnection] | None = None

    def ring(self, doorbell: Path, timeout_s: float = BOOT_S) -> None:
        """Begin. The sandbox may still be booting."""
        self._agent = self._tasks.spawn(self.spec.sandbox_id, self._open(doorbell, timeout_s))

    async def take(self, doorbell: Path, timeout_s: float = 10.0) -> tuple[EgressProxy, AgentConnection]:
        """What was made; they are the caller's to close now. `doorbell`: rung now if nobody has.

        Raises:
            HostUnready, SandboxLost, VersionMismatch: as AgentConnection.open.
        """
        if self._agent is None:
            self.ring(doorbell, timeout_s)
        assert self._agent is not None
        try:
            async with asyncio.timeout(timeout_s):
                agent = await asyncio.shield(self._agent)
        except TimeoutError:
            raise SandboxLost(
                f"The sandbox's agent did not answer within {timeout_s:g} s of its boot.",
                hint="Stop the sandbox and run again; its log says more.",
            ) from None
        egress, self._egress, self._agent = self._egress, None, None
        assert egress is not None
        return egress, agent

    async def close(self) -> None:
        """Let go of what nobody took. Idempotent."""
        await self._tasks.close()
        if self._agent is not None and not self._agent.cancelled() and self._agent.exception() is None:
            await self._agent.result().close()
        if self._egress is not None:
            await self._egress.close()
        self._agent = self._egress = None

    async def _open(self, doorbell: Path, timeout_s: float) -> AgentConnection:
        self._egress = await self._networks.open(self.spec.sockets / "egress.sock", self._told)
        return await AgentConnection.open(doorbell, self.spec.sockets, timeout_s=timeout_s)

    def _told(self, decision: Decision) -> None:
        if self.decided is not None:
            self.decided(decision)
