"""What applying changes means for an editor: one WorkspaceEdit, and what an edit cannot say.

Positions are counted in the text that the editor has, which must be the text that the engine compared with, and the
edits must give just the text that was proposed; else none is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lsprotocol import types

from ...protocol.changes import Change, LineEdit, Proposal
from . import text as texts
from .documents import Documents
from .places import Place, uri_of
from .text import Encoding

BOM = "\ufeff"
EXECUTABLE = 0o111


@dataclass(frozen=True)
class Abilities:
    """What the editor does with a WorkspaceEdit."""

    apply: bool = False
    versions: bool = False
    """It takes `documentChanges`, and with them versions."""
    create: bool = False
    rename: bool = False
    delete: bool = False
    confirm: bool = False
    """It asks before it does what `needsConfirmation` stands on."""

    @classmethod
    def of(cls, capabilities: types.ClientCapabilities) -> Abilities:
        """As the client says in `initialize`."""
        workspace = capabilities.workspace
        if workspace is None or not workspace.apply_edit:
            return cls()
        edit = workspace.workspace_edit or types.WorkspaceEditClientCapabilities()
        versions = bool(edit.document_changes)
        kinds = set(edit.resource_operations or ()) if versions else set()
        return cls(
            apply=True,
            versions=versions,
            create=types.ResourceOperationKind.Create in kinds,
            rename=types.ResourceOperationKind.Rename in kinds,
            delete=types.ResourceOperationKind.Delete in kinds,
            confirm=versions and edit.change_annotation_support is not None,
        )

    def can(self, proposal: Proposal, change: Change) -> bool:
        """Whether the editor can do it: text, in a file that stays a file."""
        if not self.apply or change.type != "file" or change.old_type not in (None, "file"):
            return False
        if proposal.kind == "deleted":
            return self.delete and not change.binary
        if proposal.kind == "renamed":
            return self.rename
        if proposal.text is None:
            return False
        if proposal.kind == "added":
            # An editor's new file is not executable, and once saved the host's mode would count.
            return self.create and not (change.mode or 0) & EXECUTABLE
        return bool(proposal.edits)


class EditBuilder:
    """Gathers proposals into one edit."""

    def __init__(self, abilities: Abilities, documents: Documents, place: Place) -> None:
        self._abilities = abilities
        self._documents = documents
        self._place = place
        self._operations: list[types.TextDocumentEdit | types.CreateFile | types.RenameFile | types.DeleteFile] = []
        self._annotations: dict[str, types.ChangeAnnotation] = {}

    def add(self, proposal: Proposal, base: str | None, needs_yes: str = "") -> bool:
        """Add one.

        Args:
            base: the host's text, with which the engine compared; None: there is none.
            needs_yes: why the editor should ask once more.

        Returns:
            False: the editor's text is not the one that the engine compared with, so nothing was added.
        """
        uri, version, held = self._document(proposal.path)
        annotation = self._annotation(proposal, needs_yes)
        old_uri = uri
        if proposal.kind == "renamed":
            old_uri, _, held = self._document(proposal.old_path or proposal.path)
        if held is not None and held.removeprefix(BOM) != (base or "").removeprefix(BOM):
            return False
        if proposal.kind == "deleted":
            self._operations.append(types.DeleteFile(uri, annotation_id=annotation))
            return True
        old = (base or "").removeprefix(BOM) if held is None else held  # editors hide the mark
        edits = _edits(proposal, old, self._documents.encoding)
        if edits is None:
            return False
        if proposal.kind == "added" and held is None:
            self._operations.append(types.CreateFile(uri, annotation_id=annotation))
        elif proposal.kind == "renamed":
            self._operations.append(types.RenameFile(old_uri, uri, annotation_id=annotation))
            version = None  # of a document that is not there yet
        if edits:
            self._operations.append(
                types.TextDocumentEdit(
                    types.OptionalVersionedTextDocumentIdentifier(uri, version),
                    [types.AnnotatedTextEdit(annotation, e.range, e.new_text) if annotation else e for e in edits],
                )
            )
        return True

    def build(self) -> types.WorkspaceEdit | None:
        """The edit; None if there is nothing to do."""
        if not self._operations:
            return None
        if self._abilities.versions:
            return types.WorkspaceEdit(document_changes=self._operations, change_annotations=self._annotations or None)
        changes: dict[str, Sequence[types.TextEdit]] = {
            one.text_document.uri: [edit for edit in one.edits if isinstance(edit, types.TextEdit)]
            for one in self._operations
            if isinstance(one, types.TextDocumentEdit)
        }
        return types.WorkspaceEdit(changes=changes)

    def _document(self, relative: str) -> tuple[str, int | None, str | None]:
        """URI, version and text of a path: the open document's, if it is open."""
        path = self._place.absolute(relative)
        document = self._documents.at(path)
        return (uri_of(path), None, None) if document is None else (document.uri, document.version, document.text)

    def _annotation(self, proposal: Proposal, needs_yes: str) -> str | None:
        if not needs_yes or not self._abilities.confirm:
            return None
        self._annotations[proposal.path] = types.ChangeAnnotation(
            label=proposal.path, needs_confirmation=True, description=needs_yes
        )
        return proposal.path


def _edits(proposal: Proposal, old: str, encoding: Encoding) -> list[types.TextEdit] | None:
    """LSP's edits of the text `old`; None if they would not give the proposed text."""
    if proposal.text is None:
        return []  # moved as it is
    new = proposal.text
    if not old.startswith(BOM):
        new = new.removeprefix(BOM)
    if proposal.kind == "added":
        return [types.TextEdit(_range((0, 0), (0, 0)), new)] if new else []
    starts = engine_lines(old)
    lines = texts.line_starts(old)
    result = old
    found: list[types.TextEdit] = []
    for edit in sorted(proposal.edits, key=lambda one: one.start, reverse=True):
        first, last, text = _span(edit, starts, len(old))
        if first == 0 and not old.startswith(BOM):
            text = text.removeprefix(BOM)
        result = result[:first] + text + result[last:]
        found.append(
            types.TextEdit(
                _range(texts.position(old, first, encoding, lines), texts.position(old, last, encoding, lines)), text
            )
        )
    return found if result == new else None


def _span(edit: LineEdit, starts: Sequence[int], length: int) -> tuple[int, int, str]:
    first, last = edit.start - 1, edit.start - 1 + edit.lines
    return (
        starts[first] if 0 <= first < len(starts) else length,
        starts[last] if 0 <= last < len(starts) else length,
        edit.text,
    )


def engine_lines(text: str) -> list[int]:
    """Where lines begin for the engine, for which only \\n ends one."""
    starts = [0]
    while (at := text.find("\n", starts[-1])) >= 0:
        starts.append(at + 1)
    return starts


def ends_only(old: str, new: str) -> bool:
    """Whether two texts differ in nothing but line ends.

    An editor gives a document one kind of line end and changes inserted ones to it: such an edit would do nothing.
    """
    return old != new and _plain(old) == _plain(new)


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _range(start: tuple[int, int], end: tuple[int, int]) -> types.Range:
    return types.Range(types.Position(*start), types.Position(*end))
