from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from continue_exec.client import Client
from tests.support.local_engine import LocalEngine
from tests.support.local_engine_fixtures import engine, place  # noqa: F401


@pytest.fixture
async def client(engine: LocalEngine) -> AsyncIterator[Client]:  # noqa: F811
    async with Client(start_engine=False) as client:
        yield client


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The stand-in runs commands on the test's own loop; a fork of this large process takes long on a busy machine."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.may_block("forks"))
