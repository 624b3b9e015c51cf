from pathlib import Path

import pytest

from continue_exec.drivers.runsc import etc

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    found = tmp_path / "etc"
    (found / "ssl/certs").mkdir(parents=True)
    (found / "ssl/private").mkdir()
    (found / "apt/auth.conf.d").mkdir(parents=True)
    (found / "pam.d").mkdir()
    return found


def copied(host: Path) -> set[str]:
    root = host.parent / "root"
    etc.copy(host, root)
    return {str(path.relative_to(root / "etc")) for path in root.rglob("*") if path.is_symlink() or path.is_file()}


def test_only_what_is_named_is_copied(host: Path) -> None:
    (host / "services").write_text("x")
    (host / "my-company.conf").write_text("x")
    (host / "shadow").write_text("x")

    assert copied(host) == {"services"}


def test_what_others_may_not_read_stays_out(host: Path) -> None:
    (host / "services").write_text("x")
    (host / "services").chmod(0o640)

    assert copied(host) == set()


def test_keys_and_passwords_stay_out_by_name_and_by_content(host: Path) -> None:
    (host / "ssl/certs/ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    (host / "ssl/certs/server.key").write_text("x")
    (host / "ssl/certs/both.pem").write_text(KEY)
    (host / "apt/auth.conf").write_text("machine x login y password z")
    (host / "apt/auth.conf.d/x.conf").write_text("machine x login y password z")
    (host / "apt/sources.list").write_text("deb https://user:password@mirror.example/debian x main")
    (host / "pam.d/common-password").write_text("password required pam_unix.so")

    assert copied(host) == {"ssl/certs/ca.pem", "pam.d/common-password"}


def test_a_link_out_of_the_system_becomes_a_copy_and_one_within_stays(host: Path) -> None:
    (host.parent / "elsewhere.pem").write_text("cert")
    (host / "ssl/certs/a.pem").symlink_to(host.parent / "elsewhere.pem")
    (host / "localtime").symlink_to("/usr/share/zoneinfo/UTC")

    copied(host)

    root = host.parent / "root/etc"
    assert not (root / "ssl/certs/a.pem").is_symlink()
    assert (root / "ssl/certs/a.pem").read_text() == "cert"
    assert (root / "localtime").is_symlink()


def test_synthesized_files_replace_links_and_do_not_follow_them(tmp_path: Path) -> None:
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "outside").write_text("mine")
    (tmp_path / "root/etc/hosts").symlink_to(tmp_path / "outside")

    etc.synthesize(tmp_path / "root")

    assert (tmp_path / "outside").read_text() == "mine"
    assert "localhost" in (tmp_path / "root/etc/hosts").read_text()
    users = [line.split(":")[0] for line in (tmp_path / "root/etc/passwd").read_text().splitlines()]
    assert [line.split(":")[0] for line in (tmp_path / "root/etc/shadow").read_text().splitlines()] == users


def test_a_bundle_elsewhere_is_copied_and_its_variable_follows(tmp_path: Path) -> None:
    bundle = tmp_path / "corp.pem"
    bundle.write_text("cert")
    root = tmp_path / "root"

    env = etc.certificates(root, {"SSL_CERT_FILE": str(bundle), "PIP_CERT": "/nonexistent", "OTHER": str(bundle)})

    assert env == {"SSL_CERT_FILE": "/etc/continue-exec/ca/SSL_CERT_FILE.pem"}
    assert (root / env["SSL_CERT_FILE"].lstrip("/")).read_text() == "cert"


def test_a_bundle_with_a_private_key_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "both.pem").write_text(KEY)

    assert etc.certificates(tmp_path / "root", {"SSL_CERT_FILE": str(tmp_path / "both.pem")}) == {}


def test_clear_removes_a_layer(tmp_path: Path) -> None:
    (tmp_path / "layer/a").mkdir(parents=True)

    etc.clear(tmp_path / "layer")

    assert not (tmp_path / "layer").exists()
