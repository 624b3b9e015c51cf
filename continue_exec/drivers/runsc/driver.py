"""The runsc driver. One Sandbox is one `runsc run --detach`; all its mounts live in its own mount namespace.

What a sandbox's folder holds:

    upper/ work/ over/   its files (overlay uppers), plain files on the host
    root/ sockets/ host/ mount points, empty as seen from the host
    config.json bell log the bundle, the doorbell, the agent's and runsc's words
    state/               runsc's own state
    machine.json         what was booted (record.py)
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import marshal
import os
import platform
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ... import paths
from ...errors import HostUnready, SandboxFailed
from ..base import Bell, Capability, Check, Fill, Machine, SandboxSpec
from . import bundle, cgroups, copying, failures, layer, locate, memory, processes, record, removal, rootfs
from .places import Places

CONTAINER_ID = "sb"
"""Short, because runsc puts it into the path of its control socket."""

CONFIG = "config.json"
"""Its name is runsc's. Written last, so a sandbox without it has never run."""

MOUNTS = "mounts.json"
"""What the last start was of: the template, and which path inside each folder of `over` belongs to."""

ASIDE = ".old"
"""Ending of a folder's name whose files were replaced (`move`)."""

SUN_PATH = 107
"""Longest path of a Unix socket (unix(7))."""

START_TIMEOUT_S = 60.0
"""For `runsc run`, which takes 0.2 s; a machine that swaps or a cold disk may need much longer."""

LOG_LIMIT = 4 << 20
"""Bytes of log kept at a start; older text is cut then."""

_ARCHITECTURES = ("x86_64", "aarch64")


@dataclass(frozen=True)
class _Prepared:
    """A launch that is ready to go."""

    plan: dict[str, Any]
    config: str
    """Text of config.json; that the file is there tells that the sandbox may have run."""
    places: Places
    record: record.Record


class RunscDriver:
    """Driver `runsc`.

    Args:
        runsc: the binary; None: found on PATH and in the usual places.
        home: where the template's layers are kept; None: paths.home().
        environ: the user's environment, from which toolchains and certificates are found; None: ours.
    """

    name = "runsc"

    def __init__(
        self, runsc: Path | None = None, *, home: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self._explicit = runsc
        self._home = home
        self._environ = dict(os.environ if environ is None else environ)
        self._user = os.geteuid() != 0
        self._cgroups: cgroups.Cgroups | None = None
        self._locks: dict[str, asyncio.Lock] = {}

    async def check(self) -> list[Check]:
        """Every precondition (see `probe`)."""
        from . import probe  # only `doctor` needs it

        host = await asyncio.to_thread(self._limits_of_host)
        return await probe.check(self._explicit, self._data_folder(), host, self._user, self._try)

    def capabilities(self) -> frozenset[Capability]:
        """Limits that can be enforced here. On processes always: gVisor itself does."""
        controllers = self._limits_of_host().controllers
        found = {Capability.LIMIT_PROCESSES, Capability.PAUSE, Capability.FIRST_FILES, Capability.WORKSPACE_FILES}
        found |= {Capability.COPY, Capability.SNAPSHOT_MEMORY, Capability.BINDS}
        if "memory" in controllers:
            found.add(Capability.LIMIT_MEMORY)
        if "cpu" in controllers:
            found.add(Capability.LIMIT_CPU)
        return frozenset(found)

    async def start(
        self, spec: SandboxSpec, fill: Fill | None = None, bell: Bell | None = None, memory: Path | None = None
    ) -> Machine:
        """Boot it, or wake it. See `Driver.start`."""
        async with self._lock(spec):
            await self._tidy(spec)
            await self._end(spec)
            fresh = not (spec.folder / CONFIG).exists()
            if fresh:
                for name in ("upper", "over"):
                    await removal.empty(spec.folder / name)
            helper = await self._spawn(spec)
            try:
                prepared = await asyncio.to_thread(self._prepare, spec, memory)
                if fresh and fill is not None:
                    await fill(prepared.places.folder)
                return await self._launch(spec, helper, prepared, bell)
            except BaseException as error:
                if helper.returncode is None:
                    helper.kill()
                # Shielded: a cancelled start must not leave half a sandbox.
                await asyncio.shield(self._end(spec))
                await helper.wait()
                if isinstance(error, OSError):
                    raise failures.of_os(error, spec.folder) from error
                raise

    async def connect(self, spec: SandboxSpec) -> Machine | None:
        """The machine of an earlier engine, if it is up."""
        found = await asyncio.to_thread(record.load, spec.folder)
        if found is None or (process := found.process()) is None or not (spec.folder / "bell").is_fifo():
            return None
        process.send(signal.SIGCONT)
        return self._machine(spec, found, process.pid)

    def workspace_files(self, spec: SandboxSpec) -> tuple[Path, str]:
        """In the root's upper layer, or in the folder that covers the host's own copy (rootfs.plan)."""
        private = rootfs.private_workspace(spec.folder, spec.workspace)
        return (private, "") if private.is_dir() else (spec.folder / "upper", str(spec.workspace))

    async def save_memory(self, spec: SandboxSpec, image: Path) -> None:
        """By runsc's checkpoint; the sandbox ends with it."""
        async with self._lock(spec):
            await removal.empty(image)
            paths.private(image)
            try:
                template = json.loads((spec.folder / MOUNTS).read_text())["template"]
                flags = _flags(self._state(spec))
                await memory.save(locate.require(self._explicit), flags, CONTAINER_ID, image, template)
            except BaseException:
                await asyncio.shield(removal.empty(image))
                raise
            await self._end(spec)

    async def copy(self, spec: SandboxSpec, other: SandboxSpec) -> None:
        """The overlays' uppers, while the sentry is stopped."""
        async with self._lock(other):
            await removal.empty(other.folder)
            paths.private(other.folder)
            self.pause(spec)
            try:
                await copying.copy(spec.folder, other.folder, user=self._user)
            finally:
                self.resume(spec)
            # Its first start is not a sandbox's first.
            (other.folder / CONFIG).write_bytes((spec.folder / CONFIG).read_bytes())

    def move(self, spec: SandboxSpec, other: SandboxSpec) -> None:
        """By renaming the folders: the old one aside, the new one into its place."""
        aside = other.folder.with_name(other.folder.name + ASIDE)
        os.rename(other.folder, aside)
        os.rename(spec.folder, other.folder)

    def files(self, spec: SandboxSpec) -> dict[str, tuple[int, ...]]:
        """What is in the uppers."""
        found = {"/" + path: what for path, what in copying.listing(spec.folder / "upper").items()}
        for name, inside in json.loads((spec.folder / MOUNTS).read_text())["over"].items():
            upper = spec.folder / "over" / name / "upper"
            found |= {f"{inside}/{path}": what for path, what in copying.listing(upper).items()}
        return found

    def pause(self, spec: SandboxSpec) -> None:
        """Stop the sentry. By a signal, as runsc's own pause leaves it polling and the freezer needs root."""
        self._signal(spec, signal.SIGSTOP)

    def resume(self, spec: SandboxSpec) -> None:
        """Let it go on."""
        self._signal(spec, signal.SIGCONT)

    def _signal(self, spec: SandboxSpec, number: signal.Signals) -> None:
        found = record.load(spec.folder)
        if found is not None and (process := found.process()) is not None:
            process.send(number)

    async def stop(self, spec: SandboxSpec) -> None:
        """End every process. Mounts go with the last one."""
        async with self._lock(spec):
            await self._end(spec)

    async def destroy(self, spec: SandboxSpec) -> None:
        """Stop it and delete its files."""
        async with self._lock(spec):
            await self._end(spec)
            await removal.empty(spec.folder)
            await self._tidy(spec)
        self._locks.pop(spec.sandbox_id, None)

    async def _tidy(self, spec: SandboxSpec) -> None:
        """Finish a `move` that a crash cut off: files that have no successor come back, the others go."""
        aside = spec.folder.with_name(spec.folder.name + ASIDE)
        if aside.is_dir():
            if not (spec.folder / CONFIG).exists():
                await removal.empty(spec.folder)
                spec.folder.rmdir()
                os.rename(aside, spec.folder)
                return
            await removal.empty(aside)
            aside.rmdir()

    async def _try(self, folder: Path, agent: Path) -> None:
        """Boot a sandbox in `folder` and remove it: the check that no other check can stand in for.

        Raises:
            ContinueExecError: what `start` raises.
        """
        spec = SandboxSpec("sb_probe", folder / "files", folder / "sockets", Path("/home/probe"), agent)
        try:
            await self.start(spec)
        finally:
            await self.destroy(spec)
            await removal.empty(folder)

    # -- one step each ---------------------------------------------------------------------------------------------

    def _lock(self, spec: SandboxSpec) -> asyncio.Lock:
        return self._locks.setdefault(spec.sandbox_id, asyncio.Lock())

    def _data_folder(self) -> Path:
        return self._home or paths.home()

    def _limits_of_host(self) -> cgroups.Cgroups:
        if self._cgroups is None:
            self._cgroups = cgroups.detect(user=self._user)
        return self._cgroups

    def _state(self, spec: SandboxSpec) -> Path:
        """runsc's `--root`. In the sandbox's folder, or beside its sockets if that path is too long for one."""
        inside = spec.folder / "state"
        if len(os.fsencode(inside / f"runsc-{CONTAINER_ID}.sock")) <= SUN_PATH:
            return inside
        return spec.sockets.with_name(spec.sockets.name + ".state")

    def _machine(self, spec: SandboxSpec, found: record.Record, pid: int) -> Machine:
        return Machine(
            sandbox_id=spec.sandbox_id,
            doorbell=spec.folder / "bell",
            log=spec.folder / "log",
            env=found.env,
            isolation="gvisor",
            rootless=self._user,
            pid=pid,
        )

    async def _spawn(self, spec: SandboxSpec) -> asyncio.subprocess.Process:
        """Start the launcher. It loads while we prepare what it will do."""
        spec.folder.mkdir(parents=True, exist_ok=True)
        log = os.open(spec.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(log).st_size > LOG_LIMIT:
                os.ftruncate(log, 0)
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                str(Path(__file__).with_name("launch.py")),
                # Not read by the launcher: by this word the process is found again (processes.find).
                f"--root={self._state(spec)}",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
                cwd="/",
                # Ctrl-C in the engine's terminal is not for the sandbox.
                start_new_session=True,
            )
        finally:
            os.close(log)

    def _prepare(self, spec: SandboxSpec, image: Path | None) -> _Prepared:
        """Everything on disk that the launch needs. Blocks: runs in a thread.

        Raises:
            SandboxFailed: `image`, which is to be woken from, does not fit.
        """
        if platform.machine() not in _ARCHITECTURES:
            raise HostUnready(
                f"gVisor does not run on {platform.machine()}", hint="It runs on x86_64 and aarch64 machines."
            )
        runsc = locate.require(self._explicit)
        if not os.access(spec.agent, os.X_OK):
            raise HostUnready(f"The agent is missing at {spec.agent}", hint="Run `scripts/build-agent`.")
        folder = paths.private(spec.folder)
        spec.sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = self._state(spec)
        state.mkdir(mode=0o700, exist_ok=True)
        bell = folder / "bell"
        if not bell.is_fifo():
            bell.unlink(missing_ok=True)
            os.mkfifo(bell, 0o600)
        (folder / "pid").unlink(missing_ok=True)
        under = layer.ensure(self._data_folder() / "templates", user=self._user, environ=self._environ)
        plan = rootfs.plan(
            folder=folder,
            workspace=spec.workspace,
            agent=spec.agent,
            layer=under,
            user=self._user,
            environ=self._environ,
            mountinfo=Path("/proc/self/mountinfo").read_text(errors="surrogateescape"),
        )
        template = _template(under)
        if image is not None and (why := memory.unfit(image, runsc, template)):
            raise SandboxFailed(f"The memory that was saved cannot be used: {why}")
        uppers = rootfs.uppers(plan, spec.workspace)
        (folder / MOUNTS).write_text(json.dumps({"template": template, "over": uppers}))
        host = self._limits_of_host()
        digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]
        group = host.group(f"{spec.sandbox_id}-{digest}")
        join = ""
        wanted = bundle.resources(spec.limits)
        if group and host.by_launcher:
            join = str(cgroups.make_v2(group, wanted))
        elif group and host.version == 1 and wanted.keys() == {"pids"} and "pids" in host.controllers:
            join = str(cgroups.make_pids_v1(group, wanted))
        made_by_runsc = group if group and not join else None
        shown = folder / "sockets"
        shown.mkdir(exist_ok=True)
        binds = rootfs.bind_points(folder, spec.binds)
        config = bundle.config(
            root=plan.root,
            sockets=shown,
            binds=folder / rootfs.BIND_POINTS,
            env=plan.env,
            limits=spec.limits,
            cgroup=made_by_runsc,
        )
        remembered = record.Record(processes.boot_id(), str(state), group, env=plan.env)
        record.save(folder, remembered)
        argv = [
            str(runsc),
            *_flags(state),
            *(["--ignore-cgroups"] if made_by_runsc is None else []),
            *(["run"] if image is None else ["restore", f"--image-path={image}"]),
            "--detach",
            f"--bundle={folder}",
            f"--pid-file={folder / 'pid'}",
            CONTAINER_ID,
        ]
        launch = {
            "user": self._user,
            "cgroup": join,
            "root": str(plan.root),
            "root_options": plan.root_options,
            "sockets": (str(spec.sockets), str(shown)),
            "binds": binds,
            "mounts": plan.mounts,
            "folders": plan.folders,
            "doorbell": str(bell),
            "argv": argv,
            "env": {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        }
        return _Prepared(launch, json.dumps(config), plan.places, remembered)

    async def _launch(
        self, spec: SandboxSpec, helper: asyncio.subprocess.Process, prepared: _Prepared, bell: Bell | None
    ) -> Machine:
        """Hand the launcher its plan and wait until runsc says that the sandbox is up."""
        log = spec.folder / "log"
        start = log.stat().st_size
        (spec.folder / CONFIG).write_text(prepared.config)
        # Open for reading too, so that what is written to it before the sandbox has it is kept (fifo(7)).
        doorbell = os.open(spec.folder / "bell", os.O_RDWR | os.O_CLOEXEC)
        try:
            if bell is not None:
                bell(spec.folder / "bell")
            async with asyncio.timeout(START_TIMEOUT_S):
                said, _ = await helper.communicate(marshal.dumps(prepared.plan, 2))
        except TimeoutError:
            raise SandboxFailed(
                f"runsc did not start the sandbox within {START_TIMEOUT_S:.0f} s", data={"log": str(log)}
            ) from None
        finally:
            os.close(doorbell)
        if said:
            raise failures.of_launcher(said.decode(errors="replace"), spec.folder, log)
        if helper.returncode != 0:
            raise failures.of_runsc(helper.returncode or 0, failures.tail(log, start), log)
        return await asyncio.to_thread(self._up, spec, prepared.record, start)

    def _up(self, spec: SandboxSpec, launched: record.Record, log_start: int) -> Machine:
        """Remember the sentry."""
        log = spec.folder / "log"
        try:
            pid = int((spec.folder / "pid").read_text())
        except (OSError, ValueError):
            raise SandboxFailed("runsc did not say which process the sandbox is", data={"log": str(log)}) from None
        started = processes.start_time(pid)
        if started is None:
            raise failures.of_runsc(0, failures.tail(log, log_start), log)
        up = record.Record(launched.boot_id, launched.state, launched.cgroup, pid, started, launched.env)
        record.save(spec.folder, up)
        return self._machine(spec, up, pid)

    async def _end(self, spec: SandboxSpec) -> None:
        """End what is left of an earlier boot, of this or an earlier engine, running, dead or half started."""
        found = await asyncio.to_thread(record.load, spec.folder)
        state = self._state(spec)
        if found is None and not state.exists():
            return
        await processes.end(state)
        await asyncio.to_thread(self._forget, spec, found, state)

    def _forget(self, spec: SandboxSpec, found: record.Record | None, state: Path) -> None:
        try:
            for entry in state.iterdir():
                entry.unlink()
            state.rmdir()
        except FileNotFoundError:
            pass
        if found is not None:
            cgroups.remove(found.cgroup)
        record.remove(spec.folder)


def _template(under: layer.Layer) -> str:
    """Names what the machine's own files are made of."""
    return f"{under.root.parent.name} {memory.programs()}"


def _flags(state: Path) -> list[str]:
    """runsc's global flags, the same for every call that concerns a sandbox."""
    return [
        f"--root={state}",
        "--network=none",
        "--overlay2=none",
        "--host-uds=open",
        "--file-access-mounts=shared",
    ]
