"""The documents of an editor: what a WorkspaceEdit does to them, as VS Code does it (unsaved until saved)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from continue_exec.doors.lsp import text as texts
from continue_exec.doors.lsp.documents import path_of

from .lsp_peer import Editor

CAPABILITIES: dict[str, Any] = {
    "workspace": {
        "applyEdit": True,
        "workspaceEdit": {
            "documentChanges": True,
            "resourceOperations": ["create", "rename", "delete"],
            "changeAnnotationSupport": {},
        },
    }
}


@dataclass
class Open:
    """An open document."""

    text: str
    version: int = 1


class Workbench:
    """Answers `workspace/applyEdit`. Attributes: `edits`: what came; `refuse`: why to say no."""

    def __init__(self, editor: Editor, encoding: texts.Encoding = "utf-16") -> None:
        self.editor = editor
        self.encoding = encoding
        self.open: dict[str, Open] = {}
        self.edits: list[dict[str, Any]] = []
        self.refuse = ""
        editor.answers["workspace/applyEdit"] = self._answer

    def show(self, path: Path) -> str:
        """Open a file; its URI."""
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = file.read()
        self.open[path.as_uri()] = Open(text)
        return self.editor.open(path, text)

    def type(self, uri: str, text: str) -> None:
        """Replace a document's text."""
        document = self.open[uri]
        document.text, document.version = text, document.version + 1
        self.editor.change(uri, {"text": text}, version=document.version)

    def save(self, uri: str) -> None:
        """Write a document to its file."""
        with open(str(path_of(uri)), "w", encoding="utf-8", newline="") as file:
            file.write(self.open[uri].text)
        self.editor.notify("textDocument/didSave", {"textDocument": {"uri": uri}})

    def save_all(self) -> None:
        for uri in self.open:
            self.save(uri)

    def _answer(self, params: dict[str, Any]) -> dict[str, Any]:
        self.edits.append(params["edit"])
        if self.refuse:
            return {"applied": False, "failureReason": self.refuse}
        operations = params["edit"]["documentChanges"]
        for one in operations:
            document = one.get("textDocument")
            if (
                document
                and document["version"] is not None
                and document["version"] != self.open[document["uri"]].version
            ):
                return {"applied": False, "failureReason": "a document has changed in the meantime"}
        for one in operations:
            getattr(self, f"_{one.get('kind', 'edit')}")(one)
        return {"applied": True}

    def _edit(self, one: dict[str, Any]) -> None:
        uri = one["textDocument"]["uri"]
        if uri not in self.open:
            self.show(Path(str(path_of(uri))))
        text = self.open[uri].text
        places = [(edit["range"]["start"], edit["range"]["end"], edit["newText"]) for edit in one["edits"]]
        for start, end, new in sorted(places, key=lambda at: (at[0]["line"], at[0]["character"]), reverse=True):
            begin, stop = (start["line"], start["character"]), (end["line"], end["character"])
            text = texts.replace(text, begin, stop, new, self.encoding)
        self.type(uri, text)

    def _create(self, one: dict[str, Any]) -> None:
        path = Path(str(path_of(one["uri"])))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(exist_ok=False)

    def _delete(self, one: dict[str, Any]) -> None:
        self._close(one["uri"])
        os.unlink(str(path_of(one["uri"])))

    def _rename(self, one: dict[str, Any]) -> None:
        document = self._close(one["oldUri"])
        new = Path(str(path_of(one["newUri"])))
        new.parent.mkdir(parents=True, exist_ok=True)
        os.rename(str(path_of(one["oldUri"])), new)
        if document is not None:
            self.open[one["newUri"]] = document
            self.editor.open(new, document.text)

    def _close(self, uri: str) -> Open | None:
        document = self.open.pop(uri, None)
        if document is not None:
            self.editor.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        return document
