"""What Git knows of a work tree: its excludes, and which ignored files are tracked all the same.

git is asked in a way that starts nothing the repository names (git/process.py), and it writes nothing. Where git
refuses (a repository of another user, a broken index) the folder is mirrored by its ignore files alone, and `note`
says so.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field

from .git import process
from .patterns import PatternList, parse

log = logging.getLogger(__name__)

_NO_HOOKS = "/dev/null"

Signature = tuple[int, int, int]


@dataclass
class Repository:
    """One work tree: the workspace's own, or one nested in it."""

    folder: str
    """Absolute path of the work tree."""
    forced: frozenset[str] = frozenset()
    """Paths relative to `folder` of files that are ignored, yet tracked, and of the folders that lead there."""
    lists: tuple[PatternList, ...] = ()
    """Patterns relative to `folder` that come after .gitignore files: info/exclude, then the user's excludes."""
    ignore_case: bool = False
    note: str = ""
    hooks: str = ""
    """Absolute path of the folder that core.hooksPath names; empty: Git's own."""
    _excludes: tuple[str, ...] = ()
    _index: str = ""
    _seen_rules: tuple[Signature | None, ...] = field(default=())
    _seen_index: Signature | None = None

    @classmethod
    def open(cls, folder: str) -> Repository:
        """Read everything there is to know. Never raises for what git or the repository lacks."""
        self = cls(folder)
        git_dir = git_dir_of(folder)
        common = common_dir_of(git_dir)
        self._index = os.path.join(git_dir, "index")
        settings, failure = self._settings()
        self.ignore_case = settings.get("core.ignorecase", "false").lower() in ("true", "yes", "on", "1")
        if hooks := settings.get("core.hookspath"):
            self.hooks = os.path.normpath(os.path.join(folder, os.path.expanduser(hooks)))
        user = settings.get("core.excludesfile") or os.path.join(_config_home(), "git", "ignore")
        user = os.path.join(folder, os.path.expanduser(user))
        exclude = os.path.join(common, "info", "exclude")
        self._excludes = (exclude, user, os.path.join(common, "config"), *_user_config())
        self._seen_rules = tuple(signature(path) for path in self._excludes)
        self.lists = tuple(
            patterns
            for path in (exclude, user)
            if (patterns := PatternList(parse(read_rules(path, follow=True)), self.ignore_case))
        )
        self.note = failure
        if not failure:
            self.refresh()
        return self

    def refresh(self) -> bool:
        """Ask again which ignored files are tracked; whether that changed. Blocks for some milliseconds."""
        self._seen_index = signature(self._index)
        if self._seen_index is None:  # nothing was ever added
            listed, failure = b"", ""
        else:
            listed, failure = _git(self.folder, "ls-files", "-z", "--cached", "--ignored", "--exclude-standard")
        forced = set()
        for name in filter(None, os.fsdecode(listed).split("\0")):
            path = name.rstrip("/")
            while path and path not in forced:
                forced.add(path)
                path = path.rpartition("/")[0]
        changed = forced != self.forced
        self.forced, self.note = frozenset(forced), failure
        return changed

    def rules_changed(self) -> bool:
        """Whether info/exclude, the user's excludes or git's configuration changed since `open`. Some `stat`s."""
        return any(signature(path) != seen for path, seen in zip(self._excludes, self._seen_rules, strict=True))

    def index_changed(self) -> bool:
        """Whether git's index changed since the last `refresh`. One `stat`."""
        return signature(self._index) != self._seen_index

    def _settings(self) -> tuple[dict[str, str], str]:
        output, failure = _git(
            self.folder, "config", "-z", "--get-regexp", r"^core\.(ignorecase|excludesfile|hookspath)$"
        )
        settings: dict[str, str] = {}
        for entry in filter(None, os.fsdecode(output).split("\0")):
            key, _, value = entry.partition("\n")
            if key != "core.hookspath" or value != _NO_HOOKS:  # which we said ourselves
                settings[key] = value
        return settings, failure


def find_top(folder: str) -> str | None:
    """The work tree that holds `folder` (absolute), itself included, by looking for `.git` upwards."""
    while True:
        if os.path.lexists(os.path.join(folder, ".git")):
            return folder
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent


def read_rules(path: str, *, follow: bool = False) -> bytes:
    """An ignore file's text; empty if it is not there. As in git, one inside the tree that is a link does not count."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        fd = os.open(path, flags)
    except OSError:
        return b""
    try:
        with os.fdopen(fd, "rb") as file:
            return file.read(1 << 20)
    except OSError:  # a folder, for instance
        return b""


def _git(folder: str, *arguments: str) -> tuple[bytes, str]:
    """Output of a git command, and words for why there is none."""
    try:
        return process.run(
            folder, *arguments, ok=(0, 1) if arguments[0] == "config" else (0,)
        ), ""  # 1: no such setting
    except process.GitMissing:
        return b"", f"git is not installed: tracked files of {folder} that its .gitignore names stay out"
    except process.GitFailed as error:
        log.warning("git %s: %s", arguments[0], error)
        return b"", f"{error}: tracked files that its .gitignore names stay out"


def git_dir_of(folder: str) -> str:
    """Where the repository is: `.git`, or what a `.git` file of a linked work tree or submodule points to."""
    path = os.path.join(folder, ".git")
    if not os.path.isdir(path):
        text = os.fsdecode(read_rules(path, follow=True)).strip()
        if text.startswith("gitdir:"):
            return os.path.normpath(os.path.join(folder, text.removeprefix("gitdir:").strip()))
    return path


def common_dir_of(git_dir: str) -> str:
    """Where a linked work tree keeps what it shares (gitrepository-layout(5), commondir)."""
    text = os.fsdecode(read_rules(os.path.join(git_dir, "commondir"), follow=True)).strip()
    return os.path.normpath(os.path.join(git_dir, text)) if text else git_dir


def _config_home() -> str:
    return os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")


def _user_config() -> tuple[str, str]:
    return os.path.expanduser("~/.gitconfig"), os.path.join(_config_home(), "git", "config")


def signature(path: str) -> Signature | None:
    """Time of modification, size and inode of a file; None if it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
