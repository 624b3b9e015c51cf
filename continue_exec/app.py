"""Composition root: wires one engine together and runs it. `python -m continue_exec.app --ready-fd N`.

Start: take the lock, open the state, adopt what an earlier engine left, listen, say `ready` on the pipe.
End: by a signal, by `engine.stop`, or when idle; sandboxes and their runs go on and are adopted by the next.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import platform
import resource
import signal
import sys
from pathlib import Path

from . import __version__, config, paths
from .doors.http import HttpDoor
from .drivers.runsc import RunscDriver
from .engine import idle
from .engine.engine import Engine
from .engine.folders import Folders
from .errors import ContinueExecError, InternalError
from .store.ballast import Ballast
from .store.locks import FileLock
from .store.state import State
from .tasks import Tasks

log = logging.getLogger("continue_exec")

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
SOCKET_CHECK_S = 5.0
"""How soon an engine whose socket was deleted (a log-out removes XDG_RUNTIME_DIR) makes it anew."""


def agent_binary() -> Path:
    """The agent for this machine, as packaged (scripts/build-agent makes it in a checkout)."""
    arch = ARCHITECTURES.get(platform.machine(), platform.machine())
    return Path(__file__).parent / "_bin" / f"agent-linux-{arch}"


def build() -> Engine:
    """One engine on this user's folders, not yet listening.

    Raises:
        InvalidRequest: a setting is wrong.
        HostUnready: the folders or the state file cannot be used.
    """
    settings = config.load()
    folders = Folders(home=paths.private(paths.home()), runtime=paths.private(paths.runtime()), agent=agent_binary())
    driver = RunscDriver(runsc=settings.runsc)
    ballast = Ballast(folders.ballast)
    state = State(folders.state, make_room=ballast.drop)
    ballast.lay()
    return Engine(
        settings=settings,
        folders=folders,
        driver=driver,
        state=state,
        ballast=ballast,
        socket=str(paths.engine_socket()),
    )


async def serve(ready: Ready) -> None:
    """Run until told to end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    engine = build()
    engine.on_stop = stop.set
    door = HttpDoor(engine)
    tasks = Tasks("engine")
    try:
        await engine.adopt()
        await door.listen(paths.engine_socket())
        log.info("engine %s listens at %s, pid %d", __version__, engine.socket, os.getpid())
        ready.say("ready")
        tasks.spawn("idle", _end_when_idle(engine, stop))
        tasks.spawn("socket", _keep_socket(door, paths.engine_socket()))
        await stop.wait()
        log.info("engine ends")
    finally:
        await tasks.close()
        await door.close()
        await engine.close()
        paths.engine_socket().unlink(missing_ok=True)


async def _end_when_idle(engine: Engine, stop: asyncio.Event) -> None:
    await idle.watch(engine)
    log.info("nobody needs the engine")
    stop.set()


async def _keep_socket(door: HttpDoor, path: Path) -> None:
    while True:
        await asyncio.sleep(SOCKET_CHECK_S)
        if not path.exists():
            log.warning("%s is gone; making it anew", path)
            paths.private(path.parent)
            await door.close()
            await door.listen(path)


class Ready:
    """The pipe to the door that started us: takes one line, once."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd

    def say(self, line: str) -> None:
        """Write the line; later ones are ignored, since the door has heard what it waited for."""
        fd, self._fd = self._fd, None
        if fd is None:
            return
        try:
            os.write(fd, line.encode() + b"\n")
        except BrokenPipeError:
            pass  # that door gave up; others may come
        finally:
            os.close(fd)


def main() -> int:
    """Entry of the engine's process."""
    parser = argparse.ArgumentParser(prog="continue_exec.app", description="The engine. Doors start it by themselves.")
    parser.add_argument("--ready-fd", type=int, help="file descriptor that gets one line: ready, already, or an error")
    ready = Ready(parser.parse_args().ready_fd)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    os.umask(0o077)
    # Each run holds a few descriptors, each connection of a sandbox two; the soft limit is often 1024.
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    try:
        lock = FileLock(paths.private(paths.home()) / "engine.lock")
        if not lock.acquire():
            ready.say("already")
            return 0
        asyncio.run(serve(ready))
    except ContinueExecError as error:
        log.error("%s %s", error.message, error.hint)
        ready.say(json.dumps(error.to_wire()))
        return 1
    except Exception as error:
        log.exception("the engine failed")
        ready.say(json.dumps(InternalError(f"The engine failed: {error}").to_wire()))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
