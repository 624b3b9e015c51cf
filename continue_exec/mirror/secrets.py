"""Files that hold credentials: they stay out of the sandbox unless an include pattern names them.

To add one: a line in NAMES or FOLDERS (patterns of .gitignore, case ignored), or a function in CONTENTS for names that
are secret only with certain bytes in them; a case in tests/unit/mirror/test_secrets.py; docs/reference/mirror.md.
"""

from __future__ import annotations

from collections.abc import Callable

from .patterns import PatternList

NAMES = (
    ".env",
    ".env.*",
    "!.env.example",
    "!.env.sample",
    "!.env.template",
    ".envrc",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ecdsa_sk",
    "id_ed25519",
    "id_ed25519_sk",
    "*.key",
    "*.ppk",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    ".netrc",
    "_netrc",
    ".git-credentials",
    ".pgpass",
    ".my.cnf",
    ".dockercfg",
    "credentials.json",
    "application_default_credentials.json",
)
"""Files that are secret by name. `!`: not secret after all."""

FOLDERS = (".env", ".ssh", ".aws", ".azure", ".gnupg", ".kube", ".docker")
"""Secret with everything in them."""


def _private_key(data: bytes) -> bool:
    return b"PRIVATE KEY-----" in data


def _npm_token(data: bytes) -> bool:
    return any(word in data for word in (b"_authToken", b"_auth=", b"_auth =", b"_password"))


def _password(data: bytes) -> bool:
    return b"password" in data.lower()


def _service_account(data: bytes) -> bool:
    return b'"private_key"' in data and b'"service_account"' in data


CONTENTS: dict[str, Callable[[bytes], bool]] = {
    ".pem": _private_key,
    ".crt": _private_key,
    ".json": _service_account,
    ".npmrc": _npm_token,
    ".yarnrc.yml": _npm_token,
    ".pypirc": _password,
}
"""By the end of the name: secret if the first LOOK bytes satisfy the function."""

LOOK = 64 * 1024
"""Bytes. Credentials are short; a large JSON file is data and is not searched to its end."""

_SUFFIXES = tuple(CONTENTS)
_FILES = PatternList([pattern.encode() for pattern in NAMES], ignore_case=True)
_FOLDERS = PatternList([pattern.encode() for pattern in FOLDERS], ignore_case=True)


def by_name(name: bytes, folder: bool) -> bool:
    """Whether a file or folder of this name (the last component) is secret whatever is in it."""
    return bool((_FOLDERS if folder else _FILES).match(name, name, folder))


def depends_on_content(path: str) -> bool:
    """Whether only a file's bytes can tell if it is secret."""
    return path.lower().endswith(_SUFFIXES)


def by_content(path: str, data: bytes) -> bool:
    """Whether a file's first bytes make it secret."""
    lower = path.lower()
    if not lower.endswith(_SUFFIXES):
        return False
    return any(test(data[:LOOK]) for suffix, test in CONTENTS.items() if lower.endswith(suffix))
