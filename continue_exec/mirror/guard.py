"""What may come home from the sandbox: what never may, and what needs a yes of its own.

Code inside chose every name and every byte. Refused is what no review could make safe: links that lead out of the
workspace, devices, set-user-id bits, anything of Git's own folder, two names that some file systems take for one. A yes
of its own is needed for files that a program on the host executes by itself, without being asked to run anything.

To add one: a row in EXECUTED; a case in tests/unit/mirror/test_guard.py; docs/reference/review.md.
"""

from __future__ import annotations

import os
import posixpath
import unicodedata
from collections.abc import Iterable

from .patterns import PatternList

EXECUTED: dict[str, tuple[str, ...]] = {
    "an editor runs tasks, debuggers and extensions from it": (
        ".vscode/", ".idea/", ".zed/", ".fleet/", ".nova/", ".theia/", "*.code-workspace", "*.sublime-project",
        ".vim/", ".nvim/", ".nvim.lua", ".nvimrc", ".vimrc", ".exrc", ".dir-locals.el", ".dir-locals-2.el", ".helix/",
        ".devcontainer/", ".devcontainer.json",
    ),
    "an assistant takes instructions, tools and servers from it": (
        ".continue/", ".continuerc.json", ".continueignore", ".claude/", ".cursor/", ".windsurf/", ".aider*",
        ".mcp.json", ".roo/", ".kiro/", ".gemini/", ".codex/", "CLAUDE.md", "AGENTS.md",
        ".cursorrules", ".windsurfrules",
    ),
    "it decides what continue_exec mirrors": (".continueexecignore",),
    "a shell runs it when the folder is entered": (
        ".envrc", ".env", ".env.*", ".autoenv", ".autoenv.zsh", ".mise.toml", "mise.toml", ".mise/", ".rtx.toml",
        ".tool-versions", "devenv.nix", "devbox.json", "flake.nix", "shell.nix", ".direnv/",
    ),
    "Git or a hook manager runs it at the next commit or checkout": (
        ".husky/", ".githooks/", ".git-hooks/", "hooks/pre-*", "hooks/post-*", ".pre-commit-config.yaml",
        "lefthook.y*ml", ".lefthook/", "lefthook-local.y*ml", ".lefthook.y*ml", ".overcommit.yml",
        ".gitattributes", ".gitmodules",
        ".gitconfig", ".lintstagedrc*", ".simple-git-hooks.*",
    ),
    "a package manager or build tool takes its registry, its hooks or its own program from it": (
        ".npmrc", ".yarnrc", ".yarnrc.yml", ".yarn/", ".pnpmfile.cjs", "pnpmfile.js", "pip.conf", "pip.ini", ".pypirc",
        "uv.toml", ".cargo/", ".mvn/", "gradle/wrapper/", ".bazelrc", ".bazeliskrc", "bunfig.toml", "nuget.config",
        ".bundle/", "gemrc", ".gemrc", ".condarc", "sitecustomize.py", "usercustomize.py", "*.pth", "init.gradle*",
        "rust-toolchain", "rust-toolchain.toml", ".node-version-hooks",
    ),
    "a debugger or an interpreter reads it at its start": (
        ".gdbinit", ".lldbinit", ".pdbrc", ".irbrc", ".pryrc", ".Rprofile", ".Renviron", ".bashrc", ".bash_profile",
        ".profile", ".zshrc", ".zshenv", ".zprofile", ".inputrc", ".screenrc", ".tmux.conf", ".wgetrc", ".curlrc",
    ),
    "a service that is connected to the repository runs it": (".github/workflows/", ".gitlab-ci.yml", ".circleci/"),
}  # fmt: skip
"""Why → patterns of .gitignore, case ignored. A folder's pattern stands for all below it."""

_LISTS = [(why, PatternList([name.encode() for name in names], ignore_case=True)) for why, names in EXECUTED.items()]

_IGNORED = dict.fromkeys([0x200C, 0x200D, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF])
"""Characters that HFS+ does not see in names: `.g\u200cit` is `.git` there (as git's own fsck has it)."""


def folded(name: str) -> str:
    """What a name is on a file system that ignores case, Unicode's form and characters without a width."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name.translate(_IGNORED)).casefold())


def refusal(path: str, kind: str, mode: int, target: str = "") -> str:
    """Why a path as it is inside may not come home, in words; empty: it may.

    Args:
        path: below the workspace.
        kind: `f`, `d`, `l`, or `o` for everything else.
        mode: permission bits with set-user-id and its like.
        target: of a link.
    """
    parts = path.split("/")
    for part in parts:
        plain = folded(part)
        # Windows drops dots and spaces at the end, and knows `.git` by its short name as well.
        if plain.rstrip(". ") == ".git" or plain.startswith(("git~", ".git::", ".git:")):
            return "it is of Git's own folder; commits come home as refs (`continue-exec fetch`)"
        if part in ("", ".", ".."):
            return f"the path has the component {part!r}"
    if kind == "o":
        return "it is a device, a pipe or a socket"
    if kind == "f" and mode & 0o6000:
        return f"it has the set-user-id or set-group-id bit ({mode:04o})"
    if kind == "l":
        return _link_refusal(path, target)
    return ""


def _link_refusal(path: str, target: str) -> str:
    if target.startswith("/") or not target:
        return f"it is a link to {target or 'nowhere'}, outside the workspace"
    leads = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    if leads.startswith("../") or leads == "..":
        return f"it is a link to {target}, outside the workspace"
    if any(folded(part) == ".git" for part in leads.split("/")):
        return f"it is a link into Git's own folder ({target})"
    return ""


def executed(path: str) -> str:
    """What on the host runs or obeys a file by itself, in words; empty: nothing that is known."""
    parts = path.split("/")
    for why, patterns in _LISTS:
        for count in range(1, len(parts) + 1):
            part = os.fsencode("/".join(parts[:count]))
            if patterns.match(part, part.rpartition(b"/")[2], count < len(parts)):
                return why
    return ""


def clash(name: str, beside: Iterable[str]) -> str:
    """A name that is there already and that some file systems take for `name`; empty: there is none."""
    mine = folded(name)
    return next((other for other in beside if other != name and folded(other) == mine), "")
