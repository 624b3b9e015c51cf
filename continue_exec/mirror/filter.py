"""Which paths are mirrored.

In this order; the first that applies decides:
    1. `.git` stays out, and our own files that are not complete yet.
    2. What an include pattern names comes in (a folder: with all below it); secrets need a pattern that names them.
    3. What .gitignore files and, in a Git work tree, info/exclude and the user's excludes leave out stays out,
       unless it is tracked.
    4. What .continueexecignore files leave out stays out.
    5. Secrets stay out, and are reported.
    6. The rest comes in.
"""

from __future__ import annotations

import os
from collections.abc import Set
from dataclasses import dataclass, field
from enum import Enum, auto

from . import secrets
from .patterns import PatternList, parse
from .repository import Repository, find_top, read_rules

GIT_RULES = ".gitignore"
OWN_RULES = ".continueexecignore"
TEMPORARY = ".continue-exec-"
"""How names of files that are not complete begin, on both sides; they end in `.tmp`."""
RULE_FILES = frozenset({GIT_RULES, OWN_RULES, ".git"})
"""A change of one of these changes what is mirrored of the folder that holds it."""


_MOST_SCOPES = 100_000
"""Folders whose rules are remembered: some 50 MB."""


class Verdict(Enum):
    """What becomes of a path."""

    IN = auto()
    OUT = auto()
    SECRET = auto()
    """Out, and said so."""
    THROUGH = auto()
    """A folder that is out but may hold something that is named by an include pattern."""


@dataclass(frozen=True)
class IgnoreRules:
    """The settings of a mirror.

    `include`: patterns as in .gitignore, relative to the workspace, of what comes in although it is ignored or secret.
    A pattern with a slash is followed into ignored folders (`build/out.bin`); one without (`*.log`) is not. A secret
    comes in only if the last part of a pattern names it itself (`.env`, `certs/*.pem`), not with its folder or by `*`.
    """

    include: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Anchored:
    """A pattern list and how to make a path relative to its folder: cut `strip` bytes, put `lead` before."""

    patterns: PatternList
    strip: int
    lead: bytes = b""

    def match(self, path: bytes, name: bytes, folder: bool) -> bool | None:
        return self.patterns.match(self.lead + path[self.strip :], name, folder)


@dataclass
class Scope:
    """What applies to the entries of one folder."""

    prefix: str
    """The folder's path below the workspace with a slash at its end; "" for the workspace."""
    git: tuple[_Anchored, ...] = ()
    """Nearest first."""
    own: tuple[_Anchored, ...] = ()
    repository: Repository | None = None
    base: int = 0
    """Where in a path (below the workspace) the part below `repository` begins."""
    lead: str = ""
    """The workspace's own place below `repository`, if that lies above it."""
    ignored: bool = False
    """Git ignores the folder: only what is tracked or named comes in."""
    only_named: bool = False
    """The folder is out, but leads to what an include pattern names."""
    included: bool = False
    """The folder was named by an include pattern."""
    closed: bool = False
    """Nothing below comes in."""
    elsewhere: bool = False
    """On the host it is a link, or behind one: what is there is not the workspace's, and is not read."""


@dataclass
class Filter:
    """Decides for one workspace. Not for two threads at once."""

    root: str
    rules: IgnoreRules
    _scopes: dict[str, Scope] = field(default_factory=dict)
    _repositories: dict[str, Repository] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lines = [os.fsencode(pattern) for pattern in self.rules.include]
        self._include = PatternList(lines)
        self._naming = PatternList([line for line in lines if line.rstrip(b"/").rpartition(b"/")[2].strip(b"*?")])
        # Components of the patterns that have a slash before their end; each is a list of its own for matching.
        self._deep = [
            [part if part == b"**" else PatternList([part]) for part in line.strip(b"/").split(b"/")]
            for line in lines
            if b"/" in line.rstrip(b"/") and not line.startswith(b"!")
        ]

    @property
    def repositories(self) -> dict[str, str]:
        """Work trees at and below the workspace, as far as it was looked at: relative path → absolute."""
        return {rel: found.folder for rel, found in dict(self._repositories).items()}

    @property
    def notes(self) -> list[str]:
        """What git could not say, in words."""
        return [repository.note for repository in self._repositories.values() if repository.note]

    @property
    def hooks(self) -> list[str]:
        """Folders below the workspace that Git's settings name as those of its hooks."""
        top = self.root.rstrip("/") + "/"
        found = (repository.hooks for repository in self._repositories.values())
        return [hooks.removeprefix(top) for hooks in found if hooks.startswith(top)]

    def decide(self, scope: Scope, name: str, folder: bool) -> Verdict:
        """What becomes of the entry `name` of `scope`'s folder."""
        if scope.closed or name == ".git" or (name.startswith(TEMPORARY) and name.endswith(".tmp")):
            return Verdict.OUT
        rel = scope.prefix + name
        path, raw = os.fsencode(rel), os.fsencode(name)
        secret = secrets.by_name(raw, folder)
        if scope.included or (self._include and self._include.match(path, raw, folder)):
            if not secret or self._naming.match(path, raw, folder):
                return Verdict.IN
        elif self._left_out(scope, rel, path, raw, folder):
            return Verdict.THROUGH if folder and self._leads_on(path) else Verdict.OUT
        if not secret:
            return Verdict.IN
        return Verdict.THROUGH if folder and self._leads_on(path) else Verdict.SECRET

    def decide_path(self, rel: str, folder: bool) -> Verdict:
        """The same for a path below the workspace, whatever its depth."""
        parent, _, name = rel.rpartition("/")
        return self.decide(self.scope(parent), name, folder)

    def named(self, rel: str) -> bool:
        """Whether an include pattern names the file, so that its content does not matter."""
        return bool(self._naming) and bool(
            self._naming.match(os.fsencode(rel), os.fsencode(rel.rpartition("/")[2]), False)
        )

    def scope(self, rel: str, names: Set[str] = RULE_FILES) -> Scope:
        """The scope of a folder below the workspace; reads the ignore files that lead there, once.

        `names`: what is in the folder, if that is known, so that nothing else is looked for.
        """
        found = self._scopes.get(rel)
        if found is None:
            if not rel:
                found = self._top()
            else:
                parent, _, name = rel.rpartition("/")
                found = self._below(self.scope(parent), name, names)
            self._scopes[rel] = found
        return found

    def trim(self) -> None:
        """Forget what was read if it is much: the names of a hostile tree must not pile up here."""
        if len(self._scopes) > _MOST_SCOPES:
            self._scopes.clear()

    def visited(self, rel: str) -> bool:
        """Whether `rel` was seen as a folder."""
        return rel in self._scopes

    def drop(self, rel: str) -> None:
        """Forget what was read in a folder and below it."""
        if not rel:
            self._scopes.clear()
            self._repositories.clear()
            return
        below = rel + "/"
        for known in [key for key in self._scopes if key == rel or key.startswith(below)]:
            del self._scopes[known]
        for known in [key for key in self._repositories if key == rel or key.startswith(below)]:
            del self._repositories[known]

    def stale(self) -> bool:
        """Whether rules outside the tree changed (git's index, its excludes); then all is dropped. May ask git."""
        changed = False
        for repository in self._repositories.values():
            if repository.rules_changed() or (repository.index_changed() and repository.refresh()):
                changed = True
        if changed:
            self.drop("")
        return changed

    def may_be_stale(self) -> bool:
        """Whether `stale` would have to ask git. Some `stat`s."""
        return any(found.index_changed() or found.rules_changed() for found in self._repositories.values())

    def _left_out(self, scope: Scope, rel: str, path: bytes, raw: bytes, folder: bool) -> bool:
        if scope.only_named:
            return True
        if scope.ignored or _excluded(scope.git, path, raw, folder):
            repository = scope.repository
            if repository is None or scope.lead + rel[scope.base :] not in repository.forced:
                return True
        return _excluded(scope.own, path, raw, folder)

    def _leads_on(self, path: bytes) -> bool:
        """Whether an include pattern may name something below the folder `path`."""
        parts = path.split(b"/")
        for pattern in self._deep:
            for part, want in zip(parts, pattern, strict=False):
                if isinstance(want, bytes):
                    return True
                if not want.match(part, part, True):
                    break
            else:
                if len(parts) < len(pattern):
                    return True
        return False

    def _top(self) -> Scope:
        top = find_top(self.root)
        if top is None:
            return self._read(Scope(""))
        repository = Repository.open(top)
        self._repositories[""] = repository
        lead = os.path.relpath(self.root, top) + "/" if top != self.root else ""
        scope = Scope("", repository=repository, lead=lead)
        scope.git = tuple(_Anchored(patterns, 0, os.fsencode(lead)) for patterns in repository.lists)
        # .gitignore files between the work tree's top and the workspace.
        folder, above = top, os.fsencode(lead)
        for part in filter(None, lead.split("/")):
            if patterns := _patterns(os.path.join(folder, GIT_RULES), repository):
                scope.git = (_Anchored(patterns, 0, above), *scope.git)
            folder = os.path.join(folder, part)
            above = above.partition(b"/")[2]
        return self._read(scope)

    def _below(self, parent: Scope, name: str, names: Set[str]) -> Scope:
        rel = parent.prefix + name
        verdict = self.decide(parent, name, True)
        if verdict in (Verdict.OUT, Verdict.SECRET):
            return Scope(rel + "/", closed=True)
        path, raw = os.fsencode(rel), os.fsencode(name)
        scope = Scope(
            rel + "/",
            git=parent.git,
            own=parent.own,
            repository=parent.repository,
            base=parent.base,
            lead=parent.lead,
            ignored=parent.ignored or _excluded(parent.git, path, raw, True),
            only_named=parent.only_named or verdict is Verdict.THROUGH,
            included=verdict is Verdict.IN
            and (parent.included or bool(self._include and self._include.match(path, raw, True))),
            # Asked for a folder that the sandbox has made in a link's place.
            elsewhere=parent.elsewhere or os.path.islink(os.path.join(self.root, rel)),
        )
        if scope.elsewhere:
            return scope
        if ".git" in names and os.path.lexists(os.path.join(self.root, rel, ".git")):
            # A submodule or a repository of its own: rules of the outer one end here, as in git.
            repository = Repository.open(os.path.join(self.root, rel))
            self._repositories[rel] = repository
            scope.repository, scope.base, scope.lead, scope.ignored = repository, len(rel) + 1, "", False
            scope.git = tuple(_Anchored(patterns, len(path) + 1) for patterns in repository.lists)
        return self._read(scope, names)

    def _read(self, scope: Scope, names: Set[str] = RULE_FILES) -> Scope:
        """Add the ignore files of the scope's folder."""
        folder, strip = os.path.join(self.root, scope.prefix), len(os.fsencode(scope.prefix))
        if GIT_RULES in names and (patterns := _patterns(os.path.join(folder, GIT_RULES), scope.repository)):
            scope.git = (_Anchored(patterns, strip), *scope.git)
        if OWN_RULES in names and (patterns := _patterns(os.path.join(folder, OWN_RULES), scope.repository)):
            scope.own = (_Anchored(patterns, strip), *scope.own)
        return scope


def _patterns(path: str, repository: Repository | None) -> PatternList | None:
    text = read_rules(path)
    return PatternList(parse(text), repository is not None and repository.ignore_case) if text else None


def _excluded(lists: tuple[_Anchored, ...], path: bytes, name: bytes, folder: bool) -> bool:
    for patterns in lists:
        found = patterns.match(path, name, folder)
        if found is not None:
            return found
    return False
