from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.command_line import Terminal
from tests.support.local_engine_fixtures import engine, place  # noqa: F401


@pytest.fixture
async def terminal() -> AsyncIterator[Terminal]:
    terminal = Terminal(rows=30, cols=100)
    yield terminal
    await terminal.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests start processes; a fork of the tests' own, large process on a busy machine takes long."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.may_block("forks"))
