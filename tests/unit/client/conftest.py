"""A stand-in engine at the place where the client looks, and a client of it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from local_engine import LocalEngine

from continue_exec.client import Client


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A private, short folder (sun_path) for sockets and state."""
    folder = Path(tempfile.mkdtemp(prefix="ce-"))
    monkeypatch.setenv("CONTINUE_EXEC_RUNTIME_DIR", str(folder / "run"))
    monkeypatch.setenv("CONTINUE_EXEC_HOME", str(folder / "home"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def engine(place: Path) -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(place / "run" / "engine.sock")
    await engine.start()
    yield engine
    await engine.close()


@pytest.fixture
async def client(engine: LocalEngine) -> AsyncIterator[Client]:
    async with Client(start_engine=False) as client:
        yield client
