"""The agent as a plain process of this host, without isolation: for tests of what stands above a driver.

It cannot be chosen in settings. Paths inside are the host's own: push, read and exec touch the real files.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from pathlib import Path

from ..errors import NotSupported, SandboxFailed
from .base import Bell, Capability, Check, Fill, Machine, SandboxSpec
from .runsc.processes import HostProcess, start_time

STOP_TIMEOUT_S = 5.0
"""For the agent to end its runs and itself after SIGTERM, before it is killed."""

NAME = "fake"
DOORBELL, LOG, PROCESS = "doorbell", "agent.log", "process"


class FakeDriver:
    """Satisfies `Driver`. Files of a boot: `doorbell`, `agent.log`, `process` (its number and start time)."""

    name = NAME

    async def check(self) -> list[Check]:
        """Nothing is needed but the agent's binary, which is named only when a sandbox is started."""
        return [Check("isolation", "warning", "none: runs are processes of this host", "Use the driver `runsc`.")]

    def capabilities(self) -> frozenset[Capability]:
        """As little as the engine can do with."""
        return frozenset({Capability.PAUSE, Capability.WORKSPACE_FILES})

    async def start(
        self, spec: SandboxSpec, fill: Fill | None = None, bell: Bell | None = None, memory: Path | None = None
    ) -> Machine:
        """Start the agent, or find it running. It is a child of nobody in particular: it outlives the engine. There is
        nothing to fill, as its files are the host's own."""
        if (machine := await self.connect(spec)) is not None:
            return machine
        for folder in (spec.folder, spec.sockets, spec.workspace, spec.folder / "home"):
            folder.mkdir(parents=True, exist_ok=True)
        log = spec.folder / LOG
        (spec.folder / DOORBELL).unlink(missing_ok=True)
        os.mkfifo(spec.folder / DOORBELL, 0o600)
        try:
            pid = _spawn(spec, self._env(spec))
        except OSError as error:
            raise SandboxFailed(
                f"The agent {spec.agent} cannot be started: {error.strerror}.",
                hint="Build it with `scripts/build-agent`.",
                data={"log": str(log)},
            ) from None
        (spec.folder / PROCESS).write_text(f"{pid} {start_time(pid)}")
        return self._machine(spec, pid)

    async def connect(self, spec: SandboxSpec) -> Machine | None:
        """The machine, if its process lives."""
        process = _process(spec)
        if process is None:
            return None
        process.send(signal.SIGCONT)
        return self._machine(spec, process.pid)

    def workspace_files(self, spec: SandboxSpec) -> tuple[Path, str]:
        """The workspace inside is the host's own: nothing ever differs."""
        return spec.workspace, ""

    async def save_memory(self, spec: SandboxSpec, image: Path) -> None:
        """Not here: the agent is a plain process."""
        raise NotSupported("The fake driver cannot save memory")

    async def copy(self, spec: SandboxSpec, other: SandboxSpec) -> None:
        """Not here, for the same reason."""
        raise NotSupported("The fake driver has no files to copy")

    def move(self, spec: SandboxSpec, other: SandboxSpec) -> None:
        """Not here."""
        raise NotSupported("The fake driver has no files to move")

    def files(self, spec: SandboxSpec) -> dict[str, tuple[int, ...]]:
        """Not here."""
        raise NotSupported("The fake driver has no files of its own")

    def pause(self, spec: SandboxSpec) -> None:
        """Stop the agent; its runs go on."""
        if (process := _process(spec)) is not None:
            process.send(signal.SIGSTOP)

    def resume(self, spec: SandboxSpec) -> None:
        """Let it go on."""
        if (process := _process(spec)) is not None:
            process.send(signal.SIGCONT)

    async def stop(self, spec: SandboxSpec) -> None:
        """End the agent, which ends its runs; kill it if it does not."""
        self.resume(spec)
        if (process := _process(spec)) is not None:
            descriptor = os.pidfd_open(process.pid)
            try:
                for number in (signal.SIGTERM, signal.SIGKILL):
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(descriptor, number)
                    if await _ended(descriptor):
                        break
            finally:
                os.close(descriptor)
            _reap(process.pid)
        (spec.folder / PROCESS).unlink(missing_ok=True)

    async def destroy(self, spec: SandboxSpec) -> None:
        """Stop, then delete what is in the sandbox's folder. The workspace is the host's own and stays."""
        await self.stop(spec)
        await asyncio.to_thread(shutil.rmtree, spec.folder, ignore_errors=True)

    def _machine(self, spec: SandboxSpec, pid: int) -> Machine:
        env = {name: value for name, value in self._env(spec).items() if name != "CONTINUE_EXEC_FAKE"}
        return Machine(
            sandbox_id=spec.sandbox_id,
            doorbell=spec.folder / DOORBELL,
            log=spec.folder / LOG,
            env=env,
            isolation="none",
            rootless=os.geteuid() != 0,
            pid=pid,
        )

    @staticmethod
    def _env(spec: SandboxSpec) -> dict[str, str]:
        # The last one names the folder, so that a process left behind can be traced to its sandbox.
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": os.fspath(spec.folder / "home"),
            "LANG": "C.UTF-8",
            "CONTINUE_EXEC_FAKE": os.fspath(spec.folder),
        }


def _spawn(spec: SandboxSpec, env: dict[str, str]) -> int:
    """The agent's process number. Not by subprocess: its object would have to live as long as the process."""
    return os.posix_spawn(
        spec.agent,
        [os.fspath(spec.agent), "--sockets", os.fspath(spec.sockets), "--egress-port", "0"],
        env,
        file_actions=[
            # Read and write, so that the doorbell has a writer also while no engine is there.
            (os.POSIX_SPAWN_OPEN, 0, os.fspath(spec.folder / DOORBELL), os.O_RDWR, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.fspath(spec.folder / LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _reap(pid: int) -> None:
    """Take the exit of an ended child; it is none of ours if an earlier engine started it."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _process(spec: SandboxSpec) -> HostProcess | None:
    """The agent, if it lives."""
    try:
        pid, started = Path(spec.folder / PROCESS).read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    process = HostProcess(int(pid), int(started) if started.isdigit() else -1)
    return process if process.alive() else None


async def _ended(descriptor: int) -> bool:
    """Whether the process of a pidfd ends in time; the descriptor becomes readable when it does (pidfd_open(2))."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await ended.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
    return True
