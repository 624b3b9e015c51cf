from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from continue_exec.network.sources import git
from tests.unit.network.sources.conftest import FolderHost, hosts


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("git@a.corp:x/y.git", "ssh://a.corp"),
        ("a.corp:x", "ssh://a.corp"),
        ("ssh://git@a.corp:2222/x", "ssh://git@a.corp:2222/x"),
        ("https://a.corp/x", "https://a.corp/x"),
        ("/srv/x.git", "/srv/x.git"),
        ("../x:y", "../x:y"),
    ],
)
def test_addresses(remote: str, url: str) -> None:
    assert git.address(remote) == url


def test_rewritten_addresses(host: FolderHost) -> None:
    config = host.write(
        ".gitconfig",
        '[url "https://m.corp/"]\n\tinsteadOf = https://public.test/\n[url "https://u:p@s.corp/"]\n\tinsteadOf = https://x.test/\n'
        '[url "git@g.corp:"]\n\tinsteadOf = gh:\n[user]\n\tname = Somebody\n',
    )
    host.env = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(host.home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(config),
    }
    found = git.read(host)
    assert hosts(found) == {"m.corp", "s.corp", "g.corp:22,443"}
    assert found.files == {
        "/etc/gitconfig": '[url "https://m.corp/"]\n\tinsteadOf = "https://public.test/"\n'
        '[url "https://s.corp/"]\n\tinsteadOf = "https://x.test/"\n'
    }


def test_remotes_of_a_trusted_workspace(host: FolderHost, tmp_path: Path) -> None:
    host.env = {"PATH": "/usr/bin:/bin", "HOME": str(host.home)}
    folder = tmp_path / "w"
    folder.mkdir()
    for words in (
        ["init", "-q"],
        ["remote", "add", "o", "git@a.corp:x"],
        ["remote", "add", "p", "https://t@b.corp/y"],
    ):
        subprocess.run(["git", *words], cwd=folder, check=True)
    assert {str(rule) for rule in git.remotes(host, folder, trusted=True)} == {"a.corp:22,443", "b.corp"}
    assert git.remotes(host, folder, trusted=False) == []
    assert git.remotes(host, tmp_path / "missing", trusted=True) == []
