from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from continue_exec import app
from continue_exec.store.locks import FileLock


@pytest.fixture
def places() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="cx-") as folder:
        yield {
            **os.environ,
            "CONTINUE_EXEC_HOME": f"{folder}/home",
            "CONTINUE_EXEC_RUNTIME_DIR": f"{folder}/run",
            "CONTINUE_EXEC_CONFIG": f"{folder}/config.toml",
        }


def start(places: dict[str, str]) -> tuple[subprocess.Popen[bytes], bytes]:
    """An engine, and the line it says."""
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "continue_exec.app", "--ready-fd", str(writing)], env=places, pass_fds=(writing,)
    )
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        return process, pipe.readline()


def test_an_engine_says_ready_serves_and_cleans_up(places: dict[str, str]) -> None:
    process, line = start(places)
    socket = Path(places["CONTINUE_EXEC_RUNTIME_DIR"]) / "engine.sock"
    assert line == b"ready\n" and socket.is_socket()
    second, said = start(places)
    assert (said, second.wait(20)) == (b"already\n", 0)
    process.terminate()
    assert process.wait(20) == 0
    assert not socket.exists()


def test_what_stands_in_its_way_is_said_in_words(places: dict[str, str]) -> None:
    Path(places["CONTINUE_EXEC_CONFIG"]).write_text("colour = 1")
    process, line = start(places)
    assert process.wait(20) == 1
    body = json.loads(line)
    assert body["code"] == "invalid_request" and "colour" in body["message"] and body["hint"]


def test_a_line_is_said_once() -> None:
    reading, writing = os.pipe()
    ready = app.Ready(writing)
    ready.say("ready")
    ready.say("never")
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"ready\n"
    app.Ready(None).say("nobody listens")
    reading, writing = os.pipe()
    os.close(reading)
    app.Ready(writing).say("the door is gone")


def test_the_lock_is_the_homes(places: dict[str, str]) -> None:
    home = Path(places["CONTINUE_EXEC_HOME"])
    home.mkdir(parents=True, mode=0o700)
    lock = FileLock(home / "engine.lock")
    assert lock.acquire()
    process, line = start(places)
    assert (line, process.wait(20)) == (b"already\n", 0)
    lock.release()
