"""The sidecar: LSP's methods and ours, wired to the parts that carry them out."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

from lsprotocol import types
from pydantic import ValidationError
from pygls.lsp.server import LanguageServer

from ... import __version__
from ...client import Client
from ...errors import ContinueExecError, EngineUnavailable, InternalError, InvalidRequest, NotFound
from ...model import Model
from ...protocol import lsp
from ...protocol.methods import Nothing
from . import contents, lenses, rpc, words
from .buffers import Buffers
from .documents import Documents, path_of
from .edits import Abilities
from .folders import Folders
from .follow import Followers, Taker
from .news import News
from .places import uri_of
from .progress import Slow
from .protocol import SidecarProtocol, converter
from .review import Review
from .runs import Runs
from .stdio import Wire
from .takers import EventTaker, PlainTaker
from .text import Encoding

log = logging.getLogger(__name__)

Handler = Callable[[Any, types.ProgressToken | None], Awaitable[Model | dict[str, Any]]]


class Sidecar(LanguageServer):
    """One editor's server.

    Attributes:
        events: whether the editor takes `continueExec/event`.
    """

    def __init__(self, wire: Wire, client: Client | None = None, quiet_client: Client | None = None) -> None:
        self.protocol: SidecarProtocol
        super().__init__("continue-exec", __version__, protocol_cls=SidecarProtocol, converter_factory=converter)
        self.wire = wire
        self.events = False
        self._progress = False
        name = f"lsp-{os.getpid()}"
        self._client = client or Client(name=name)
        self._quiet = quiet_client or Client(name=name, start_engine=False)
        self.documents = Documents()
        self.folders = Folders(self._folder_uris)
        self.buffers = Buffers(self._client, self.documents)
        self.followers = Followers(self._client)
        self.news = News(self._client, lambda name, params: self.protocol.notify(name, params))
        self.review = Review(
            client=self._client,
            documents=self.documents,
            folders=self.folders,
            buffers=self.buffers,
            editor=self,
        )
        self.runs = Runs(
            client=self._client,
            documents=self.documents,
            folders=self.folders,
            buffers=self.buffers,
            followers=self.followers,
            taker=self._taker,
            progress=self._slow,
        )
        self._handlers: dict[str, Handler] = {
            "continueExec/run": self.runs.run,
            "continueExec/runFile": self.runs.run_file,
            "continueExec/runSelection": self.runs.run_selection,
            "continueExec/runSnippet": self.runs.run_snippet,
            "continueExec/stdin": self._stdin,
            "continueExec/resize": self._resize,
            "continueExec/cancel": self._cancel,
            "continueExec/attach": self._attach,
            "continueExec/detach": self._detach,
            "continueExec/runs": self._runs,
            "continueExec/changes": _alone(self.review.changes),
            "continueExec/content": _alone(self.review.content),
            "continueExec/apply": _alone(self.review.apply),
            "continueExec/discard": _alone(self.review.discard),
            "continueExec/rewind": _alone(self.review.rewind),
            "continueExec/runChanges": _alone(self.review.run_changes),
            "continueExec/fetch": _alone(self.review.fetch),
            "continueExec/sandboxes": self._ask("sandbox.list"),
            "continueExec/languages": self._ask("language.list"),
            "continueExec/doctor": self._ask("engine.doctor"),
            "continueExec/status": self._status,
        }
        self._register()

    def _register(self) -> None:
        for name in lsp.REQUESTS:
            self.feature(name)(self._request_handler(name))
        for command in lsp.COMMANDS:
            self.command(command)(_function(_listed))
        notified: dict[str, Callable[[Any], None]] = {
            types.INITIALIZE: self._initialize,
            types.TEXT_DOCUMENT_DID_OPEN: self._opened,
            types.TEXT_DOCUMENT_DID_CHANGE: self._edited,
            types.TEXT_DOCUMENT_DID_SAVE: self._saved,
            types.TEXT_DOCUMENT_DID_CLOSE: self._closed,
        }
        for name, method in notified.items():
            self.feature(name)(_function(method))
        self.feature(types.TEXT_DOCUMENT_CODE_LENS)(_coroutine(self._code_lens))
        self.feature(types.WORKSPACE_TEXT_DOCUMENT_CONTENT)(_coroutine(self._virtual))
        self.protocol.execute_command = self._execute
        self.protocol.contents = types.TextDocumentContentOptions(schemes=list(contents.SIDES))
        self.protocol.offers = {"continueExec": {"version": __version__, "requests": sorted(lsp.REQUESTS)}}

    # Life

    def _initialize(self, params: types.InitializeParams) -> None:
        says = [params.initialization_options, params.capabilities.experimental]
        ours = [
            one["continueExec"] for one in says if isinstance(one, dict) and isinstance(one.get("continueExec"), dict)
        ]
        self.events = any(one.get("events") is True for one in ours)
        self.review.abilities = Abilities.of(params.capabilities)
        window = params.capabilities.window
        self._progress = bool(window and window.work_done_progress)
        encoding = self.workspace.position_encoding
        self.documents.encoding = cast(Encoding, str(getattr(encoding, "value", encoding) or "utf-16"))
        if not self.events:
            # For editors without code lenses (Helix); in an editor with buttons of its own they would be noise.
            self.feature(types.TEXT_DOCUMENT_CODE_ACTION)(_function(self._code_action))

    async def close(self) -> None:
        """End everything of this sidecar. Runs go on."""
        await self.runs.close()
        await self.news.close()
        await self.review.close()
        await self.followers.close()
        await self.buffers.close(self._quiet)
        await self._client.close()
        await self._quiet.close()

    def report_server_error(self, error: Exception, source: Any) -> None:
        """To the log: a box in the editor for every refused request would help nobody."""
        log.info("%s: %s", getattr(source, "__name__", source), error)

    def _folder_uris(self) -> Iterator[str]:
        workspace = self.workspace
        if workspace.folders:
            yield from workspace.folders
        elif workspace.root_uri:
            yield workspace.root_uri

    def _taker(self, run_id: str, title: str, folder: str | None = None) -> Taker:
        if not self.events:
            return PlainTaker(self, self.wire, run_id, title)
        taker = EventTaker(self.wire)
        return taker if folder is None else self.news.after(taker, folder, run_id)

    def _slow(self, title: str, token: types.ProgressToken | None) -> Slow:
        return Slow(self, title, supported=self._progress, token=token)

    # Requests of our own, and commands

    def _request_handler(self, name: str) -> Callable[[Any], Awaitable[Any]]:
        async def handle(params: Any) -> Any:
            return await self._carry_out(name, params, None)

        return handle

    async def _carry_out(self, name: str, params: Any, token: types.ProgressToken | None) -> Any:
        try:
            request = lsp.REQUESTS[name].params.model_validate({} if params is None else params)
            answer = await self._handlers[name](request, token)
        except ValidationError as error:
            raise rpc.exception(rpc.invalid_params(name, error)) from None
        except ContinueExecError as error:
            raise rpc.exception(error) from None
        except Exception as error:
            log.exception("%s failed", name)
            raise rpc.exception(InternalError(f"{name} failed inside the sidecar: {type(error).__name__}.")) from None
        return answer.model_dump(mode="json", by_alias=True) if isinstance(answer, Model) else answer

    async def _execute(self, params: Any) -> Any:
        command = params.get("command") if isinstance(params, dict) else None
        if not isinstance(command, str) or command not in lsp.COMMANDS:
            raise rpc.exception(NotFound(f"There is no command {command!r}.", hint="docs/reference/lsp.md lists them."))
        arguments = params.get("arguments") or []
        if not isinstance(arguments, list) or len(arguments) > 1:
            raise rpc.exception(
                InvalidRequest(f"{command} takes one argument, an object.", hint="docs/reference/lsp.md")
            )
        request = lsp.COMMANDS[command]
        answer = await self._carry_out(request, arguments[0] if arguments else {}, params.get("workDoneToken"))
        if not self.events and (text := words.of(request, answer)) is not None:
            self.window_show_message(types.ShowMessageParams(types.MessageType.Info, text))
        return answer

    def _ask(self, method: str) -> Handler:
        async def handle(_: Model, __: types.ProgressToken | None) -> dict[str, Any]:
            return await self._client.call(method)

        return handle

    async def _stdin(self, params: lsp.StdinParams, _: types.ProgressToken | None) -> Model:
        await self._client.call("run.stdin", params.model_dump())
        return Nothing()

    async def _resize(self, params: lsp.ResizeParams, _: types.ProgressToken | None) -> Model:
        await self._client.call("run.resize", params.model_dump())
        return Nothing()

    async def _cancel(self, params: lsp.CancelParams, _: types.ProgressToken | None) -> dict[str, Any]:
        run_id = params.run_id or self.runs.newest
        if run_id is None:
            raise NotFound("This editor has started no run yet.", hint="Name one in `runId`.")
        return await self._client.call("run.cancel", {"run_id": run_id, "grace_s": params.grace_s})

    async def _attach(self, params: lsp.AttachParams, _: types.ProgressToken | None) -> dict[str, Any]:
        return await self.runs.attach(params)

    async def _detach(self, params: lsp.DetachParams, _: types.ProgressToken | None) -> Model:
        self.followers.detach(params.run_id)
        return Nothing()

    async def _runs(self, params: lsp.RunsParams, _: types.ProgressToken | None) -> dict[str, Any]:
        query: dict[str, Any] = {"active": params.active, "limit": params.limit}
        if params.uri is not None:
            query["workspace"] = {"path": self.folders.of(params.uri)}
        return await self._client.call("run.list", query)

    async def _status(self, _: Model, __: types.ProgressToken | None) -> dict[str, Any]:
        try:
            engine = await self._quiet.call("engine.status")
        except EngineUnavailable:
            engine = None
        return {"version": __version__, "following": list(self.followers.run_ids), "engine": engine}

    async def _virtual(self, params: types.TextDocumentContentParams) -> types.TextDocumentContentResult:
        try:
            return types.TextDocumentContentResult(await contents.text(self.review, self.folders, params.uri))
        except ContinueExecError as error:
            raise rpc.exception(error) from None

    # Documents

    def _opened(self, params: types.DidOpenTextDocumentParams) -> None:
        document = params.text_document
        self.documents.opened(document.uri, str(document.language_id), document.text, document.version)

    def _edited(self, params: types.DidChangeTextDocumentParams) -> None:
        self.documents.edited(params.text_document.uri, list(params.content_changes), params.text_document.version)
        self._changed(params.text_document.uri)

    def _saved(self, params: types.DidSaveTextDocumentParams) -> None:
        self.documents.saved(params.text_document.uri)
        self.review.saved(params.text_document.uri)
        self._changed(params.text_document.uri)

    def _closed(self, params: types.DidCloseTextDocumentParams) -> None:
        self.documents.closed(params.text_document.uri)
        self._changed(params.text_document.uri)

    def _changed(self, uri: str) -> None:
        if path_of(uri) is not None:
            self.buffers.changed(self.folders.of(uri))

    # Where "Run in Sandbox" stands

    async def _code_lens(self, params: types.CodeLensParams) -> list[types.CodeLens]:
        uri = params.text_document.uri
        document = self.documents.get(uri)
        if document is None:
            return []
        try:
            languages = await self.runs.languages()
            folder = self.folders.of(uri)
        except ContinueExecError as error:
            log.warning("no code lenses: %s", error)  # a run says it aloud
            return []
        path = document.path or uri
        found = await asyncio.to_thread(lenses.find, uri, path, document.language_id, folder, document.text, languages)
        return [
            types.CodeLens(_line(lens.line), types.Command(lens.title, lens.command, arguments=[lens.argument]))
            for lens in found
        ]

    def _code_action(self, params: types.CodeActionParams) -> list[types.Command]:
        uri = params.text_document.uri
        folder = uri_of(self.folders.of(uri))
        actions = [
            types.Command("Run file in Sandbox", "continue-exec.runFile", arguments=[{"uri": uri}]),
            types.Command("List the Sandbox's changes", "continue-exec.changes", arguments=[{"uri": folder}]),
            types.Command("Apply the Sandbox's changes", "continue-exec.apply", arguments=[{"uri": uri, "all": True}]),
        ]
        if params.range.start != params.range.end:
            where = self.protocol._converter.unstructure(params.range)
            argument = {"uri": uri, "range": where}
            actions.insert(
                0, types.Command("Run selection in Sandbox", "continue-exec.runSelection", arguments=[argument])
            )
        return actions


def _alone(method: Callable[[Any], Awaitable[Model | dict[str, Any]]]) -> Handler:
    """A handler that shows no progress."""

    async def handle(params: Any, _: types.ProgressToken | None) -> Model | dict[str, Any]:
        return await method(params)

    return handle


def _function(method: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """pygls marks what it registers; bound methods cannot be marked."""
    return lambda params: method(params)


def _coroutine(method: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    async def handle(params: Any) -> Any:
        return await method(params)

    return handle


def _listed(_: Any) -> None:
    """Registered so that pygls lists the command in its capabilities; `Sidecar._execute` carries it out."""


def _line(number: int) -> types.Range:
    return types.Range(types.Position(number, 0), types.Position(number, 0))
