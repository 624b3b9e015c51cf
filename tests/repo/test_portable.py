"""Nothing in the repository depends on the machine it was written on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import sources

# Registries are read from the host's configuration: an address of ours in a file would override a company's mirror.
# Split so that this file does not name them either.
HOSTS = tuple(
    "".join(parts)
    for parts in (
        ("pypi", ".org"),
        ("pythonhosted", ".org"),
        ("registry.npm", "js.org"),
        ("npm", "js.com"),
        ("deb.debian", ".org"),
        ("archive.ubuntu", ".com"),
        ("proxy.golang", ".org"),
        ("crates", ".io"),
        ("rubygems", ".org"),
    )
)
# Folders of a person or of a build machine, as they slip into generated files.
PERSONAL = re.compile(r"(?<![\w.~$}])/(?:home|Users)/[a-z][\w.-]*/|/root/\.(?:pyenv|cache|npm)\b")
# Names that stand for anybody.
EXAMPLES = re.compile(r"/(?:home|Users)/(?:you|me|user|someone|of|linuxbrew)/")


def text_files() -> list[str]:
    return [name for name in sources.files() if b"\0" not in (sources.ROOT / name).read_bytes()[:8192]]


def test_no_file_names_a_registry() -> None:
    found = [
        f"{name}: {host}"
        for name in text_files()
        for host in HOSTS
        if host in (sources.ROOT / name).read_text(errors="replace")
    ]
    assert not found, f"read the address from the host's configuration instead: {found}"


def personal_paths(text: str) -> list[str]:
    return [found for found in PERSONAL.findall(text) if not EXAMPLES.fullmatch(found)]


def test_no_file_names_a_persons_folder() -> None:
    found = {
        name: paths
        for name in text_files()
        if name != "tests/repo/test_portable.py"
        and (paths := personal_paths((sources.ROOT / name).read_text(errors="replace")))
    }
    assert not found


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("see /home/jane/code/x.py", True),
        ('"/root/.pyenv/bin"', True),
        ("~/home/x/", False),
        ("/home/you/project", False),
        ("https://example.com/home/jane/", False),
        ("the folder /root itself", False),
    ],
)
def test_personal_paths_are_seen(text: str, seen: bool) -> None:
    assert bool(personal_paths(text)) is seen


def test_scripts_can_be_started() -> None:
    for folder in ("scripts", ".ci"):
        for path in (sources.ROOT / folder).iterdir():
            if path.suffix == "" and path.is_file():
                assert path.stat().st_mode & 0o111, f"chmod +x {path.relative_to(sources.ROOT)}"
                assert path.read_bytes().startswith(b"#!")


def test_nothing_large_is_tracked() -> None:
    large = {name: size for name in sources.files() if (size := Path(sources.ROOT, name).stat().st_size) > 512 * 1024}
    assert not large, f"over 512 KiB does not belong in Git: {large}"
