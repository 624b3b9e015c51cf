from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from continue_exec.client import Client
from tests.support.local_engine import LocalEngine
from tests.support.local_engine_fixtures import engine, place  # noqa: F401


@pytest.fixture
async def client(engine: LocalEngine) -> AsyncIterator[Client]:  # noqa: F811
    async with Client(start_engine=False) as client:
        yield client
