from __future__ import annotations

import pytest

from continue_exec.protocol import versions
from continue_exec.protocol.agent import METHODS


@pytest.mark.parametrize(
    ("own", "peer", "accepted"), [(1, 1, True), (2, 1, True), (3, 1, False), (1, 2, False), (1, 0, False)]
)
def test_own_number_and_the_one_before(own: int, peer: int, accepted: bool) -> None:
    assert versions.accepts(own, peer) is accepted


def test_every_capability_but_adopt_and_streams_is_a_method_or_a_way_of_exec() -> None:
    ways = {"pty", "stdin", "adopt", "egress"}
    assert set(METHODS) >= versions.AGENT_CAPABILITIES - ways
