from __future__ import annotations

import os
from pathlib import Path

from continue_exec.mirror.filter import Filter, IgnoreRules
from continue_exec.mirror.walk import LeftOut, Tree, walk
from continue_exec.mirror.watch import NoWatcher


class Recorder(NoWatcher):
    def __init__(self, root: Path) -> None:
        super().__init__("")
        self.root, self.added = root, []
        self.late = False

    def add(self, folder: str) -> None:
        self.added.append(folder)
        if not self.late:  # what appears right after a folder is watched is still found by reading it
            self.late = True
            (self.root / "late").write_text("")


def test_watched_before_read_and_ignored_folders_are_neither(tmp_path: Path) -> None:
    (tmp_path / "d" / "empty").mkdir(parents=True)
    (tmp_path / "node_modules" / "x").mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("node_modules/\n")
    (tmp_path / "d" / "link").symlink_to("/etc")
    os.mkfifo(tmp_path / "d" / "pipe")
    (tmp_path / "d" / ".env").write_text("")
    watcher, left_out, tree = Recorder(tmp_path), LeftOut(), Tree()
    walk(str(tmp_path), "", Filter(str(tmp_path), IgnoreRules()), watcher, left_out, tree)
    assert sorted(watcher.added) == ["", "d", "d/empty"]
    assert set(tree.folders) == {"d", "d/empty"} and set(tree.files) == {".gitignore", "late", "d/link"}
    assert left_out == {"d/pipe": "a named pipe", "d/.env": "secret"}
    left_out.drop("d/pipe")
    assert set(left_out) == {"d/.env"}
    left_out.drop("d")
    assert not left_out


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    tree, left_out = Tree(), LeftOut()
    walk(str(tmp_path), "gone", Filter(str(tmp_path), IgnoreRules()), NoWatcher(""), left_out, tree)
    assert not tree.files and not tree.unread and not left_out
