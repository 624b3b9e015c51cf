"""What a run request asks for becomes argv: a command as it is, or code or a file in a language."""

from __future__ import annotations

import asyncio
import re
import secrets
import shlex

from ..errors import InvalidRequest, SandboxFailed
from ..protocol.agent import Exec, Exited, PushEntry, PushItem
from ..protocol.frames import Kind
from ..protocol.methods import RunStart
from . import workspaces
from .languages import LanguageSpec, SnippetPlan, by_name, by_path, guess, plan
from .live import Live

FOLDER = "/tmp/continue-exec/snippets"
HEAD_BYTES = 128
"""Of a file, to read its `#!` line: Linux itself looks at 256 bytes at most (binfmt_script)."""
ANSWER_BYTES = 4096
"""Of `PROGRAM --version`."""
ANSWER_S = 20.0
"""A JVM on a busy machine takes seconds to say its version."""

_VERSION = re.compile(rb"(\d+)\.(\d+)(?:\.(\d+))?")


async def prepare(live: Live, request: RunStart, cwd: str) -> tuple[tuple[str, ...], dict[str, str], str]:
    """argv, further variables and a title for `request`; a snippet's files are inside when this returns.

    Raises:
        InvalidRequest: an unknown language.
        OutsideWorkspace: the file is not of the workspace.
        ToolchainMissing: the sandbox has nothing that runs the language.
    """
    if request.code is None and request.file is None:
        return request.argv, {}, shlex.join(request.argv)
    if request.file is not None:
        file = workspaces.inside(live.sandbox.workspace, request.file)
        spec = by_name(request.language) if request.language else by_path(file, await _head(live, file))
        planned = await _plan(live, spec, request, cwd, file=file)
        return planned.argv, planned.env, shlex.join((file.removeprefix(live.workspace + "/"), *request.argv))
    assert request.code is not None
    spec = _language_of(request.code, request.language)
    planned = await _plan(live, spec, request, cwd, code=request.code)
    items = [
        PushItem(PushEntry(path=path.lstrip("/"), kind="file", size=len(data)), data)
        for path, data in planned.files.items()
    ]
    result = await live.push("/", items)
    if result.failed:
        raise SandboxFailed(f"The snippet could not be written inside: {result.failed[0].message}")
    return planned.argv, planned.env, f"{spec.title} snippet"


def _language_of(code: str, language: str | None) -> LanguageSpec:
    if language:
        return by_name(language)
    found = guess(code)
    if found is None:
        raise InvalidRequest("The language of this code could not be guessed.", hint="Name it (`--language`).")
    return by_name(found)


async def _head(live: Live, file: str) -> str:
    head = b""
    async for piece in live.agent.read(file, 0, HEAD_BYTES):
        head += piece
    return head.decode(errors="replace").partition("\n")[0]


async def _plan(
    live: Live, spec: LanguageSpec, request: RunStart, cwd: str, *, code: str | None = None, file: str | None = None
) -> SnippetPlan:
    paths = {program: await live.which(program) for program in spec.programs}
    versions = {
        path: await _version(live, path) for program in spec.versioned if (path := paths.get(program)) is not None
    }
    return plan(
        spec,
        which=paths.get,
        folder=f"{FOLDER}/{secrets.token_hex(6)}",
        code=code,
        file=file,
        args=request.argv,
        cwd=cwd,
        version=versions.get,
    )


async def _version(live: Live, path: str) -> tuple[int, ...] | None:
    """Of the program at `path` inside; asked once while the sandbox is up."""
    if path not in live.versions:
        match = _VERSION.search(await _answer(live, (path, "--version")))
        live.versions[path] = tuple(int(group) for group in match.groups() if group) if match else None
    return live.versions[path]


class _Answer:
    """A sink that keeps the first bytes of a short command."""

    def __init__(self) -> None:
        self.data = b""
        self.ended = asyncio.Event()

    def started(self, pid: int) -> None:
        """Nothing to note."""

    def output(self, kind: int, data: memoryview) -> None:
        """Keep standard output."""
        if kind == Kind.STDOUT and len(self.data) < ANSWER_BYTES:
            self.data += bytes(data[:ANSWER_BYTES])

    def exited(self, note: Exited) -> None:
        """All of it is there."""
        self.ended.set()

    def lost(self) -> None:
        """What there is must do."""
        self.ended.set()


async def _answer(live: Live, argv: tuple[str, ...]) -> bytes:
    sink, stream = _Answer(), live.agent.new_stream()
    await live.agent.exec(Exec(stream=stream, run_id=f"answer-{stream}", argv=argv, cwd="/", env=live.env), sink)
    try:
        async with asyncio.timeout(ANSWER_S):
            await sink.ended.wait()
    except TimeoutError:
        await live.agent.signal(stream, 9)
    await live.agent.forget(stream)
    return sink.data
