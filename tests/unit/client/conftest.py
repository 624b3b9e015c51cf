from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from local_engine import LocalEngine
from local_engine_fixtures import engine, place  # noqa: F401

from continue_exec.client import Client


@pytest.fixture
async def client(engine: LocalEngine) -> AsyncIterator[Client]:  # noqa: F811
    async with Client(start_engine=False) as client:
        yield client
