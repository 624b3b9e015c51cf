from pathlib import Path

import pytest

from continue_exec.drivers.runsc import registries


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("https://mirror.example/simple", "https://mirror.example/simple"),
        ("https://me:secret@mirror.example/simple", ""),
        ("https://a.example/s https://t0ken@b.example/s", "https://a.example/s"),
        ("https://mirror.example/s?token=abc", ""),
        ("http://[broken", ""),
        ("", ""),
    ],
)
def test_addresses_with_credentials_are_left_out(value: str, kept: str) -> None:
    assert registries.clean(value) == kept


def test_npm_and_pip_by_their_own_files(tmp_path: Path) -> None:
    (tmp_path / ".npmrc").write_text(
        "registry=https://npm.example/\n//npm.example/:_authToken=SECRET\n@acme:registry=https://acme.example/\n"
        "_auth=SECRET\nemail=me@example.com\n"
    )
    (tmp_path / ".config/pip").mkdir(parents=True)
    (tmp_path / ".config/pip/pip.conf").write_text(
        "[global]\nindex-url = https://u:SECRET@pip.example/simple\ntimeout=3\n"
    )

    found = registries.find({"HOME": str(tmp_path), "GOPROXY": "https://go.example,direct"})

    assert found["npm registry"] == "https://npm.example/"
    assert found["npm @acme:registry"] == "https://acme.example/"
    assert found["go GOPROXY"] == "https://go.example,direct"
    assert "pip index-url" not in found
    assert "SECRET" not in str(found)


def test_a_variable_wins_over_a_file(tmp_path: Path) -> None:
    (tmp_path / ".npmrc").write_text("registry=https://file.example/\n")

    found = registries.find({"HOME": str(tmp_path), "npm_config_registry": "https://variable.example/"})

    assert found["npm registry"] == "https://variable.example/"


def test_what_was_found_is_written_where_the_tools_look(tmp_path: Path) -> None:
    registries.write(tmp_path, {"pip index-url": "https://p.example", "npm registry": "https://n.example"})

    assert (tmp_path / "etc/pip.conf").read_text() == "[global]\nindex-url = https://p.example\n"
    assert (tmp_path / "etc/npmrc").read_text() == "registry=https://n.example\n"
    assert not (tmp_path / "root").exists()
