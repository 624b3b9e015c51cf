from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from continue_exec.mirror.git import config


def read(text: str, tmp_path: Path) -> dict[str, str]:
    """What git reads in it."""
    (tmp_path / "c").write_text(text)
    listed = subprocess.run(["git", "config", "-f", tmp_path / "c", "-z", "--list"], capture_output=True, check=True)
    return dict(entry.split("\n", 1) for entry in listed.stdout.decode().split("\0") if entry)


def made(text: str, tmp_path: Path, lfs: bool = False) -> dict[str, str]:
    """What becomes of a configuration."""
    (tmp_path / "host").write_text(text)
    command = ["git", "config", "-f", tmp_path / "host", "--no-includes", "-z", "--list"]
    listed = subprocess.run(command, capture_output=True, check=True).stdout
    return read(config.for_inside(config.parse(listed), lfs=lfs), tmp_path)


def test_only_what_is_named_goes_inside(tmp_path: Path) -> None:
    text = (
        "[core]\n bare = true\n filemode = false\n hooksPath = /x\n fsmonitor = /x\n worktree = ..\n sshCommand = x\n"
        "[include]\n path = /x\n[credential]\n helper = x\n[alias]\n st = !x\n[http]\n extraHeader = x\n"
        '[filter "y"]\n clean = x\n required = true\n[submodule "s"]\n update = !x\n url = git@h:x\n'
        '[remote "o"]\n url = https://u:p@h/x\n fetch = +refs/heads/*:refs/remotes/o/*\n uploadpack = x\n proxy = x\n'
        '[branch "a.b"]\n remote = o\n merge = refs/heads/a.b\n'
        "[extensions]\n worktreeConfig = true\n refStorage = reftable\n"
    )

    found = made(text, tmp_path)

    ours = {key for key in found if key.startswith("core.")} - {"core.filemode"}
    assert {key: value for key, value in found.items() if key not in ours} == {
        "core.filemode": "false",
        "filter.y.required": "true",
        "remote.o.url": "https://h/x",
        "remote.o.fetch": "+refs/heads/*:refs/remotes/o/*",
        "branch.a.b.remote": "o",
        "branch.a.b.merge": "refs/heads/a.b",
        "submodule.s.url": "git@h:x",
    }
    assert found["core.bare"] == "false" and found["core.repositoryformatversion"] == "0"
    assert found["core.checkstat"] == "minimal"


def test_extensions_need_version_1(tmp_path: Path) -> None:
    found = made("[extensions]\n\tobjectFormat = sha256\n", tmp_path)

    assert (found["core.repositoryformatversion"], found["extensions.objectformat"]) == ("1", "sha256")


def test_lfs_only_where_it_is(tmp_path: Path) -> None:
    assert made("", tmp_path, lfs=True)["filter.lfs.process"] == "git-lfs filter-process --skip"
    assert not [key for key in made('[filter "lfs"]\n\tclean = x\n\trequired = true\n', tmp_path) if "lfs" in key]


def test_values_stay_what_they_are(tmp_path: Path) -> None:
    text = '[branch "we\\"ird \\\\ one"]\n\tdescription = "a; b # c\\n\\"d\\" \\\\ e"\n'
    assert made(text, tmp_path)['branch.we"ird \\ one.description'] == 'a; b # c\n"d" \\ e'


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:token@example.com:8443/a/b.git", "https://example.com:8443/a/b.git"),
        ("https://token@example.com/a?private_token=x#y", "https://example.com/a"),
        ("ssh://git:secret@example.com/a", "ssh://git@example.com/a"),
        ("git@example.com:a/b.git", "git@example.com:a/b.git"),
        ("/srv/git/a.git", "/srv/git/a.git"),
        ("../sibling", "../sibling"),
        ("file:///srv/a", "file:///srv/a"),
        ("https://[2001:db8::1]/a", "https://[2001:db8::1]/a"),
        ("ext::sh -c 'curl -u me:secret@host'", ""),
        ("https://[broken", ""),
    ],
)
def test_addresses_come_without_credentials(url: str, shown: str) -> None:
    assert config.without_credentials(url) == shown


def test_identity(tmp_path: Path) -> None:
    assert read(config.identity('A "B" C', "a@b"), tmp_path) == {"user.name": 'A "B" C', "user.email": "a@b"}
    assert config.identity("", "") == ""
