from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from continue_exec.network.host import Host, strip_credentials


def tool(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def web() -> Iterator[Any]:
    """An HTTP server whose `answer` is (status, headers, body) by path; `seen` are the requests' headers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.seen.append((self.path, dict(self.headers)))
            status, headers, body = server.answer.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        answer: dict[str, tuple[int, dict[str, str], bytes]] = {}
        seen: list[tuple[str, dict[str, str]]] = []

    server = Server(("127.0.0.1", 0), Handler)
    server.answer, server.seen = {}, []
    server.url = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("https://a.corp/x", "https://a.corp/x"),
        ("https://me:pw@a.corp:8443/x?y", "https://a.corp:8443/x?y"),
        ("https://me@a.corp", "https://a.corp"),
        ("https://a@b:c@a.corp/", "https://a.corp/"),
        ("http://[::1", ""),
    ],
)
def test_strip_credentials(url: str, plain: str) -> None:
    assert strip_credentials(url) == plain


def test_a_tool_is_asked_once_until_something_changes(tmp_path: Path) -> None:
    count = tmp_path / "count"
    program = tool(tmp_path / "bin", "tool", f"echo x >> {count}; pwd")
    config, cache = tmp_path / "config", tmp_path / "cache" / "answers.json"

    def ask() -> str:
        return Host(env={"PATH": "/bin:/usr/bin"}, home=tmp_path, cache=cache).ask([str(program)], [config])

    assert ask() == ask() == "/\n"
    assert count.read_text() == "x\n"
    config.write_text("new")
    ask()
    assert count.read_text() == "x\nx\n"
    assert cache.stat().st_mode & 0o777 == 0o600


def test_a_tool_that_fails_is_asked_again(tmp_path: Path) -> None:
    host = Host(env={}, home=tmp_path, cache=tmp_path / "cache.json")
    assert host.ask(["/nonexistent/tool"]) == ""
    program = tool(tmp_path, "tool", "echo words; exit 1")
    assert host.ask([str(program)]) == ""
    tool(tmp_path, "tool", "echo words")
    os.utime(program, (1, 1))
    assert host.ask([str(program)]) == "words\n"


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"a": 1}', "\x00"])
def test_a_broken_cache_is_no_cache(tmp_path: Path, text: str) -> None:
    cache = tmp_path / "cache.json"
    cache.write_text(text)
    host = Host(env={}, home=tmp_path, cache=cache)
    assert host.kept("x") is None
    host.keep("x", [1])
    assert Host(env={}, home=tmp_path, cache=cache).kept("x") == [1]
    assert isinstance(json.loads(cache.read_text()), dict)


def test_what_is_kept_for_a_time(tmp_path: Path) -> None:
    host = Host(env={}, home=tmp_path)
    host.keep("x", 1, -1)
    assert host.kept("x") is None


def test_fetch_sends_credentials_to_their_own_host_only(tmp_path: Path, web: Any) -> None:
    web.answer["/a"] = (302, {"Location": web.url.replace("127.0.0.1", "localhost") + "/b"}, b"")
    web.answer["/b"] = (200, {}, b"page")
    host = Host(env={}, home=tmp_path)
    found = host.fetch(web.url.replace("http://", "http://me:p%40ss@") + "/a", "text/html")
    assert found is not None
    assert found[0].endswith("/b") and found[1] == "page"
    (_, first), (_, second) = web.seen
    assert base64.b64decode(first["Authorization"].split()[1]) == b"me:p@ss"
    assert "Authorization" not in second


def test_fetch_says_what_failed_without_the_credentials(tmp_path: Path, web: Any) -> None:
    host = Host(env={}, home=tmp_path)
    assert host.fetch(web.url.replace("http://", "http://me:secret@") + "/missing", "text/html") is None
    assert "404" in host.failed[0]
    assert "secret" not in host.failed[0]
