"""`sandbox.*`: one persistent sandbox per workspace: made, woken, adopted, stopped, removed.

The user sees no state, only that it is there: `ensure` does whatever that takes. Everything that changes a
sandbox's state happens under its workspace's lock.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import shutil
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from ..agent.connection import AgentConnection
from ..config import Settings
from ..drivers.base import Capability, Driver, Machine, SandboxSpec
from ..errors import Conflict, ContinueExecError, InvalidRequest, NotFound, SandboxLost
from ..mirror.blobs import Blobs
from ..mirror.filter import IgnoreRules
from ..mirror.folder import SafeFolder
from ..mirror.home import Home
from ..mirror.homecoming import Journal
from ..mirror.mirror import Mirror
from ..mirror.state import MirrorState
from ..model import SANDBOX_TRANSITIONS, Limits, Sandbox, SandboxState, Workspace
from ..paths import private
from ..protocol.methods import SandboxRef
from ..store.state import State
from . import leftovers, standby, workspaces
from .first_files import FirstFiles
from .folders import Folders
from .history import History
from .live import Live
from .networks import Networks
from .opening import Opening
from .repositories import Repositories
from .review import Review
from .runs import Runs
from .workspaces import Buffers

log = logging.getLogger(__name__)

LOSSES, LOSSES_S = 5, 10.0
"""A connection lost more often than this many times in this many seconds is not made again: hostile code inside could
otherwise keep the engine busy with nothing else."""

SHUTDOWN_S = 1.0
"""How long an agent gets to end by itself; it needs about 10 ms, and then the driver ends the sandbox anyway."""


class Sandboxes:
    """Every sandbox of this user."""

    def __init__(
        self, *, settings: Settings, folders: Folders, driver: Driver, state: State, networks: Networks, runs: Runs
    ) -> None:
        self.settings = settings
        self.folders = folders
        self.driver = driver
        self.state = state
        self.networks = networks
        self.runs = runs
        self.repositories = Repositories(settings, folders, driver)
        self.buffers = Buffers()
        self.live: dict[str, Live] = {}
        """By workspace path."""
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    # Finding

    def all(self) -> list[Sandbox]:
        """All, last used first."""
        return [self._current(sandbox) for sandbox in self.state.sandboxes()]

    def get(self, ref: SandboxRef) -> Sandbox:
        """The sandbox that `ref` names.

        Raises:
            InvalidRequest: it names none, or a prefix fits several.
            NotFound: there is no such sandbox.
        """
        if ref.workspace is not None:
            workspace = workspaces.resolve(ref.workspace)
            found = self.state.sandbox_of(workspace.path)
            if found is None:
                raise NotFound(f"{workspace.path} has no sandbox yet", hint="It is made by the first run.")
            return self._current(found)
        if not ref.sandbox_id:
            raise InvalidRequest("Name a sandbox, or a workspace")
        matching = [s for s in self.state.sandboxes() if s.id.startswith(ref.sandbox_id)]
        if not matching:
            raise NotFound(f"There is no sandbox {ref.sandbox_id}", hint="`continue-exec ls` lists them.")
        if len(matching) > 1:
            raise InvalidRequest(f"{ref.sandbox_id} fits {len(matching)} sandboxes", hint="Give more of the id.")
        return self._current(matching[0])

    def lock(self, workspace: str) -> asyncio.Lock:
        """Held while the state of a workspace's sandbox changes."""
        return self._locks[workspace]

    def up(self, sandbox_id: str) -> Live:
        """One that is up.

        Raises:
            Conflict: it is not.
        """
        for live in self.live.values():
            if live.sandbox.id == sandbox_id:
                return live
        raise Conflict(f"{sandbox_id} is not up", hint="The next run in its workspace starts it.")

    def _current(self, sandbox: Sandbox) -> Sandbox:
        live = self.live.get(sandbox.workspace.path)
        return live.sandbox if live else sandbox

    # Making and waking

    async def ensure(self, workspace: Workspace) -> Live:
        """The workspace's sandbox, up and connected.

        Raises:
            HostUnready, DiskFull, SandboxFailed: it cannot be brought up (fail closed).
        """
        live = self.live.get(workspace.path)
        if live is not None and not live.agent.closed.is_set() and not live.stopping:
            self.wake(live)
            return live
        async with self._locks[workspace.path]:
            live = self.live.get(workspace.path)
            if live is not None and not live.agent.closed.is_set():
                self.wake(live)
                return live
            if live is not None:
                await self._recover(live)
                if workspace.path in self.live:
                    return self.live[workspace.path]
            return await self._start(workspace)

    async def _start(self, workspace: Workspace) -> Live:
        sandbox = self.state.sandbox_of(workspace.path)
        fresh = sandbox is None
        asleep = sandbox is not None and sandbox.state is SandboxState.STANDBY
        now = time.time()
        if sandbox is None:
            sandbox = Sandbox(
                id=f"sb_{secrets.token_hex(6)}",
                workspace=workspace,
                template="host",
                driver=self.driver.name,
                isolation="gvisor",
                state=SandboxState.CREATING,
                limits=self._limits(),
                created_at=now,
                used_at=now,
            )
            self.state.save_sandbox(sandbox)
        else:
            sandbox = self.set(
                sandbox, SandboxState.STOPPED if sandbox.state is SandboxState.RUNNING else sandbox.state
            )
            sandbox = self.set(sandbox.model_copy(update={"limits": self._limits()}), SandboxState.CREATING)
        spec = replace(self.spec(sandbox), binds=await asyncio.to_thread(self.repositories.binds, sandbox))
        private(spec.folder)
        private(spec.sockets)
        try:
            async with AsyncExitStack() as undo:
                mirror = await self._watch(spec)
                undo.push_async_callback(mirror.stop)
                opening = Opening(spec, self.networks)
                undo.push_async_callback(opening.close)
                first = FirstFiles(spec, mirror, self.networks)
                machine, news = await standby.start(self, spec, first, opening, asleep)
                live = await self._open(sandbox, opening, machine, mirror, first if fresh else None)
                live.news += news
                undo.pop_all()
            return live
        except BaseException as error:
            # Also when cancelled: nothing half up stays behind.
            await asyncio.shield(self._abandon(sandbox, spec, fresh, error))
            raise

    async def _abandon(self, sandbox: Sandbox, spec: SandboxSpec, fresh: bool, error: BaseException) -> None:
        log.warning("%s did not come up: %s", sandbox.id, error)
        await self.driver.stop(spec)
        if fresh:
            await self._erase(sandbox)
        else:
            reason = error.message if isinstance(error, ContinueExecError) else "interrupted"
            self.set(sandbox, SandboxState.FAILED, reason)

    async def _watch(self, spec: SandboxSpec) -> Mirror:
        """The workspace's mirror, watching and with editors' texts; nothing is written yet."""
        mirror = self.mirror(spec)
        await mirror.start()
        for client, texts in self.buffers.of(str(spec.workspace)).items():
            mirror.set_buffers(client, texts)
        return mirror

    def mirror(self, spec: SandboxSpec) -> Mirror:
        """A mirror that has not been started."""
        rules = IgnoreRules(include=self.settings.include)
        files, bases = self._files(spec), Blobs(self.folders.bases(spec.sandbox_id))
        state = MirrorState(self.folders.mirror_state(spec.sandbox_id))
        return Mirror(spec.workspace, rules, state, inside=files, blobs=bases)

    def _files(self, spec: SandboxSpec) -> SafeFolder | None:
        """The sandbox's copy of the workspace, where the driver has one."""
        if Capability.WORKSPACE_FILES not in self.driver.capabilities():
            return None
        return SafeFolder(*self.driver.workspace_files(spec))

    async def _open(
        self, sandbox: Sandbox, opening: Opening, machine: Machine, mirror: Mirror, first: FirstFiles | None
    ) -> Live:
        """Connect to a workspace's sandbox that is up, and take it into our hands."""
        async with AsyncExitStack() as undo:
            live = await self.connect(sandbox, opening, machine, mirror, first)
            undo.push_async_callback(self.let_go, live)
            live.git = self.repositories.open(live.sandbox, mirror)
            if mirror.inside is not None:
                live.review = await self._review(live, mirror.inside)
            live.sandbox = self.set(live.sandbox, SandboxState.RUNNING)
            await self.runs.adopt(live, live.agent.hello)
            # Last: what failed on the way is in nobody's hands.
            self.live[live.workspace] = live
            undo.pop_all()
        live.tasks.spawn(f"guard {sandbox.id}", self._guard(live))
        live.tasks.spawn(f"mirror {sandbox.id}", self._mirror(live))
        if live.review is not None:
            live.tasks.spawn(f"review {sandbox.id}", live.review.begin())
        return live

    async def connect(
        self, sandbox: Sandbox, opening: Opening, machine: Machine, mirror: Mirror, first: FirstFiles | None
    ) -> Live:
        """Connect to a sandbox that is up, and give it its way out and, if it is new, its `first` files.

        Nobody has it yet but the caller.
        """
        async with AsyncExitStack() as undo:
            egress, agent = await opening.take(machine.doorbell)
            undo.push_async_callback(egress.close)
            undo.push_async_callback(agent.close)
            carried = await self.networks.carried()
            if first is not None and (items := first.remaining(carried)):
                await agent.push("/", items)
            sandbox = sandbox.model_copy(update={"isolation": machine.isolation, "rootless": machine.rootless})
            live = Live(sandbox, opening.spec, machine, agent, mirror, egress, env={**machine.env, **carried.env})
            opening.decided = live.decided
            for client, texts in self.buffers.of(live.workspace).items():
                mirror.set_buffers(client, texts)
            undo.pop_all()
            return live

    async def _review(self, live: Live, files: SafeFolder) -> Review:
        sandbox_id = live.sandbox.id
        path = self.folders.history(sandbox_id)
        history = History(path, Blobs(path.with_suffix(".blobs")))
        home = Home(live.workspace, Journal(self.folders.homecoming(sandbox_id)))
        if kept := await asyncio.to_thread(home.recover):
            log.warning("%s: what stood there when the last engine ended is kept as %s", live.workspace, kept)
        review = Review(live.mirror, files, home, history, active=lambda: list(live.runs), tasks=live.tasks)
        await asyncio.to_thread(review.load)
        return review

    def spec(self, sandbox: Sandbox) -> SandboxSpec:
        """What the driver is told of it."""
        return SandboxSpec(
            sandbox_id=sandbox.id,
            folder=self.folders.sandbox(sandbox.id),
            sockets=self.folders.sockets(sandbox.id),
            workspace=Path(sandbox.workspace.path),
            agent=self.folders.agent,
            limits=sandbox.limits,
        )

    def _limits(self) -> Limits:
        chosen = self.settings
        return Limits(memory_bytes=chosen.memory_bytes, cpus=chosen.cpus, processes=chosen.processes)

    def set(self, sandbox: Sandbox, state: SandboxState, reason: str = "") -> Sandbox:
        """Note a change of state, which must be legal, and why."""
        SANDBOX_TRANSITIONS.check(sandbox.state, state)
        sandbox = sandbox.model_copy(update={"state": state, "reason": reason, "used_at": time.time()})
        self.state.save_sandbox(sandbox)
        return sandbox

    # Adopting what an earlier engine left, and what came loose

    async def adopt(self) -> None:
        """Take over the sandboxes that an earlier engine left running; called once, before any request."""
        await leftovers.sweep(self)
        for sandbox in self.state.sandboxes():
            if sandbox.state not in (SandboxState.RUNNING, SandboxState.CREATING):
                continue
            async with self._locks[sandbox.workspace.path]:
                await self.take_back(sandbox)

    async def take_back(self, sandbox: Sandbox) -> None:
        """Take over one that runs without us, or lay it down; its workspace's lock is held."""
        try:
            await self._adopt(sandbox)
        except (ContinueExecError, OSError) as error:
            log.warning("%s could not be adopted: %s", sandbox.id, error)
            await self._lay_down(sandbox, f"it could not be adopted: {error}")

    async def _adopt(self, sandbox: Sandbox) -> None:
        spec = self.spec(sandbox)
        machine = await self.driver.connect(spec) if sandbox.state is SandboxState.RUNNING else None
        if machine is None:
            await self._lay_down(sandbox, "the sandbox had ended when the engine came back")
            return
        private(spec.sockets)
        async with AsyncExitStack() as undo:
            mirror = await self._watch(spec)
            undo.push_async_callback(mirror.stop)
            opening = Opening(spec, self.networks)
            undo.push_async_callback(opening.close)
            await self._open(sandbox, opening, machine, mirror, None)
            undo.pop_all()
        log.info("adopted %s", sandbox.id)

    async def _lay_down(self, sandbox: Sandbox, reason: str) -> None:
        """Make sure nothing of it runs; its active runs are lost, its files stay."""
        await self.driver.stop(self.spec(sandbox))
        self.runs.lose(sandbox.id, reason)
        final = SandboxState.FAILED if sandbox.state is SandboxState.CREATING else SandboxState.STOPPED
        self.set(sandbox, final, reason)

    async def _guard(self, live: Live) -> None:
        """Wait until the agent's connection is lost; then find the sandbox again, or say that it has ended."""
        while True:
            await live.agent.closed.wait()
            async with self._locks[live.workspace]:
                if live.stopping or self.live.get(live.workspace) is not live:
                    return
                if live.agent.closed.is_set():
                    await self._recover(live)
                if self.live.get(live.workspace) is not live:
                    return
                live.tasks.spawn(f"mirror {live.sandbox.id}", self._mirror(live))

    async def _mirror(self, live: Live) -> None:
        """Push changes as they happen. If that fails, the next run's flush does the same and tells the user."""
        try:
            await live.mirror.live(live)
        except ContinueExecError as error:
            log.warning("%s: live mirror ended: %s", live.sandbox.id, error)

    async def _recover(self, live: Live) -> None:
        """Under the lock: connect again if the sandbox lives, else close what belonged to it."""
        log.warning("%s: connection to the agent lost: %s", live.sandbox.id, live.agent.close_reason)
        live.losses = [at for at in live.losses if time.monotonic() - at < LOSSES_S] + [time.monotonic()]
        try:
            if len(live.losses) > LOSSES:
                log.warning("%s: too many losses; what is inside may have taken the agent's place", live.sandbox.id)
            elif await self.driver.connect(live.spec) is not None:
                live.agent = await AgentConnection.open(live.machine.doorbell, live.spec.sockets)
                try:
                    await self.runs.adopt(live, live.agent.hello)
                except SandboxLost as error:
                    # Lost again already: the guard comes back here, and counts.
                    log.warning("%s: lost while its runs were adopted: %s", live.sandbox.id, error)
                return
        except ContinueExecError as error:
            log.warning("%s: its agent does not answer: %s", live.sandbox.id, error)
        await self.close_live(live)
        await self._lay_down(live.sandbox, "the sandbox ended unexpectedly")

    # Ending

    async def stop(self, ref: SandboxRef) -> Sandbox:
        """End every process of it; files stay."""
        sandbox = self.get(ref)
        async with self._locks[sandbox.workspace.path]:
            return await self.end(self.get(SandboxRef(sandbox_id=sandbox.id)), "stopped")

    async def end(self, sandbox: Sandbox, reason: str) -> Sandbox:
        """End every process of it; its workspace's lock is held."""
        live = self.live.get(sandbox.workspace.path)
        if live is not None:
            live.stopping = True
            self.wake(live)
            try:
                async with asyncio.timeout(SHUTDOWN_S):
                    await live.agent.shutdown()
            except (TimeoutError, ContinueExecError) as error:
                log.info("%s: agent did not end by itself: %s", sandbox.id, error)
            await self.close_live(live)
        await self.driver.stop(self.spec(sandbox))
        self.runs.lose(sandbox.id, "its sandbox was stopped")
        await standby.forget(self, sandbox.id)
        if sandbox.state in (SandboxState.RUNNING, SandboxState.STANDBY):
            sandbox = self.set(sandbox, SandboxState.STOPPED, reason)
        return sandbox

    def wake(self, live: Live) -> None:
        """Give a paused sandbox its CPU back, and note that it is in use."""
        live.touch()
        if live.paused:
            live.paused = False
            self.driver.resume(live.spec)

    async def remove(self, ref: SandboxRef) -> None:
        """Stop it and delete all its files."""
        sandbox = self.get(ref)
        async with self._locks[sandbox.workspace.path]:
            sandbox = await self.end(self.get(SandboxRef(sandbox_id=sandbox.id)), "removed")
            await self._erase(sandbox)

    async def replace_files(self, sandbox: Sandbox, other: Sandbox) -> None:
        """Give a sandbox another's files, which is stopped; what runs in the first ends.

        What its mirror and its review know goes with the files: what the host changed since is then sent again.
        """
        async with self._locks[sandbox.workspace.path]:
            await self.end(self.get(SandboxRef(sandbox_id=sandbox.id)), "its files are being replaced")
            self.driver.move(self.spec(other), self.spec(sandbox))
            for path in self.folders.of_mirror(sandbox.id):
                path.unlink()
            for path in self.folders.of_mirror(other.id):
                os.replace(path, path.with_name(path.name.replace(other.id, sandbox.id)))

    def note_snapshot(self, workspace: str, snapshot_id: str) -> None:
        """A workspace's sandbox was saved as, or restored from, a snapshot."""
        live = self.live.get(workspace)
        sandbox = live.sandbox if live is not None else self.state.sandbox_of(workspace)
        if sandbox is not None:
            sandbox = sandbox.model_copy(update={"snapshot_id": snapshot_id})
            self.state.save_sandbox(sandbox)
            if live is not None:
                live.sandbox = sandbox

    async def _erase(self, sandbox: Sandbox) -> None:
        self.runs.delete_of(sandbox.id)
        self.state.delete_sandbox(sandbox.id)
        await self.erase_files(sandbox)

    async def erase_files(self, sandbox: Sandbox) -> None:
        """Delete all of it on disk; it is stopped first."""
        await self.driver.destroy(self.spec(sandbox))
        for path in self.folders.of_mirror(sandbox.id):
            path.unlink(missing_ok=True)
        await standby.forget(self, sandbox.id)
        folders = self.folders
        for folder in (folders.sandbox(sandbox.id), folders.sockets(sandbox.id), folders.fetched(sandbox.id)):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def close_live(self, live: Live) -> None:
        """Let go of what the engine holds for it. Idempotent."""
        self.live.pop(live.workspace, None)
        await self.let_go(live)

    async def let_go(self, live: Live) -> None:
        """End what was opened for a sandbox; it goes on."""
        await live.tasks.close()
        await live.mirror.stop()
        if live.review is not None:
            live.review.close()
        await live.agent.close()
        await live.egress.close()

    async def close(self) -> None:
        """The engine ends: let go of every sandbox; they and their runs go on."""
        for live in list(self.live.values()):
            live.stopping = True
            self.state.save_sandbox(live.sandbox)
            await self.close_live(live)
