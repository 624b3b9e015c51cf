"""How the host is asked for its configuration: its files, its variables, its tools, its package indexes.

What is slow (a tool's start, a request) is kept in one small file and asked again only when something that it
depends on has changed. All of it blocks: hosts.py calls it in threads.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

log = logging.getLogger(__name__)

ASK_TIMEOUT_S = 20.0
"""A cold npm on a slow disk takes several seconds; nobody waits for this in the foreground."""
FETCH_TIMEOUT_S = 8.0
FETCH_KEEP_S = 7 * 86400.0
"""Where an index keeps its files changes about never."""
_FETCH_BYTES = 8 << 20


@dataclass
class Host:
    """The machine as its user has configured it. `root` and `home` move in tests."""

    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    home: Path = field(default_factory=Path.home)
    root: Path = Path("/")
    cache: Path | None = None
    """File of what the slow questions answered; None: asked every time."""
    failed: list[str] = field(default_factory=list)
    """Questions that got no answer and are worth asking again, in words."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, Any] = _load(self.cache)

    def path(self, absolute: str) -> Path:
        """A system path, for example /etc/pip.conf."""
        return self.root / absolute.lstrip("/")

    def config_home(self) -> Path:
        """The user's configuration folder (XDG base directory specification)."""
        return Path(self.env.get("XDG_CONFIG_HOME") or self.home / ".config")

    def text(self, path: Path) -> str:
        """A file's text; empty if there is none or it cannot be read."""
        try:
            return path.read_text(errors="replace")
        except OSError:
            return ""

    def which(self, program: str) -> str | None:
        """Where a program is on the user's PATH."""
        return shutil.which(program, path=self.env.get("PATH", os.defpath))

    def ask(self, argv: list[str], depends: Iterable[Path] = (), env: Mapping[str, str] | None = None) -> str:
        """What a tool prints on stdout; empty if it fails. Asked in `/`, so that no project's files have a say.

        The answer is kept until the tool or one of the files in `depends` changes.
        """
        key = _digest("ask", argv, dict(env or {}), [_stamp(Path(argv[0])), *map(_stamp, depends)])
        kept = self._recall(key)
        if kept is not None:
            return str(kept)
        try:
            done = subprocess.run(
                argv,
                env={**self.env, **(env or {})},
                cwd="/",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=ASK_TIMEOUT_S,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            log.info("asking %s: %s", argv[0], error)
            return ""
        if done.returncode == 0:
            self._remember(key, done.stdout, None)
        return done.stdout if done.returncode == 0 else ""

    def fetch(self, url: str, accept: str, *, ca: str = "") -> tuple[str, str] | None:
        """GET a small page: its final address and its text; None if that fails (said in `failed`).

        Credentials in `url` are sent to its own host only. `ca`: a file of certificates besides the system's.
        """
        parts = urlsplit(url)
        plain = strip_credentials(url)
        key = _digest("fetch", plain, accept)
        kept = self._recall(key)
        if kept is not None:
            return str(kept[0]), str(kept[1])
        # The page is only read for hosts: it is asked for in the encoding that needs no decoder.
        request = urllib.request.Request(plain, headers={"Accept": accept, "User-Agent": "continue-exec"})
        if parts.username is not None:
            secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            # Not repeated to the target of a redirect.
            request.add_unredirected_header("Authorization", f"Basic {_b64(secret)}")
        try:
            context = ssl.create_default_context()
            if ca:
                context.load_verify_locations(cafile=ca)
            with urllib.request.urlopen(request, timeout=FETCH_TIMEOUT_S, context=context) as answer:
                final, text = answer.url, answer.read(_FETCH_BYTES).decode(errors="replace")
        except (OSError, ValueError, urllib.error.URLError) as error:
            self.failed.append(f"{plain}: {error}")
            return None
        return final, text

    def keep(self, key: str, value: Any, seconds: float | None = None) -> None:
        """Remember a conclusion under `key`."""
        self._remember(_digest("keep", key), value, seconds)

    def kept(self, key: str) -> Any:
        """A conclusion remembered by `keep`, or None."""
        return self._recall(_digest("keep", key))

    def _recall(self, key: str) -> Any:
        with self._lock:
            value, until = self._kept.get(key, (None, 0.0))
        return value if until is None or until > time.time() else None

    def _remember(self, key: str, value: Any, seconds: float | None) -> None:
        with self._lock:
            self._kept[key] = (value, None if seconds is None else time.time() + seconds)
            if self.cache is None:
                return
            try:
                self.cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                new = self.cache.with_name(f".{self.cache.name}.{os.getpid()}")
                new.write_text(json.dumps(self._kept))
                new.chmod(0o600)
                new.replace(self.cache)
            except OSError as error:
                log.info("cannot keep %s: %s", self.cache, error)


def strip_credentials(url: str) -> str:
    """`url` without user name and password; unchanged if it has none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if "@" not in parts.netloc:
        return url
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _load(cache: Path | None) -> dict[str, Any]:
    try:
        found = json.loads(cache.read_text()) if cache else {}
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(k): v for k, v in found.items() if isinstance(v, list) and len(v) == 2}


def _stamp(path: Path) -> list[Any]:
    try:
        found = path.stat()
    except OSError:
        return [str(path), 0, 0]
    return [str(path), found.st_mtime_ns, found.st_size]


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:32]


def _b64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()
