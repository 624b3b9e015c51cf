"""Deltas in words and lines: the Change that a person reviews, one side's content, an editor's edits. Blocks."""

from __future__ import annotations

import base64
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Literal

from ..errors import Conflict, NotFound, TooLarge
from ..mirror import guard, text
from ..mirror.blobs import TEXT_LIMIT, is_text
from ..mirror.changes import Delta, Version, parents
from ..mirror.folder import Gone, SafeFolder
from ..mirror.obeyed import Obeyed
from ..mirror.state import digest
from ..protocol import changes as c
from .history import Step
from .review import Review

Type = Literal["file", "symlink", "folder"]
Picked = tuple[c.Change, c.Pick, Sequence[Delta]]
"""One change, what of it is meant, and the deltas that it is made of: of a rename there are two."""
CONTENT_LIMIT = 64 << 20
"""Bytes of a file that `changes.content` hands out."""


def type_of(version: Version) -> Type:
    """A version's kind in the words of the wire; what is none of them counts as a file, and is refused anyway."""
    match version.kind:
        case "l":
            return "symlink"
        case "d":
            return "folder"
    return "file"


def kind_of(delta: Delta) -> Literal["added", "modified", "deleted"]:
    """What the sandbox did, seen from the host."""
    if not delta.host.kind:
        return "added"
    return "modified" if delta.inside.kind else "deleted"


def short(steps: Mapping[str, Step]) -> tuple[c.RunChange, ...]:
    """What a run changed, without the folders that came or went with what was in them."""
    told = {
        parent
        for path, step in steps.items()
        if "d" not in (step.before.kind, step.after.kind)
        for parent in parents(path)
    }
    return tuple(
        c.RunChange(path=path, kind="added" if not step.before.kind else "modified" if step.after.kind else "deleted")
        for path, step in sorted(steps.items())
        if path not in told
    )


class Contents:
    """Reads both sides of one sandbox's changes."""

    def __init__(self, review: Review) -> None:
        self.review = review
        self._listings: dict[str, dict[str, list[str]]] = {}
        self._obeyed: Obeyed | None = None

    # The list

    def changes(
        self, deltas: Sequence[Delta], *, hunks: bool, counts: bool = True, only: Container[str] | None = None
    ) -> list[c.Change]:
        """One Change for each delta, but one for the two of a rename.

        Args:
            hunks: with the lines.
            counts: with their numbers, and whether it is text: both sides' files are read for it.
            only: of these paths; a rename has two.
        """
        renamed = renames(deltas)
        gone = set(renamed.values())
        by_path = {delta.path: delta for delta in deltas}
        added = [delta.path for delta in deltas if not delta.host.kind]
        found = []
        for delta in deltas:
            old = renamed.get(delta.path)
            wanted = only is None or delta.path in only or (old is not None and old in only)
            if wanted and delta.path not in gone:
                found.append(self._change(delta, by_path[old] if old else None, added, hunks, counts or hunks))
        return found

    def _change(self, delta: Delta, old: Delta | None, added: Sequence[str], hunks: bool, counts: bool) -> c.Change:
        lines = self._lines(delta) if old is None and counts else None
        differences = text.differences(*lines) if lines else []
        insertions, deletions = text.counts(differences)
        host = old.host if old else delta.host
        shown = delta.inside if delta.inside.kind else delta.host
        return c.Change(
            path=delta.path,
            kind="renamed" if old else kind_of(delta),
            old_path=old.path if old else None,
            type=type_of(shown),
            old_type=type_of(host) if host.kind and type_of(host) != type_of(shown) else None,
            mode=delta.inside.mode & 0o7777 if delta.inside.kind in ("f", "d") else None,
            old_mode=host.mode if host.kind in ("f", "d") else None,
            size=delta.inside.size,
            binary=counts and lines is None and old is None and "f" in (delta.inside.kind, delta.host.kind),
            insertions=insertions,
            deletions=deletions,
            hunks=tuple(_hunk(one, *lines) for one in differences) if lines and hunks and _sendable(lines) else (),
            conflict=self._conflict(delta),
            needs_yes=self._needs_yes(delta, old),
            refused=self._refused(delta, added),
            runs=self.review.history.runs_of(delta.path)[-20:],
            version=delta.version if old is None else digest((delta.version + old.version).encode()).hex()[:16],
        )

    def _conflict(self, delta: Delta) -> str:
        if not delta.both:
            return ""
        if why := self.review.mirror.contested.get(delta.path):
            return why
        if not delta.host.kind:
            return "deleted on the host, changed in the sandbox"
        if not delta.inside.kind:
            return "changed on the host, deleted in the sandbox"
        return "changed on both sides" if delta.base.kind else "made on both sides, not alike"

    def _needs_yes(self, delta: Delta, old: Delta | None) -> str:
        paths = [delta.path, old.path] if old else [delta.path]
        for path in paths:
            if why := guard.executed(path) or self._places().why(path):
                return why
        if delta.secret:
            return "its name is that of a file with secrets"
        return guard.exposed(delta.inside.kind, delta.inside.mode, (old or delta).host.mode)

    def _places(self) -> Obeyed:
        if self._obeyed is None:
            mirror = self.review.mirror
            links = [path for path, seen in mirror.state.entries.items() if seen.kind == "l"]
            links += mirror.kept_out  # secrets: `.envrc` is one
            self._obeyed = Obeyed(self.review.home.files, mirror.root, links, self.review.rules.hooks)
        return self._obeyed

    def _refused(self, delta: Delta, added: Sequence[str]) -> str:
        if delta.secret and delta.host.kind:
            return "the host has a secret of this name, which was never in the sandbox"
        target = ""
        if delta.inside.kind == "l":
            try:
                target = self.review.files.target(delta.path)
            except (Gone, OSError):
                target = ""
        if not delta.inside.kind:
            return guard.refusal(delta.path, "f", 0)
        if why := guard.refusal(delta.path, delta.inside.kind, delta.inside.mode, target):
            return why
        if target and (why := self.review.home.leads_out(delta.path, target)):
            return why
        return "" if delta.host.kind else self._clash(delta.path, added)

    def _clash(self, path: str, added: Sequence[str]) -> str:
        """Names on the way that some file systems take for others that are there, or that come as well."""
        parts = path.split("/")
        for depth, part in enumerate(parts):
            folder = "/".join(parts[:depth])
            beside = self._listing(folder, added)
            if other := guard.clash(part, beside):
                return f"{part} and {other} are one name to some file systems"
        return ""

    def _listing(self, folder: str, added: Sequence[str]) -> dict[str, list[str]]:
        if not self._listings:
            come: dict[str, set[str]] = {"": set()}
            for path in added:
                for child in (path, *parents(path)):
                    above, _, name = child.rpartition("/")
                    come.setdefault(above, set()).add(name)
            self._listings = {above: guard.names(self._on_host(above) | names) for above, names in come.items()}
        return self._listings.get(folder, {})

    def _on_host(self, folder: str) -> set[str]:
        try:
            return set(self.review.home.files.names(folder))
        except OSError:
            return set()

    # Bytes

    def host(self, path: str, version: Version, limit: int = TEXT_LIMIT) -> bytes | None:
        """The host's bytes of a version; None: too large, or it is no longer that."""
        if not version.kind:
            return b""
        held = self.review.mirror.buffers().get(path)
        return (
            held[0]
            if held and digest(held[0]) == version.digest
            else _bytes(self.review.home.files, path, version, limit)
        )

    def inside(self, path: str, version: Version, limit: int = TEXT_LIMIT) -> bytes | None:
        """The same inside."""
        return _bytes(self.review.files, path, version, limit) if version.kind else b""

    def _lines(self, delta: Delta) -> tuple[list[str], list[str]] | None:
        """Both sides' lines; None: not text, or too long."""
        sides = (delta.host, delta.inside)
        if any(side.kind not in ("", "f") or side.size > TEXT_LIMIT for side in sides):
            return None
        ours, theirs = self.host(delta.path, delta.host), self.inside(delta.path, delta.inside)
        if ours is None or theirs is None or not is_text(ours) or not is_text(theirs):
            return None
        return text.lines_of(ours), text.lines_of(theirs)

    def lines(self, delta: Delta) -> tuple[list[str], list[str]]:
        """Both sides' lines.

        Raises:
            Conflict: they are not text, or changed just now.
        """
        found = self._lines(delta)
        if found is None:
            raise Conflict(
                f"{delta.path} is not text, or it is changing just now", hint="Take all of it, or try again."
            )
        return found

    def merged(self, delta: Delta) -> bytes:
        """Both sides in one text.

        Raises:
            Conflict: they are not texts.
        """
        ours, theirs = self.lines(delta)
        base = self.review.bases.get(delta.base.digest) if delta.base.kind == "f" else b""
        return text.merge(base or b"", text.bytes_of(ours), text.bytes_of(theirs))[0]

    # One side, and edits

    def content(self, path: str, delta: Delta | None, side: c.Side) -> c.Content:
        """One side of a path, whether it differs or not."""
        seen = self.review.mirror.state.entries.get(path)
        if side is c.Side.MERGED:
            if delta is None or not delta.both:
                raise NotFound(f"{path} has nothing to be merged", hint="Ask for the side `sandbox`.")
            return _content(path, side, delta.host, self.merged(delta), delta.version)
        if side is c.Side.BASE:
            data = self.review.bases.get(seen.digest) if seen is not None else None
            if data is None:
                raise NotFound(
                    f"What both sides had of {path} is not kept", hint="It was no text, or larger than 1 MiB."
                )
            return _content(path, side, Version("f", seen.mode if seen else 0), data, delta.version if delta else "")
        files = self.review.home.files if side is c.Side.HOST else self.review.files
        held = self.review.mirror.buffers().get(path) if side is c.Side.HOST else None
        try:
            found = files.look(path)
        except OSError:
            raise Conflict(f"{path} cannot be read", hint="Look at its permissions.") from None
        version = delta.version if delta else ""
        if held is not None:
            return _content(path, side, Version("f", found.mode if found else 0o644), held[0], version)
        if found is None:
            return c.Content(path=path, side=side, exists=False, version=version)
        if found.kind == "l":
            try:
                target = files.target(path)
            except (Gone, OSError):
                raise Conflict(f"{path} is changing just now", hint="Try again.") from None
            return c.Content(path=path, side=side, exists=True, type="symlink", target=target, version=version)
        if found.kind == "d":
            return c.Content(
                path=path, side=side, exists=True, type="folder", mode=found.mode & 0o7777, version=version
            )
        if found.size > CONTENT_LIMIT:
            raise TooLarge(f"{path} has {found.size} bytes; the limit is {CONTENT_LIMIT}")
        try:
            data = files.read(path, CONTENT_LIMIT)
        except (Gone, OSError):
            raise Conflict(f"{path} is changing just now, or cannot be read", hint="Try again.") from None
        return _content(path, side, Version("f", found.mode), data, version)

    def proposal(self, change: c.Change, pick: c.Pick, delta: Delta) -> c.Proposal:
        """What an editor would have to do; `text` is None where it cannot.

        Raises:
            Refused: an editor would write through a link: it does not look where a path leads.
            Conflict: as `merged`.
        """
        self.review.home.check_links(change.path)
        plain = c.Proposal(path=change.path, kind=change.kind, old_path=change.old_path)
        if change.kind in ("deleted", "renamed"):
            return plain
        found = self._lines(delta)
        if found is None or not _sendable(found):
            return plain
        ours, theirs = found
        if pick.take is c.Side.MERGED:
            theirs = text.lines_of(self.merged(delta))
        differences = [one for one in text.differences(ours, theirs) if pick.hunks is None or one.id in pick.hunks]
        edits = tuple(
            c.LineEdit(start=one.a1 + 1, lines=one.a2 - one.a1, text="".join(theirs[one.b1 : one.b2]))
            for one in reversed(differences)
        )
        whole = text.take(ours, theirs, {one.id for one in differences})
        return plain.model_copy(update={"edits": edits, "text": "".join(whole)})


def renames(deltas: Sequence[Delta]) -> dict[str, str]:
    """New path → old path, of files that are the same bytes elsewhere now. Of several, one of that name."""
    gone: dict[bytes, list[str]] = {}
    for delta in deltas:
        if not delta.inside.kind and delta.host.kind == "f" and delta.host.size and not delta.both:
            gone.setdefault(delta.host.digest, []).append(delta.path)
    found = {}
    for delta in deltas:
        if delta.host.kind or delta.inside.kind != "f" or delta.secret:
            continue
        candidates = gone.get(delta.inside.digest)
        if candidates:
            name = delta.path.rpartition("/")[2]
            old = next((path for path in candidates if path.rpartition("/")[2] == name), candidates[0])
            candidates.remove(old)
            found[delta.path] = old
    return found


def _hunk(one: text.Difference, ours: list[str], theirs: list[str]) -> c.Hunk:
    return c.Hunk(
        id=one.id,
        old_start=one.a1 + 1,
        old_lines=one.a2 - one.a1,
        new_start=one.b1 + 1,
        new_lines=one.b2 - one.b1,
        old_text="".join(ours[one.a1 : one.a2]),
        new_text="".join(theirs[one.b1 : one.b2]),
    )


def _sendable(sides: Iterable[list[str]]) -> bool:
    """Whether it is UTF-8: JSON can carry nothing else."""
    try:
        for lines in sides:
            "".join(lines).encode()
    except UnicodeEncodeError:
        return False
    return True


def _bytes(files: SafeFolder, path: str, version: Version, limit: int) -> bytes | None:
    try:
        data = files.read(path, limit)
    except (Gone, OSError):
        return None
    return data if len(data) <= limit and digest(data) == version.digest else None


def _content(path: str, side: c.Side, version: Version, data: bytes, name: str) -> c.Content:
    shown = c.Content(path=path, side=side, exists=True, mode=version.mode & 0o7777, version=name)
    try:
        return shown.model_copy(update={"text": data.decode()})
    except UnicodeDecodeError:
        return shown.model_copy(update={"base64": base64.b64encode(data).decode()})
