"""A sandbox's processes on the host: found by the state folder they were given, ended by pidfd.

They are found in /proc and not in runsc's state file: that file may be missing (a start that was killed),
stale (a reboot) or of another version; the command line of sentry and gofer always names `--root=STATE`.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from ...errors import SandboxFailed

END_TIMEOUT_S = 30.0
"""After SIGKILL. It takes 10 ms; a machine with a load of fifty on two cores needed more than 10 s. Only a process
stuck in the kernel (a dead network disk) takes longer."""


@dataclass(frozen=True)
class HostProcess:
    """A process, safe from reuse of its number."""

    pid: int
    started: int
    """Field 22 of /proc/PID/stat: clock ticks after boot (proc(5))."""

    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        return start_time(self.pid) == self.started

    def send(self, number: signal.Signals) -> None:
        """Signal it; nothing happens if it has ended."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            # The descriptor holds the number: it cannot be another process's any more.
            if self.alive():
                signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            pass
        finally:
            os.close(descriptor)


def boot_id() -> str:
    """Changes with every boot of the host."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> int | None:
    """When `pid` started, in clock ticks after boot; None if there is no such process, or only its zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The second field is the command in parentheses and may itself contain any byte.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def find(state: Path) -> list[HostProcess]:
    """Every process of ours that was started with `--root=state`: launcher, runsc, gofer, sentry."""
    wanted = f"--root={state}".encode()
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            with open(f"/proc/{entry.name}/cmdline", "rb") as file:
                arguments = file.read().split(b"\0")
        except OSError:
            continue
        if wanted in arguments and (started := start_time(int(entry.name))) is not None:
            found.append(HostProcess(int(entry.name), started))
    return found


def _kill(processes: list[HostProcess]) -> list[int]:
    """SIGKILL all of them; descriptors (pidfd_open(2)) that become readable as each ends.

    A process of another user that merely names our folder is left alone: the kernel refuses.
    """
    descriptors = []
    for process in processes:
        try:
            descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:
            continue
        # Between the two looks the number cannot be reused, because the descriptor holds it.
        if not process.alive():
            os.close(descriptor)
            continue
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        except PermissionError:
            os.close(descriptor)
            continue
        except ProcessLookupError:
            pass
        descriptors.append(descriptor)
    return descriptors


def _end(state: Path) -> None:
    deadline = time.monotonic() + END_TIMEOUT_S
    # Again until none is left: a runsc that is just starting may have forked after we looked.
    while processes := find(state):
        descriptors = _kill(processes)
        if not descriptors:
            return
        try:
            for descriptor in descriptors:
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                    pids = ", ".join(str(process.pid) for process in processes)
                    raise SandboxFailed(
                        f"Processes {pids} of the sandbox did not end within {END_TIMEOUT_S:.0f} s of SIGKILL",
                        hint="They wait for the kernel, usually for a disk: see `cat /proc/PID/stack` as root.",
                    )
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


async def end(state: Path) -> None:
    """SIGKILL every process of the sandbox and wait until they are gone. None there is success.

    Raises:
        SandboxFailed: one did not end.
    """
    await asyncio.to_thread(_end, state)
