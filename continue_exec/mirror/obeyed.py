"""What this workspace's host runs by itself under names that do not tell: behind links, and where Git looks for hooks.

`.envrc` may be a link to `tools/env.sh`, `.git/hooks/pre-commit` one to `scripts/check`, and `core.hooksPath` names any
folder. What comes home to such a place needs the same yes as what is behind the telling name.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator

from . import guard
from .changes import parents
from .folder import Gone, SafeFolder

_MOST_LINKS = 40
"""As the kernel's own limit for one path, path_resolution(7)."""
_HOOKS = ".git/hooks"


class Obeyed:
    """The places of one workspace, as they are now. Blocks: some file operations for each link.

    Args:
        files: the workspace.
        root: its path.
        links: its symbolic links, below it.
        hooks: where Git takes hooks from instead, below it (`core.hooksPath`).
    """

    def __init__(self, files: SafeFolder, root: str, links: Iterable[str], hooks: Iterable[str] = ()) -> None:
        self._files = files
        self._root = root
        self._places: dict[str, str] = {}
        for folder in hooks:
            self._add(folder, "Git takes its hooks from there (core.hooksPath)")
        for link in links:
            if guard.executed(link):
                self._follow(link, f"{link} is a link to it")
        for name in self._hook_links():
            self._follow(f"{_HOOKS}/{name}", f"Git's hook {name} is a link to it")

    def why(self, path: str) -> str:
        """What runs or obeys a path by itself, in words; empty: nothing that is known."""
        for above in (path, *parents(path)):
            if found := self._places.get(guard.folded(above)):
                return found
        return ""

    def _hook_links(self) -> Iterator[str]:
        try:
            names = self._files.names(_HOOKS)
        except OSError:
            return
        yield from (name for name in names if not name.endswith(".sample"))

    def _follow(self, link: str, why: str) -> None:
        for _ in range(_MOST_LINKS):
            try:
                target = self._files.target(link)
            except (Gone, OSError):
                return
            leads = posixpath.normpath(posixpath.join(self._root, posixpath.dirname(link), target))
            if not leads.startswith(self._root.rstrip("/") + "/"):
                return
            link = os.path.relpath(leads, self._root)
            self._add(link, why)

    def _add(self, place: str, why: str) -> None:
        self._places.setdefault(guard.folded(place), why)
