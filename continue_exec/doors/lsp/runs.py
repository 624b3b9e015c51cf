"""Starting runs for an editor: which workspace, which text, which language, and who takes the events."""

from __future__ import annotations

import asyncio
import os
import re
import textwrap
from collections.abc import Awaitable, Callable
from typing import Any

from lsprotocol.types import ProgressToken

from ...client import Client, RunStream
from ...client.methods import given
from ...errors import ContinueExecError, InvalidRequest, NotFound
from ...protocol import lsp
from ...tasks import Tasks
from . import text as texts
from .buffers import Buffers
from .documents import Documents, path_of
from .folders import Folders
from .follow import Followers, Taker
from .languages import Languages
from .progress import Slow

TakerFor = Callable[[str, str, str | None], Taker]
"""A taker for a run's id and title; and its folder, if it was started here."""

Progress = Callable[[str, ProgressToken | None], Slow]


class Runs:
    """What `continueExec/run*` do."""

    def __init__(
        self,
        *,
        client: Client,
        documents: Documents,
        folders: Folders,
        buffers: Buffers,
        followers: Followers,
        taker: TakerFor,
        progress: Progress,
    ) -> None:
        self.newest: str | None = None
        self._client = client
        self._documents = documents
        self._folders = folders
        self._buffers = buffers
        self._followers = followers
        self._taker = taker
        self._progress = progress
        self._tasks = Tasks("lsp runs")
        self._languages: Languages | None = None

    async def languages(self) -> Languages:
        """The engine's table, asked for once. Raises what the engine answers."""
        if self._languages is None:
            self._languages = Languages(await self._client.call("language.list"))
        return self._languages

    async def run(self, params: lsp.RunParams, token: ProgressToken | None = None) -> lsp.RunAccepted:
        """`continueExec/run`."""
        folder = self._folders.of(params.uri)
        title = params.title or " ".join(params.argv)[:80]
        what = given(argv=list(params.argv), cwd=params.cwd)
        return await self._start(folder, what, params, title, token)

    async def run_file(self, params: lsp.RunFileParams, token: ProgressToken | None = None) -> lsp.RunAccepted:
        """`continueExec/runFile`."""
        path = path_of(params.uri)
        if path is None:
            return await self._run_unnamed(params, token)
        folder = self._folders.of(params.uri)
        document = self._documents.get(params.uri)
        language = None
        if document is not None and "." not in os.path.basename(path):
            # Only the editor knows what a file without an extension is; `plaintext` and the like are no language.
            language = (await self.languages()).named(document.language_id)
        what = given(file=path, argv=list(params.args) or None, language=language)
        return await self._start(folder, what, params, params.title or os.path.relpath(path, folder), token, path)

    async def _run_unnamed(self, params: lsp.RunFileParams, token: ProgressToken | None) -> lsp.RunAccepted:
        """A document that was never saved: what it holds is a snippet."""
        document = self._documents.get(params.uri)
        if document is None:
            raise NotFound(f"{params.uri} is not open.", hint="Open it, or name a `file:` URI.")
        if params.args:
            raise InvalidRequest("A document without a file takes no arguments.", hint="Save it first.")
        what = {"code": document.text, "language": document.language_id}
        return await self._start(self._folders.of(None), what, params, params.title or params.uri, token)

    async def run_selection(
        self, params: lsp.RunSelectionParams, token: ProgressToken | None = None
    ) -> lsp.RunAccepted:
        """`continueExec/runSelection`."""
        document = self._documents.get(params.uri)
        path = path_of(params.uri)
        if document is None and path is None:
            raise NotFound(f"{params.uri} is not open.", hint="Open it, or name a `file:` URI.")
        whole = document.text if document is not None else await asyncio.to_thread(_read, str(path))
        code = selected(whole, params.range, self._documents.encoding)
        languages = await self.languages()
        editors = document.language_id if document is not None else ""
        language = params.language or languages.of_file(path or "", editors) or editors
        if not language:
            raise InvalidRequest(f"The language of {params.uri} is not known.", hint="Send `language`.")
        what = {"code": code, "language": languages.named(language) or language}
        title = params.title or f"selection of {os.path.basename(path or params.uri)}"
        return await self._start(self._folders.of(params.uri), what, params, title, token)

    async def run_snippet(self, params: lsp.RunSnippetParams, token: ProgressToken | None = None) -> lsp.RunAccepted:
        """`continueExec/runSnippet`."""
        languages = await self.languages()
        language = languages.named(params.language) or params.language
        what = {"code": params.code, "language": language}
        return await self._start(
            self._folders.of(params.uri), what, params, params.title or f"{language} snippet", token
        )

    async def attach(self, params: lsp.AttachParams) -> dict[str, Any]:
        """`continueExec/attach`: answers with the run; its events follow."""
        run = await self._client.call("run.get", {"run_id": params.run_id})
        run_id, title = str(run["id"]), str(run.get("title") or run["id"])
        await self._followers.follow(run_id, params.after, self._taker(run_id, title, None), after_answer())
        return run

    async def _start(
        self,
        folder: str,
        what: dict[str, Any],
        options: lsp.RunOptions,
        title: str,
        token: ProgressToken | None,
        path: str | None = None,
    ) -> lsp.RunAccepted:
        params = given(
            workspace={"path": folder},
            env=dict(options.env) or None,
            timeout_s=options.timeout_s,
            stdin=options.stdin or None,
            tty=options.tty.model_dump() if options.tty else None,
            title=title,
            client=self._client.name,
            **what,
        )
        async with self._progress("Preparing the sandbox", token):
            await self._buffers.flush(folder, needed=path)
            stream = await self._open(params)
        self._buffers.ran(folder)
        self.newest = stream.run_id
        self._followers.adopt(stream, self._taker(stream.run_id, title, folder), after_answer())
        return lsp.RunAccepted(run_id=stream.run_id)

    async def _open(self, params: dict[str, Any]) -> RunStream:
        """Start the run. If the request is cancelled meanwhile, so is the run, as soon as it has an id."""
        opening = self._tasks.spawn("start", self._client.open_stream("run.stream", params))
        try:
            stream: RunStream = await asyncio.shield(opening)
        except asyncio.CancelledError:
            self._tasks.spawn("cancel", self._cancel(opening))
            raise
        return stream

    async def _cancel(self, opening: asyncio.Task[RunStream]) -> None:
        try:
            stream = await opening
            stream.close()
            await self._client.call("run.cancel", {"run_id": stream.run_id})
        except ContinueExecError:
            pass  # it never began, or has ended

    async def close(self) -> None:
        """Runs go on."""
        await self._tasks.close()


def selected(whole: str, where: lsp.LspRange, encoding: texts.Encoding) -> str:
    """The code in a range, with its common indentation taken away.

    Raises:
        InvalidRequest: there is none.
    """
    start = (where.start.line, where.start.character)
    end = (where.end.line, where.end.character)
    line_begin = (min(start, end)[0], 0)
    before = texts.between(whole, line_begin, min(start, end), encoding)
    code = texts.between(whole, start, end, encoding)
    if not before.strip():
        code = before + code  # the first line's indentation counts, or the others would look deeper
    code = textwrap.dedent(re.sub(r"\r\n?", "\n", code))
    if not code.strip():
        raise InvalidRequest("The selection is empty.", hint="Select the code to run, or run the file.")
    return code if code.endswith("\n") else code + "\n"


def after_answer() -> Callable[[], Awaitable[Any]]:
    """Something to await that is done when the request being handled has been answered.

    pygls sends the answer in a callback of the handler's task, added before the task first ran; ours comes after it.
    """
    answered = asyncio.Event()
    task = asyncio.current_task()
    assert task is not None
    task.add_done_callback(lambda _: answered.set())
    return answered.wait


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return file.read()
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.", hint="Save it first.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path} cannot be read as text: {error}.") from error
