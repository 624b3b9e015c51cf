from __future__ import annotations

import pytest

from continue_exec.mirror import secrets

KEY = b"-----BEGIN RSA PRIVATE KEY-----\nMII...\n"


@pytest.mark.parametrize(
    "name",
    [".env", ".env.local", ".ENV", "id_ed25519", "server.key", "a.P12", "vault.kdbx", ".netrc", "credentials.json"],
)
def test_secret_by_name(name: str) -> None:
    assert secrets.by_name(name.encode(), False)


@pytest.mark.parametrize(
    "name", [".env.example", ".env.sample", ".env.template", "env", "id_rsa.pub", "key.py", "environment", ".ssh"]
)
def test_not_secret(name: str) -> None:
    assert not secrets.by_name(name.encode(), False)


@pytest.mark.parametrize("name", [".ssh", ".aws", ".gnupg"])
def test_secret_folders(name: str) -> None:
    assert secrets.by_name(name.encode(), True)


@pytest.mark.parametrize(
    ("path", "data", "secret"),
    [
        ("certs/server.pem", KEY, True),
        ("certs/ca.pem", b"-----BEGIN CERTIFICATE-----\n", False),
        ("notes.txt", KEY, False),
        (".npmrc", b"//registry.example/:_authToken=abc\n", True),
        (".npmrc", b"save-exact=true\n", False),
        (".pypirc", b"[x]\nPassword = y\n", True),
        ("sa.json", b'{"type": "service_account", "private_key": "x"}', True),
        ("package.json", b'{"name": "x"}', False),
        ("big.json", b" " * secrets.LOOK + b'"service_account" "private_key"', False),
    ],
)
def test_by_content(path: str, data: bytes, secret: bool) -> None:
    assert secrets.by_content(path, data) is secret
