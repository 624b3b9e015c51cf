"""Fixtures of the stand-in engine, for the conftests of the client and of the CLI."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.local_engine import LocalEngine


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
    """The stand-in, at the place where doors look."""
    engine = LocalEngine(place / "run" / "engine.sock")
    await engine.start()
    yield engine
    await engine.close()
