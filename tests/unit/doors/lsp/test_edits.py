from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types

from continue_exec.doors.lsp import text as texts
from continue_exec.doors.lsp.documents import Documents
from continue_exec.doors.lsp.edits import Abilities, EditBuilder, ends_only, engine_lines
from continue_exec.doors.lsp.places import Place
from continue_exec.protocol.changes import Change, LineEdit, Proposal
from tests.support.two_sides import made_hunks

EVERYTHING = Abilities(apply=True, versions=True, create=True, rename=True, delete=True, confirm=True)
WHERE = Path("/w")


def proposal(old: str, new: str, path: str = "a", **fields: Any) -> Proposal:
    edits = [
        LineEdit(start=hunk["old_start"], lines=hunk["old_lines"], text=hunk["new_text"])
        for hunk in reversed(made_hunks(old, new))
    ]
    return Proposal(**{"path": path, "kind": "modified", "edits": tuple(edits), "text": new, **fields})


def documents(encoding: texts.Encoding = "utf-16", **opened: str) -> Documents:
    made = Documents()
    made.encoding = encoding
    for name, text in opened.items():
        made.opened((WHERE / name).as_uri(), "plaintext", text, version=7)
    return made


def builder(made: Documents | None = None, abilities: Abilities = EVERYTHING) -> EditBuilder:
    return EditBuilder(abilities, made or documents(), Place("/w", "/w"))


def after(text: str, edits: list[Any], encoding: texts.Encoding) -> str:
    """What an editor makes of a text: edits count in the text as it was."""
    for edit in sorted(edits, key=lambda e: (e.range.start.line, e.range.start.character), reverse=True):
        start, end = edit.range.start, edit.range.end
        text = texts.replace(text, (start.line, start.character), (end.line, end.character), edit.new_text, encoding)
    return text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
@pytest.mark.parametrize("is_open", [True, False])
def test_an_editor_that_makes_the_edits_has_the_proposed_text(encoding: texts.Encoding, is_open: bool) -> None:
    chance = random.Random(7)
    pool = ["a\n", "b\r\n", "😀 ü\n", "c\rd\n", "\n", "\x0c\n", "\u2028x\n", "same\n"]
    for _ in range(300):
        old_lines = [chance.choice(pool) for _ in range(chance.randrange(12))]
        new_lines = list(old_lines)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(new_lines) + 1)
            new_lines[at : at + chance.randrange(3)] = [chance.choice(pool) for _ in range(chance.randrange(3))]
        old, new = ("".join(lines)[: -1 if chance.random() < 0.3 else None] for lines in (old_lines, new_lines))
        made = builder(documents(encoding, **({"a": old} if is_open else {})))
        assert made.add(proposal(old, new), old)
        edit = made.build()
        if edit is None:
            assert old == new
            continue
        (operation,) = edit.document_changes or ()
        assert isinstance(operation, types.TextDocumentEdit)
        assert after(old, list(operation.edits), encoding) == new
        assert operation.text_document.version == (7 if is_open else None)


def test_another_text_than_the_engine_s_is_not_edited() -> None:
    """Even where the edits would give the proposed text: what was typed would be lost."""
    made = builder(documents(a="typed\n", n="typed", gone="typed\n"))
    assert not made.add(proposal("one\n", "two\n"), "one\n")
    assert not made.add(Proposal(path="n", kind="added", text="new\n"), None)
    assert not made.add(Proposal(path="gone", kind="deleted"), "bye\n")
    assert not made.add(proposal("one\n", "two\n", path="b", kind="renamed", old_path="a"), "one\n")
    assert made.build() is None


def test_edits_that_do_not_give_what_was_proposed_are_not_sent() -> None:
    made = builder()
    assert not made.add(proposal("one\n", "two\n"), "another\nbase\n")
    assert made.build() is None


@pytest.mark.parametrize("is_open", [True, False])
def test_a_byte_order_mark_that_editors_hide(is_open: bool) -> None:
    old, new = "\ufeffone\ntwo\n", "\ufeffONE\ntwo\nthree\n"
    made = builder(documents(**({"a": old[1:]} if is_open else {})))
    assert made.add(proposal(old, new), old)
    (operation,) = (made.build() or types.WorkspaceEdit()).document_changes or ()
    assert isinstance(operation, types.TextDocumentEdit)
    assert after(old[1:], list(operation.edits), "utf-16") == new[1:]


def test_files_that_come_go_and_move() -> None:
    made = builder(documents(old="x\ny\n"))
    assert made.add(Proposal(path="n ü", kind="added", text="new\n"), None)
    assert made.add(Proposal(path="empty", kind="added", text=""), None)
    assert made.add(Proposal(path="gone", kind="deleted"), "bye\n")
    assert made.add(proposal("x\ny\n", "x\nY\n", path="moved", kind="renamed", old_path="old"), "x\ny\n")
    operations = list((made.build() or types.WorkspaceEdit()).document_changes or ())
    assert [type(one).__name__ for one in operations] == [
        "CreateFile",
        "TextDocumentEdit",
        "CreateFile",
        "DeleteFile",
        "RenameFile",
        "TextDocumentEdit",
    ]
    created, filled, _, deleted, moved, edited = operations
    assert isinstance(created, types.CreateFile) and created.uri == "file:///w/n%20%C3%BC"
    assert isinstance(filled, types.TextDocumentEdit) and filled.edits[0].new_text == "new\n"  # type: ignore[union-attr]
    assert isinstance(deleted, types.DeleteFile) and deleted.uri == "file:///w/gone"
    assert isinstance(moved, types.RenameFile) and (moved.old_uri, moved.new_uri) == (
        "file:///w/old",
        "file:///w/moved",
    )
    assert isinstance(edited, types.TextDocumentEdit) and edited.text_document.uri == "file:///w/moved"
    assert edited.text_document.version is None


def test_a_file_moves_as_it_is() -> None:
    made = builder()
    assert made.add(Proposal(path="new", kind="renamed", old_path="old"), "x\n")
    (operation,) = (made.build() or types.WorkspaceEdit()).document_changes or ()
    assert isinstance(operation, types.RenameFile)


def test_a_new_file_that_is_open_already_is_filled_not_made() -> None:
    made = builder(documents(n=""))
    assert made.add(Proposal(path="n", kind="added", text="new\n"), None)
    (operation,) = (made.build() or types.WorkspaceEdit()).document_changes or ()
    assert isinstance(operation, types.TextDocumentEdit)
    assert after("", list(operation.edits), "utf-16") == "new\n"


def test_what_needs_a_yes_is_asked_again_where_the_editor_can() -> None:
    for abilities, asked in ((EVERYTHING, True), (Abilities(apply=True, versions=True), False)):
        made = builder(documents(a="x\n"), abilities)
        assert made.add(proposal("x\n", "y\n"), "x\n", needs_yes="it is executed")
        edit = made.build()
        assert edit is not None and bool(edit.change_annotations) is asked
        (operation,) = edit.document_changes or ()
        assert isinstance(operation, types.TextDocumentEdit)
        assert isinstance(operation.edits[0], types.AnnotatedTextEdit) is asked
        if edit.change_annotations:
            note = edit.change_annotations["a"]
            assert (note.needs_confirmation, note.description) == (True, "it is executed")


def test_an_editor_without_versions_gets_plain_changes() -> None:
    made = builder(documents(a="x\n"), Abilities(apply=True))
    assert made.add(proposal("x\n", "y\n"), "x\n")
    edit = made.build()
    assert edit is not None and edit.document_changes is None
    assert list(edit.changes or {}) == ["file:///w/a"]


def change(**fields: Any) -> Change:
    return Change(**{"path": "a", "kind": "modified", "type": "file", "version": "v", **fields})


def test_what_an_editor_can_do() -> None:
    text = proposal("x\n", "y\n")
    assert EVERYTHING.can(text, change())
    assert not Abilities().can(text, change())
    assert not EVERYTHING.can(Proposal(path="a", kind="modified"), change(binary=True))
    assert not EVERYTHING.can(Proposal(path="a", kind="modified", text="x"), change()), "only its mode"
    assert not EVERYTHING.can(text, change(type="symlink"))
    assert not EVERYTHING.can(text, change(old_type="symlink"))
    for kind, ability in (("added", "create"), ("deleted", "delete"), ("renamed", "rename")):
        one = Proposal(path="a", kind=kind, text="x", old_path="b")  # type: ignore[arg-type]
        assert EVERYTHING.can(one, change(kind=kind))
        without = Abilities(**{**vars(EVERYTHING), ability: False})
        assert not without.can(one, change(kind=kind))
    assert not EVERYTHING.can(Proposal(path="a", kind="deleted"), change(kind="deleted", binary=True))
    new = Proposal(path="a", kind="added", text="#!/bin/sh\n")
    assert EVERYTHING.can(new, change(kind="added", mode=0o644))
    assert not EVERYTHING.can(new, change(kind="added", mode=0o755)), "an editor's new file is not executable"


def test_abilities_are_what_the_client_says() -> None:
    assert Abilities.of(types.ClientCapabilities()) == Abilities()
    workspace = types.WorkspaceClientCapabilities(apply_edit=True)
    assert Abilities.of(types.ClientCapabilities(workspace=workspace)) == Abilities(apply=True)
    workspace.workspace_edit = types.WorkspaceEditClientCapabilities(
        document_changes=True,
        resource_operations=[types.ResourceOperationKind.Create, types.ResourceOperationKind.Delete],
        change_annotation_support=types.ChangeAnnotationsSupportOptions(),
    )
    found = Abilities.of(types.ClientCapabilities(workspace=workspace))
    assert found == Abilities(apply=True, versions=True, create=True, delete=True, confirm=True)


def test_lines_of_the_engine_and_line_ends() -> None:
    assert engine_lines("a\r\nb\rc\n") == [0, 3, 7]
    assert engine_lines("") == [0]
    assert ends_only("a\nb\n", "a\r\nb\r\n") and ends_only("a\rb", "a\nb")
    assert not ends_only("a\n", "b\n") and not ends_only("a\n", "a\n")
