from pathlib import Path

import pytest

from continue_exec.drivers.runsc import locate
from continue_exec.errors import HostUnready


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("runsc version 0.0~20240729.0", 20240729),
        ("runsc version release-20250407.0-12-gabc", 20250407),
        ("runsc version VERSION_MISSING", None),
        ("", None),
    ],
)
def test_releases(text: str, release: int | None) -> None:
    assert locate.release(text) == release


def test_the_setting_wins_and_is_not_replaced_by_another(tmp_path: Path) -> None:
    mine = program(tmp_path / "mine", "#!/bin/sh\n")

    assert locate.find(mine) == mine
    assert locate.find(tmp_path / "absent") is None


def test_path_then_the_users_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path = program(tmp_path / "bin/runsc", "#!/bin/sh\n")
    own = program(tmp_path / "home/.local/bin/runsc", "#!/bin/sh\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    monkeypatch.setenv("PATH", str(on_path.parent))
    assert locate.find(None) == on_path
    monkeypatch.setenv("PATH", "/nonexistent")
    assert locate.find(None) == own


def test_a_missing_one_is_an_error_with_the_way_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(HostUnready, match="absent") as caught:
        locate.require(tmp_path / "absent")

    assert "scripts/install-runsc" in caught.value.hint


async def test_version(tmp_path: Path) -> None:
    path = program(tmp_path / "runsc", "#!/bin/sh\necho runsc version release-20250101.0\necho spec: 1.1\n")

    assert await locate.version(path) == "runsc version release-20250101.0"


async def test_a_program_for_another_processor(tmp_path: Path) -> None:
    path = program(tmp_path / "runsc", "\x7fELF nothing")

    with pytest.raises(HostUnready, match="cannot be executed"):
        await locate.version(path)
