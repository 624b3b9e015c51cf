"""Fails a test in which one step of the event loop took too long: everything else on that loop stood still."""

from __future__ import annotations

import asyncio
import gc
import reprlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LIMIT_SECONDS = 0.25
"""A person notices a tenth of a second in a terminal; the rest is room for a busy machine."""


class Watch:
    """Steps that blocked the loop, in words."""

    def __init__(self) -> None:
        self.blocked: list[str] = []


def _waited_for_cpu() -> float:
    """Seconds that this thread was ready to run but had no CPU (/proc/PID/schedstat, second field)."""
    try:
        with open(f"/proc/self/task/{threading.get_native_id()}/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


@contextmanager
def watch() -> Iterator[Watch]:
    """Time every step of every loop of this process. A busy machine is not a blocked loop, nor is the garbage of two
    thousand tests: time spent waiting for a CPU, or collecting, is taken off."""
    found = Watch()
    original = asyncio.Handle._run
    state = {"waited": _waited_for_cpu(), "collecting": 0.0, "since": 0.0}

    def collected(phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            state["since"] = time.perf_counter()
        else:
            state["collecting"] += time.perf_counter() - state["since"]

    def timed(handle: asyncio.Handle) -> None:
        began, collecting = time.perf_counter(), state["collecting"]
        original(handle)
        took = time.perf_counter() - began - (state["collecting"] - collecting)
        if took > LIMIT_SECONDS:
            waited = _waited_for_cpu()
            took -= waited - state["waited"]
            state["waited"] = waited
            if took > LIMIT_SECONDS:
                found.blocked.append(f"{took:.2f} s in {reprlib.repr(handle)}")

    asyncio.Handle._run = timed  # type: ignore[method-assign]
    gc.callbacks.append(collected)
    try:
        yield found
    finally:
        gc.callbacks.remove(collected)
        asyncio.Handle._run = original  # type: ignore[method-assign]
