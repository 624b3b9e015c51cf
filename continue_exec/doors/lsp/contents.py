"""Virtual documents (LSP 3.18, `workspace/textDocumentContent`): one side of a file under a URI of its own.

`ce-sandbox:///path`, `ce-base:///path` and `ce-merged:///path` name the file by its path in the workspace, for diff
editors of any client that knows 3.18. What `continueExec/content` says of other clients' needs.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from ...errors import InvalidRequest
from ...protocol.changes import Content, Side
from .folders import Folders
from .review import Review

SIDES = {"ce-sandbox": Side.SANDBOX, "ce-base": Side.BASE, "ce-merged": Side.MERGED}


async def text(review: Review, folders: Folders, uri: str) -> str:
    """The text behind a virtual URI. What is no text is said in words, in place of it.

    Raises:
        InvalidRequest: it is no such URI.
        ContinueExecError: what the engine answers.
    """
    scheme = urlsplit(uri).scheme
    if scheme not in SIDES:
        raise InvalidRequest(f"{uri} is no document of ours.", hint=f"Its scheme is one of {', '.join(SIDES)}.")
    file = "file://" + urlsplit(uri).path
    return _words(await review.side(folders.of(file), file, SIDES[scheme]))


def _words(content: Content) -> str:
    if not content.exists:
        return ""
    if content.text is not None:
        return content.text
    if content.target is not None:
        return content.target
    return "A folder.\n" if content.type == "folder" else "A binary file.\n"
