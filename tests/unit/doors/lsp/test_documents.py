from __future__ import annotations

from pathlib import Path

import pytest
from lsprotocol.types import Position, Range, TextDocumentContentChangePartial, TextDocumentContentChangeWholeDocument

from continue_exec.doors.lsp.documents import Documents, path_of
from continue_exec.errors import InvalidRequest


def edit(line: int, start: int, end: int, text: str) -> TextDocumentContentChangePartial:
    return TextDocumentContentChangePartial(Range(Position(line, start), Position(line, end)), text)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///w/a.py", "/w/a.py"),
        ("file:///w/a%20b%C3%A9.py", "/w/a bé.py"),
        ("file://localhost/w/./x/../a.py", "/w/a.py"),
        ("untitled:Untitled-1", None),
        ("vscode-notebook-cell:/w/n.ipynb#W0", None),
    ],
)
def test_uris_name_paths(uri: str, path: str | None) -> None:
    assert path_of(uri) == path


@pytest.mark.parametrize(
    "uri", ["", "/w/a.py", "file://server/share/a.py", "file:relative", "file:///a%00b", "http://["]
)
def test_uris_that_name_nothing_here_are_refused(uri: str) -> None:
    with pytest.raises(InvalidRequest):
        path_of(uri)


def test_only_what_differs_from_the_disk_is_dirty(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("one\n")
    uri = file.as_uri()
    documents = Documents()
    documents.opened(uri, "python", "one\n")
    assert documents.dirty(str(tmp_path)) == {}
    documents.edited(uri, [edit(0, 0, 3, "two")])
    assert documents.dirty(str(tmp_path)) == {str(file): "two\n"}
    assert documents.dirty(str(tmp_path) + "-other") == {}
    documents.edited(uri, [edit(0, 0, 3, "one")])
    assert documents.dirty(str(tmp_path)) == {}, "undone by hand"
    documents.edited(uri, [TextDocumentContentChangeWholeDocument("three\n")])
    assert documents.dirty(str(tmp_path)) == {str(file): "three\n"}
    file.write_text("three, formatted on save\n")
    documents.saved(uri)
    assert documents.dirty(str(tmp_path)) == {}
    documents.edited(uri, [edit(0, 0, 0, "x")])
    documents.closed(uri)
    assert documents.dirty(str(tmp_path)) == {}


def test_restored_and_new_documents_are_dirty_when_opened(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("saved\n")
    documents = Documents()
    documents.opened(file.as_uri(), "python", "restored\n")
    documents.opened((tmp_path / "new.py").as_uri(), "python", "never saved\n")
    documents.opened("untitled:1", "python", "in no file\n")
    assert documents.dirty(str(tmp_path)) == {str(file): "restored\n", str(tmp_path / "new.py"): "never saved\n"}


@pytest.mark.parametrize("saved", [b"\xef\xbb\xbfs\xc3\xbc\n", b"s\xfc\n"])
def test_a_files_own_encoding_is_not_an_edit(tmp_path: Path, saved: bytes) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(saved)
    documents = Documents()
    documents.opened(file.as_uri(), "plaintext", "sü\n")
    assert documents.dirty(str(tmp_path)) == {}


def test_several_changes_apply_in_their_order_and_in_the_encodings_units() -> None:
    documents = Documents()
    documents.encoding = "utf-8"
    documents.opened("untitled:1", "python", "\f😀 = 1\n")
    documents.edited("untitled:1", [edit(0, 8, 9, "2"), edit(0, 0, 1, "")])
    found = documents.get("untitled:1")
    assert found is not None and found.text == "😀 = 2\n"
    documents.edited("untitled:unknown", [edit(0, 0, 0, "x")])
