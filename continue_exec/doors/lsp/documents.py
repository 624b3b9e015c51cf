"""Open documents as the editor has them, and which of them differ from the disk.

Only what differs is sent to the engine: an unsaved text is what runs, a saved one comes by the mirror.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from ...errors import InvalidRequest
from . import text as texts
from .text import Encoding

BOM = b"\xef\xbb\xbf"


def path_of(uri: str) -> str | None:
    """The host path that a `file:` URI names; None for any other scheme.

    Raises:
        InvalidRequest: it is a `file:` URI of another host, or no URI.
    """
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise InvalidRequest(f"{uri!r} is not a URI: {error}.") from error
    if parts.scheme != "file":
        if not parts.scheme:
            raise InvalidRequest(f"{uri!r} is not a URI.", hint="Send `file:///absolute/path`.")
        return None
    path = unquote(parts.path, errors="surrogateescape")
    if parts.netloc not in ("", "localhost") or not path.startswith("/") or "\0" in path:
        raise InvalidRequest(f"{uri!r} names no file of this machine.", hint="Send `file:///absolute/path`.")
    return os.path.normpath(path)


@dataclass
class Document:
    """One open document.

    Attributes:
        path: on the host; None when the document is in no file.
        language_id: LSP's, as the editor says.
        changed: whether it may differ from the disk.
        version: the editor's number for the text; None: it gave none.
    """

    uri: str
    path: str | None
    language_id: str
    text: str
    changed: bool
    version: int | None = None

    def is_dirty(self) -> bool:
        """Whether the text differs from what is on the disk. Reads the file: not for the event loop."""
        if self.path is None or not self.changed:
            return False
        try:
            with open(self.path, "rb") as file:
                saved = file.read()
        except OSError:
            return True
        return saved.removeprefix(BOM) != self.text.encode("utf-8", "surrogatepass").removeprefix(BOM)


class Documents:
    """Every open document, by URI."""

    def __init__(self) -> None:
        self.encoding: Encoding = "utf-16"
        self._open: dict[str, Document] = {}

    def opened(self, uri: str, language_id: str, text: str, version: int | None = None) -> None:
        """didOpen. The text may already differ from the disk (an editor that restores unsaved files)."""
        path = path_of(uri)
        changed = path is not None and _may_differ(path, text)
        self._open[uri] = Document(uri, path, language_id, text, changed, version)

    def edited(self, uri: str, changes: list[Any], version: int | None = None) -> None:
        """didChange: LSP's content changes, in their order."""
        document = self._open.get(uri)
        if document is None:
            return
        for change in changes:
            where = getattr(change, "range", None)
            if where is None:
                document.text = change.text
            else:
                start, end = (where.start.line, where.start.character), (where.end.line, where.end.character)
                document.text = texts.replace(document.text, start, end, change.text, self.encoding)
        document.changed = True
        document.version = version

    def saved(self, uri: str) -> None:
        """didSave."""
        if (document := self._open.get(uri)) is not None:
            document.changed = False

    def closed(self, uri: str) -> None:
        """didClose: the file on disk counts again."""
        self._open.pop(uri, None)

    def get(self, uri: str) -> Document | None:
        """The open document, if it is open."""
        return self._open.get(uri)

    def at(self, path: str) -> Document | None:
        """The open document of a file."""
        return next((one for one in self._open.values() if one.path == path), None)

    def dirty(self, folder: str) -> dict[str, str]:
        """Path → text of unsaved documents below `folder`. Reads files: not for the event loop."""
        prefix = folder.rstrip("/") + "/"
        return {
            document.path: document.text
            for document in list(self._open.values())
            if document.path is not None and document.path.startswith(prefix) and document.is_dirty()
        }


def _may_differ(path: str, text: str) -> bool:
    """Whether a text just opened can differ from its file.

    A file that is not UTF-8 was decoded by the editor in a way that we cannot repeat: it counts as equal until edited.
    """
    try:
        with open(path, "rb") as file:
            saved = file.read()
        return saved.decode("utf-8-sig") != text.removeprefix("\ufeff")
    except UnicodeDecodeError:
        return False
    except OSError:
        return True
