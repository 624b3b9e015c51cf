"""Protocol numbers and capabilities. Decide on capabilities, never on versions.

A side accepts its own number N and N-1, because a sandbox that outlived an upgrade, or was restored
from memory, still runs the agent it was started with.
"""

from __future__ import annotations

AGENT_PROTOCOL = 1
"""Host ↔ agent."""

ENGINE_PROTOCOL = 1
"""Engine ↔ doors."""

AGENT_CAPABILITIES = frozenset(
    {"exec", "pty", "stdin", "signal", "push", "read", "stat", "list", "watch", "ports", "connect", "egress", "adopt"}
)
"""What this build's agent offers; a host asks `hello` for what the agent at hand offers."""


def accepts(own: int, peer: int) -> bool:
    """Whether a side that speaks `own` can serve a peer that speaks `peer`."""
    return peer in (own, own - 1) and peer >= 1
