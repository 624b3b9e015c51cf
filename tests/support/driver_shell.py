"""A driver in a process of its own, told what to do by lines of JSON: tests can be another user, and can kill it.

    argv     driver (`runsc` or `fake`), folder for the template's layers, path of runsc or ""
    stdin    {"do": "start", "spec": {...}} per line; also connect, stop, destroy, check, capabilities, and
             run (argv in the sandbox, through the real agent); start may have `fill`, path inside →
             text, and `mirror`, a folder whose files are to be the workspace's, by the mirror
    stdout   {"ok": ...} or {"error": {...}} per line

It uses nothing of the tests, because the ordinary user may not be able to read them: it is given as `python -c`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from continue_exec.agent.connection import AgentConnection
from continue_exec.drivers.base import Bind, Driver, Machine, SandboxSpec
from continue_exec.drivers.fake import FakeDriver
from continue_exec.drivers.runsc import RunscDriver
from continue_exec.errors import ContinueExecError
from continue_exec.mirror.filter import IgnoreRules
from continue_exec.mirror.mirror import Mirror
from continue_exec.mirror.state import MirrorState
from continue_exec.model import Limits
from continue_exec.protocol.agent import Exec, Exited
from continue_exec.protocol.frames import Kind


class Sink:
    """Keeps what a command says."""

    def __init__(self) -> None:
        self.text = {int(Kind.STDOUT): bytearray(), int(Kind.STDERR): bytearray()}
        self.end: asyncio.Future[Exited | None] = asyncio.get_running_loop().create_future()

    def started(self, pid: int) -> None:
        pass

    def output(self, kind: int, data: memoryview) -> None:
        self.text[kind] += data

    def exited(self, note: Exited) -> None:
        if not self.end.done():
            self.end.set_result(note)

    def lost(self) -> None:
        if not self.end.done():
            self.end.set_result(None)


def spec_of(body: dict[str, Any]) -> SandboxSpec:
    folders = {name: Path(body[name]) for name in ("folder", "sockets", "workspace", "agent")}
    binds = tuple(Bind(Path(source), name, tuple(hidden)) for source, name, hidden in body.get("binds", ()))
    return SandboxSpec(sandbox_id=body["sandbox_id"], limits=Limits(**body["limits"]), binds=binds, **folders)


def machine_of(machine: Machine | None) -> dict[str, Any] | None:
    if machine is None:
        return None
    return {**asdict(machine), "doorbell": str(machine.doorbell), "log": str(machine.log)}


async def run(machine: Machine, spec: SandboxSpec, argv: list[str]) -> dict[str, Any]:
    connection = await AgentConnection.open(machine.doorbell, spec.sockets)
    try:
        sink = Sink()
        stream = connection.new_stream()
        params = Exec(stream=stream, run_id=f"run_{stream}", argv=tuple(argv), cwd=str(spec.workspace), env=machine.env)
        await connection.exec(params, sink)
        note = await sink.end
        if note is not None:
            await connection.forget(stream)
        said = {"stdout": sink.text[Kind.STDOUT], "stderr": sink.text[Kind.STDERR]}
        words = {name: bytes(text).decode(errors="replace") for name, text in said.items()}
        return {"code": None if note is None else note.exit_code, **words}
    finally:
        await connection.close()


class Filler:
    """A `Fill`. A text of None: it stalls there, for ever."""

    def __init__(self, spec: SandboxSpec, texts: dict[str, str | None], mirrored: str) -> None:
        self.spec = spec
        self.texts = texts
        self.mirrored = mirrored
        self.filled: list[str] = []
        self.nowhere: list[str] = []

    async def __call__(self, place: Callable[[Path], Path | None]) -> None:
        for path, text in self.texts.items():
            if text is None:
                print(json.dumps({"ok": "stalled"}), flush=True)
                await asyncio.Event().wait()
            elif (folder := place(Path(path).parent)) is None:
                self.nowhere.append(path)
            else:
                (folder / Path(path).name).write_text(text or "")
                self.filled.append(path)
        if self.mirrored and (folder := place(self.spec.workspace)) is not None:
            mirror = Mirror(Path(self.mirrored), IgnoreRules(), MirrorState(self.spec.folder.parent / "mirror.state"))
            await mirror.start()
            await mirror.seed(self.spec.agent, folder)
            await mirror.stop()


async def do(driver: Driver, order: dict[str, Any]) -> Any:
    verb = order["do"]
    if verb == "check":
        return [asdict(check) for check in await driver.check()]
    if verb == "capabilities":
        return sorted(driver.capabilities())
    spec = spec_of(order["spec"])
    if verb == "start":
        filler = Filler(spec, order.get("fill", {}), order.get("mirror", ""))
        machine = machine_of(await driver.start(spec, filler))
        return {**(machine or {}), "filled": filler.filled, "nowhere": filler.nowhere} if "fill" in order else machine
    if verb == "connect":
        return machine_of(await driver.connect(spec))
    if verb == "stop":
        return await driver.stop(spec)
    if verb == "destroy":
        return await driver.destroy(spec)
    found = await driver.connect(spec)
    assert found is not None, "not up"
    return await run(found, spec, order["argv"])


async def main() -> None:
    name, home, runsc = sys.argv[1:4]
    driver: Driver = FakeDriver() if name == "fake" else RunscDriver(Path(runsc) if runsc else None, home=Path(home))
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        try:
            answer = {"ok": await do(driver, json.loads(line))}
        except ContinueExecError as error:
            answer = {"error": error.to_wire()}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


asyncio.run(main())
