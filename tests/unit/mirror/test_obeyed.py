from __future__ import annotations

import subprocess
from pathlib import Path

from continue_exec.mirror.filter import Filter, IgnoreRules
from continue_exec.mirror.folder import SafeFolder
from continue_exec.mirror.obeyed import Obeyed


def obeyed(root: Path, *links: str) -> Obeyed:
    rules = Filter(str(root), IgnoreRules())
    rules.scope("")
    return Obeyed(SafeFolder(root), str(root), links, rules.hooks)


def test_what_telling_links_lead_to(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".envrc").symlink_to("sub/one")
    (tmp_path / "sub/one").symlink_to("../two")
    (tmp_path / ".vscode").symlink_to(tmp_path / "editor")
    (tmp_path / ".idea").symlink_to("/etc")
    (tmp_path / ".zed").symlink_to(".zed")
    (tmp_path / "plain").symlink_to("other")
    found = obeyed(tmp_path, ".envrc", ".vscode", ".idea", ".zed", "plain", ".vimrc")
    assert found.why("sub/one") == found.why("two") == ".envrc is a link to it"
    assert found.why("editor/tasks.json") == found.why("Editor") == ".vscode is a link to it"
    assert not any(found.why(path) for path in ("sub", "sub/two", "other", "main.py", "two2", "etc"))


def test_hooks_behind_links_and_where_gits_settings_say(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".git/hooks").mkdir(exist_ok=True)
    (tmp_path / ".git/hooks/pre-commit").symlink_to("../../scripts/check")
    assert obeyed(tmp_path).why("scripts/check") == "Git's hook pre-commit is a link to it"
    assert not obeyed(tmp_path).why("dev/hooks/pre-push")
    for named in ("dev/hooks", str(tmp_path / "dev/hooks"), "./dev/../dev/hooks/"):
        subprocess.run(["git", "-C", str(tmp_path), "config", "core.hooksPath", named], check=True)
        found = obeyed(tmp_path)
        assert "core.hooksPath" in found.why("dev/hooks/pre-push") and "core.hooksPath" in found.why("dev/hooks/lib/x")
        assert not found.why("dev/other")


def test_no_repository_no_links(tmp_path: Path) -> None:
    assert obeyed(tmp_path).why("a") == ""
