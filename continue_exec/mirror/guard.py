"""What may come home from the sandbox: what never may, and what needs a yes of its own.

Code inside chose every name and every byte. Refused is what no review could make safe: links that lead out of the
workspace, devices, set-user-id bits, anything of Git's own folder, two names that some file systems take for one, names
that a terminal or an editor would not show as they are.

A yes of its own is needed for what a program on the host runs or obeys without being told to: because a folder is
opened or entered, a file is saved, something is committed, or a tool that the user starts for another purpose takes its
own program, its plug-ins or its source of packages from it. Two borders of that are drawn on purpose:
    - The project's own code, its tests and its build files (`Makefile`, `build.gradle`, `CMakeLists.txt`, `setup.py`,
      `package.json`) are not in the list, although some editors build or collect tests by themselves: they change every
      day, all of it is reviewed anyway, and who is asked each time no longer looks.
    - Settings of linters and formatters that are programs (`eslint.config.js`) are in it: editors run them at once, and
      they rarely change.

To add one: a row in EXECUTED; a case in tests/unit/mirror/test_guard.py; docs/reference/homecoming.md.
"""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable, Mapping

from .patterns import PatternList

EXECUTED: dict[str, tuple[str, ...]] = {
    "an editor runs tasks, debuggers and extensions from it": (
        ".vscode/", ".vscode-test.*", "*.code-workspace", ".vs/", ".idea/", ".run/", "*.iml", "*.ipr", "*.iws",
        ".fleet/", ".zed/", ".nova/", ".theia/", ".helix/", "*.sublime-project", "*.sublime-workspace",
        "*.sublime-settings", "*.sublime-build", ".sublimelinterrc", ".vim/", ".nvim/", ".nvim.lua", ".nvimrc",
        ".vimrc", ".gvimrc", ".exrc", ".lvimrc", ".local.vimrc", ".vimspector.json", ".projections.json",
        ".neoconf.json", ".luarc.json", ".luarc.jsonc", ".dir-locals.el", ".dir-locals-2.el", ".kakrc", ".micro/",
        ".devcontainer/", ".devcontainer.json", ".gitpod.yml", ".project", ".classpath", ".factorypath", ".settings/",
        ".externalToolBuilders/", "*.launch", "compile_commands.json", "*.xcworkspace/", ".swiftpm/",
    ),
    "an assistant takes instructions, tools and servers from it": (
        ".continue/", ".continuerc.json", ".continuerules", ".continueignore", ".claude/", "CLAUDE.md",
        "CLAUDE.local.md", "AGENTS.md", "AGENT.md", "AGENTS.override.md", ".cursor/", ".cursorrules", ".cursorignore",
        ".windsurf/", ".windsurfrules", ".aider*", ".mcp.json", "mcp.json", ".roo/", ".roomodes", ".roorules*",
        ".clinerules", ".cline/", ".kilocode/", ".kiro/", ".gemini/", "GEMINI.md", ".codex/", ".junie/", ".augment/",
        ".augment-guidelines", ".amazonq/", ".trae/", ".qwen/", "QWEN.md", ".opencode/", "opencode.json*",
        ".goosehints", ".crush.json", "crush.json", ".rules", ".github/copilot-instructions.md",
        ".github/instructions/", ".github/prompts/", ".github/agents/", ".github/chatmodes/", ".github/hooks/",
        ".agents/",
    ),
    "it decides what continue_exec mirrors": (".continueexecignore",),
    "a shell runs it when the folder is entered": (
        ".envrc", ".env", ".env.*", ".autoenv", ".autoenv.zsh", ".autoenv_leave.zsh", ".mise.toml",
        "mise.toml", ".mise.*.toml", "mise.*.toml", ".mise/", "**/mise/config*.toml",
        ".rtx.toml", ".rtx/", ".tool-versions", ".prototools", ".direnv/", "devenv.nix", "devenv.yaml", "devenv.lock",
        "devbox.json", "devbox.lock", "flake.nix", "flake.lock", "shell.nix", ".flox/", ".hermit/", "bin/hermit*",
        "bin/activate-hermit", "manifest.scm", "guix.scm",
    ),
    "Git or a hook manager runs it at the next commit or checkout": (
        ".husky/", ".huskyrc*", ".githooks/", ".git-hooks/", ".hooks/", "hooks/pre-*", "hooks/post-*",
        "hooks/commit-msg", "hooks/prepare-commit-msg", "hooks/applypatch-msg", "hooks/update",
        "hooks/reference-transaction", "hooks/fsmonitor-*", ".pre-commit-config.yaml", ".pre-commit-hooks.yaml",
        "prek.toml", "lefthook.*", ".lefthook.*", ".lefthook/", "lefthook-local.*", ".lefthook-local.*",
        ".config/lefthook*", ".overcommit.yml", ".lintstagedrc*", "lint-staged.config.*", ".simple-git-hooks.*",
        "simple-git-hooks.*", ".commitlintrc*", "commitlint.config.*", ".czrc", ".cz.*", ".gitattributes",
        ".gitmodules", ".gitconfig", ".lfsconfig", ".jj/", ".hg/", ".hgrc", ".svn/", ".bzr/", ".sl/", ".pijul/",
    ),
    "a package manager or build tool takes its registry, its hooks or its own program from it": (
        ".npmrc", ".yarnrc", ".yarnrc.yml", ".yarn/", ".pnp.*", ".pnpmfile.*", "pnpmfile.js", "node_modules/",
        "bower_components/", ".bowerrc", "bunfig.toml", ".bunfig.toml", "pip.conf", "pip.ini", ".pypirc",
        ".pydistutils.cfg", "uv.toml", "poetry.toml", ".pdm.toml", ".pdm-python", "hatch.toml", ".condarc", "condarc",
        ".cargo/", "rust-toolchain", "rust-toolchain.toml", ".mvn/", "**/gradle/wrapper/", "init.gradle*", ".sbtopts",
        ".jvmopts", ".sdkmanrc", ".bazelrc", "*.bazelrc", ".bazeliskrc", ".bazelversion", "tools/bazel", ".buckconfig*",
        ".buckroot", ".pants.rc", ".pants.bootstrap", "nuget.config", "Directory.Build.*", "dotnet-tools.json",
        ".bundle/", "gemrc", ".gemrc", ".terraformrc", "terraform.rc", ".terraform/", ".opam-switch/",
        "cabal.project.local*",
    ),
    "an interpreter, a debugger or a program like it reads it at its start": (
        "*.pth", "sitecustomize.py", "usercustomize.py", "pyvenv.cfg", ".venv/", "venv/", "**/bin/python*",
        "**/Scripts/python*", ".pdbrc", ".pdbrc.py", ".pythonrc*", ".ipython/", ".jupyter/", ".gdbinit", ".lldbinit",
        ".irbrc", ".pryrc", ".rdbgrc", ".rubyopt", ".byebugrc", ".perldb", ".phpdbginit", ".user.ini", ".htaccess",
        ".Rprofile", ".Renviron", ".iex.exs", ".ghci", ".utoprc", ".ocamlinit", ".psqlrc", ".sqliterc", ".my.cnf",
        ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".profile", ".zshrc", ".zshenv",
        ".zprofile", ".zlogin", ".zlogout", ".kshrc", ".cshrc", ".tcshrc", ".login", ".config/", ".inputrc",
        ".screenrc", ".tmux.conf", ".wgetrc", ".curlrc", ".netrc", ".ssh/", ".gnupg/", ".docker/", ".kube/",
        ".mailcap", ".lessfilter", ".lesskey", ".ackrc", ".ripgreprc", ".ctags", ".ctags.d/", ".noserc",
    ),
    "an editor runs it as the settings of a linter, formatter or style tool": (
        ".eslintrc*", "eslint.config.*", ".prettierrc*", "prettier.config.*", ".stylelintrc*", "stylelint.config.*",
        "tailwind.config.*", "postcss.config.*", ".postcssrc*", "svelte.config.*", "biome.json*", "rome.json",
        "tslint.json", "tslint.js", ".markdownlint*", ".remarkrc*", ".textlintrc*", ".cspell.config.*",
        "cspell.config.*", ".ember-cli*", ".template-lintrc*", ".solhint*", "graphql.config.*", ".graphqlrc*",
        ".pylintrc", "pylintrc", ".pylintrc.toml", "pylintrc.toml", ".rubocop*", ".standard.yml", ".reek.yml",
        ".solargraph.yml", ".php-cs-fixer*", ".php_cs*", "phpcs.xml*", ".phpcs.xml*", "phpstan.neon*", "psalm.xml*",
        ".golangci.*", ".credo.exs", ".formatter.exs", ".luacheckrc", ".perlcriticrc", ".perltidyrc", ".lintr",
        ".hlint.yaml", "treefmt.toml", ".trunk/", ".mega-linter.yml", ".editorconfig-checker.json",
    ),
    "a service that is connected to the repository runs it": (
        "**/.github/workflows/", "**/.github/actions/", ".gitlab-ci.yml", ".gitlab/", ".circleci/", ".travis.yml",
        "azure-pipelines*.yml", ".azure-pipelines/", "Jenkinsfile*", "bitbucket-pipelines.yml", ".drone.yml",
        ".drone.star", ".woodpecker.y*ml", ".woodpecker/", "appveyor.yml", ".appveyor.yml", ".buildkite/",
        "cloudbuild.y*ml", "buildspec.y*ml", "codemagic.yaml", ".semaphore/", ".gitea/", ".forgejo/", ".cirrus.yml",
        ".cirrus.star", ".builds/", ".build.yml", "renovate.json*", ".renovaterc*", "netlify.toml", "vercel.json",
        ".replit",
    ),
}  # fmt: skip
"""Why → patterns of .gitignore, case ignored. A folder's pattern stands for all below it, and for a file or link of
its name."""

_LISTS = [(why, PatternList([name.encode() for name in names], ignore_case=True)) for why, names in EXECUTED.items()]

_IGNORED = dict.fromkeys([0x200C, 0x200D, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF])
"""Characters that HFS+ does not see in names: `.g\u200cit` is `.git` there (as git's own fsck has it)."""


_PATH_MAX = 3500
"""Bytes below the workspace. With more, programs on the host could not open the file by its path (PATH_MAX is 4096)."""

_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of text: what a person reads is not the name then."""

_SHORT_GIT = re.compile(r"git~[0-9]+")

Names = Mapping[str, Iterable[str]]
"""Names of one folder by what they are `folded`."""


def folded(name: str) -> str:
    """What a name is on a file system that ignores case, Unicode's form, characters without a width, and dots and
    spaces at the end."""
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name.translate(_IGNORED)).casefold())
    return plain.rstrip(". ") or plain


def refusal(path: str, kind: str, mode: int, target: str = "") -> str:
    """Why a path as it is inside may not come home, in words; empty: it may.

    Args:
        path: below the workspace.
        kind: `f`, `d`, `l`, or `o` for everything else.
        mode: permission bits with set-user-id and its like.
        target: of a link.
    """
    # Where a backslash parts folders (Windows, and shares of it) it must be as harmless.
    for part in re.split(r"[/\\]", path):
        if part in ("", ".", ".."):
            return f"the path has the component {part!r}"
        if _of_git(part):
            return "it is of Git's own folder; commits come home as refs (`continue-exec fetch`)"
    if _HIDDEN.search(path):
        return "its name has characters that are not shown as they are"
    if len(os.fsencode(path)) > _PATH_MAX:
        return f"its path is longer than {_PATH_MAX} bytes"
    if kind == "o":
        return "it is a device, a pipe or a socket"
    if kind == "f" and mode & 0o6000:
        return f"it has the set-user-id or set-group-id bit ({mode:04o})"
    if kind == "l":
        return _link_refusal(path, target)
    return ""


def _of_git(part: str) -> bool:
    """Whether some file system takes a name for `.git`: HFS+ and NTFS know it by others, and the latter its streams."""
    plain = folded(folded(part).partition(":")[0])
    return plain == ".git" or _SHORT_GIT.fullmatch(plain) is not None


def leads_to(path: str, target: str) -> str:
    """Where a relative link leads, below the workspace, if none of the folders above it is a link."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), target))


def _link_refusal(path: str, target: str) -> str:
    if _HIDDEN.search(target):
        return "it is a link to a name with characters that are not shown as they are"
    if target.startswith("/") or not target:
        return f"it is a link to {target or 'nowhere'}, outside the workspace"
    leads = leads_to(path, target)
    if leads.startswith("../") or leads == "..":
        return f"it is a link to {target}, outside the workspace"
    if ".." in target.split("/")[_climbs(target) :]:
        # Where the component before is a link itself, this leads up from somewhere else.
        return f"it is a link to {target}, which goes down and up again"
    if any(_of_git(part) for part in leads.split("/")):
        return f"it is a link into Git's own folder ({target})"
    return ""


def _climbs(target: str) -> int:
    """How often `..` comes first."""
    count = 0
    for part in target.split("/"):
        if part != "..":
            break
        count += 1
    return count


def executed(path: str) -> str:
    """What on the host runs or obeys a file by itself, in words; empty: nothing that is known."""
    parts = [os.fsencode(folded(part)) for part in path.split("/")]
    for why, patterns in _LISTS:
        for count in range(1, len(parts) + 1):
            part = b"/".join(parts[:count])
            # A link or a file with a folder's name may be a folder's by tomorrow: as one of them it is judged.
            if patterns.match(part, parts[count - 1], True):
                return why
    return ""


def exposed(kind: str, mode: int, host_mode: int) -> str:
    """Whether others on the host could write what comes home, and could not before; in words."""
    if kind in ("f", "d") and mode & 0o002 and not host_mode & 0o002:
        return f"any user of this machine could write it ({mode & 0o777:04o})"
    return ""


def names(listing: Iterable[str]) -> dict[str, list[str]]:
    """A folder's names, as `clash` takes them."""
    found: dict[str, list[str]] = {}
    for name in listing:
        found.setdefault(folded(name), []).append(name)
    return found


def clash(name: str, beside: Names) -> str:
    """A name that is there already and that some file systems take for `name`; empty: there is none."""
    return next((other for other in beside.get(folded(name), ()) if other != name), "")
