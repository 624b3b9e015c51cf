from pathlib import Path

import pytest

from continue_exec.drivers.runsc.toolchains import SYSTEM_PATH, Found, Look, find

SHARED = ("/usr", "/opt")


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "ws").mkdir()
    return tmp_path


def look(home: Path, path: str = "/usr/bin", **environ: str) -> Found:
    return find(Look(home, {"PATH": path, **environ}, home / "ws"), SHARED)


def test_an_empty_home_has_the_system_path(home: Path) -> None:
    found = look(home)

    assert found.mounts == ()
    assert set(found.path) == set(SYSTEM_PATH)


def test_pyenvs_shims_become_the_selected_version(home: Path) -> None:
    for version in ("3.9.1", "3.11.7"):
        program(home / f".pyenv/versions/{version}/bin/python3")
    program(home / ".pyenv/shims/python3")
    (home / ".pyenv/version").write_text("3.11.7\n")

    found = look(home, f"{home}/.pyenv/shims:{home}/.pyenv/bin:/usr/bin")

    assert found.path[0] == f"{home}/.pyenv/versions/3.11.7/bin"
    assert not any(entry.endswith("shims") for entry in found.path)
    assert found.mounts == (home / ".pyenv/versions",)


@pytest.mark.parametrize(
    ("file", "chosen"), [("3.9\n", "3.9.1"), ("3.9.1\n", "3.9.1"), ("../../etc\n", "3.11.7"), ("9.9\n", "3.11.7")]
)
def test_a_workspace_chooses_among_installed_versions_only(home: Path, file: str, chosen: str) -> None:
    for version in ("3.9.1", "3.11.7"):
        program(home / f".pyenv/versions/{version}/bin/python3")
    (home / ".pyenv/version").write_text("3.11.7\n")
    (home / "ws/.python-version").write_text(file)

    found = look(home, f"{home}/.pyenv/shims:/usr/bin")

    assert found.path[0] == f"{home}/.pyenv/versions/{chosen}/bin"


def test_a_real_folder_on_path_stays_where_it_is(home: Path) -> None:
    program(home / ".nvm/versions/node/v18.0.0/bin/node")
    program(home / ".nvm/versions/node/v20.0.0/bin/node")

    found = look(home, f"{home}/.nvm/versions/node/v18.0.0/bin:/usr/bin")

    assert found.path[0] == f"{home}/.nvm/versions/node/v18.0.0/bin"
    assert not any("v20" in entry for entry in found.path)


def test_a_toolchain_that_path_does_not_mention_fills_gaps_only(home: Path) -> None:
    program(home / ".nvm/versions/node/v20.0.0/bin/node")

    found = look(home)

    assert found.path[-1] == f"{home}/.nvm/versions/node/v20.0.0/bin"


def test_rust_without_its_credentials(home: Path) -> None:
    program(home / ".cargo/bin/cargo")
    (home / ".cargo/credentials.toml").write_text("token")
    program(home / ".rustup/toolchains/stable/bin/rustc")
    (home / ".rustup/settings.toml").write_text("default_toolchain = 'stable'")

    found = look(home, f"{home}/.cargo/bin:/usr/bin")

    assert set(found.mounts) == {home / ".cargo/bin", home / ".rustup/toolchains"}
    assert found.files == (home / ".rustup/settings.toml",)
    assert found.env == {"RUSTUP_HOME": f"{home}/.rustup"}


def test_a_variable_that_names_the_home_itself_exposes_nothing(home: Path) -> None:
    program(home / "bin/x")
    program(home / "versions/3.1/bin/python")

    found = look(home, PYENV_ROOT=str(home), GOPATH=str(home.parent), VOLTA_HOME="/", GOROOT="relative")

    assert found.mounts == ()


def test_asdf_by_tool_versions(home: Path) -> None:
    for version in ("1.20.1", "1.22.0"):
        program(home / f".asdf/installs/golang/{version}/bin/go")
    (home / "ws/.tool-versions").write_text("golang 1.20.1 # pinned\n")

    found = look(home, f"{home}/.asdf/shims:/usr/bin")

    assert found.path[0] == f"{home}/.asdf/installs/golang/1.20.1/bin"


def test_single_programs_of_local_bin_come_one_by_one(home: Path) -> None:
    program(home / ".local/bin/uv")
    program(home / ".local/bin/my-own-script-with-a-token")

    found = look(home)

    assert found.files == (home / ".local/bin/uv",)
    assert found.path[-1] == f"{home}/.local/bin"


def test_folders_on_path_that_are_not_inside_are_left_out(home: Path) -> None:
    program(home / "scripts/x")

    found = look(home, f"{home}/scripts:/usr/games:relative:/usr/bin")

    assert "/usr/games" in found.path
    assert not any(entry.startswith(str(home)) or not entry.startswith("/") for entry in found.path)
