from pathlib import Path

import pytest

from continue_exec.drivers.runsc import locales


@pytest.fixture
def localedef(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A localedef that notes its arguments and adds a line to the archive."""
    program = tmp_path / "localedef"
    program.write_text(
        f"""#!/bin/sh
printf '%s\\n' "$@" >{tmp_path}/asked
echo added >>"${{1#--prefix=}}/usr/lib/locale/locale-archive"
"""
    )
    program.chmod(0o755)
    monkeypatch.setattr(locales.shutil, "which", lambda *_, **__: str(program))
    return program


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The host's locales."""
    folder = tmp_path / "locale"
    (folder / locales.NAME).mkdir(parents=True)
    (folder / locales.NAME / "LC_CTYPE").touch()
    return folder


def test_the_locale_becomes_one_file(tmp_path: Path, localedef: Path, folder: Path) -> None:
    over = tmp_path / "over"

    assert locales.archive(over, folder=folder)

    made = over / "usr/lib/locale/locale-archive"
    assert made.read_text() == "added\n"
    assert made.stat().st_mode & 0o777 == 0o644
    asked = (tmp_path / "asked").read_text().split()
    assert asked == [f"--prefix={over}", "--add-to-archive", str(folder / "C.utf8")]


def test_what_the_host_has_in_its_archive_stays(tmp_path: Path, localedef: Path, folder: Path) -> None:
    (folder / "locale-archive").write_text("de_DE\n")

    assert locales.archive(tmp_path / "over", folder=folder)

    assert (tmp_path / "over/usr/lib/locale/locale-archive").read_text() == "de_DE\nadded\n"
    assert (folder / "locale-archive").read_text() == "de_DE\n"


def test_a_huge_archive_is_not_copied(
    tmp_path: Path, localedef: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locales, "MOST_BYTES", 3)
    (folder / "locale-archive").write_text("de_DE\n")

    assert not locales.archive(tmp_path / "over", folder=folder)
    assert not (tmp_path / "over/usr/lib/locale/locale-archive").exists()


def test_a_host_without_the_locale_or_the_program(
    tmp_path: Path, localedef: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not locales.archive(tmp_path / "over", folder=tmp_path / "none")

    monkeypatch.setattr(locales.shutil, "which", lambda *_, **__: None)

    assert not locales.archive(tmp_path / "over", folder=folder)
    assert not (tmp_path / "over").exists()


def test_a_program_that_fails_leaves_no_archive(tmp_path: Path, localedef: Path, folder: Path) -> None:
    localedef.write_text('#!/bin/sh\necho half >"${1#--prefix=}/usr/lib/locale/locale-archive"\nexit 1\n')

    assert not locales.archive(tmp_path / "over", folder=folder)
    assert not (tmp_path / "over/usr/lib/locale/locale-archive").exists()
