from __future__ import annotations

import base64

import pytest

from continue_exec.network.upstream import Unusable, Upstream, UpstreamProxy


def test_without_settings_the_way_is_direct() -> None:
    assert Upstream.from_env({}).for_host("a.example", 443, tunnel=True) is None


def test_credentials_go_to_the_proxy_and_are_not_shown() -> None:
    proxy = UpstreamProxy.parse("http://me:p%40ss@proxy.corp:3128/")
    assert (proxy.host, proxy.port) == ("proxy.corp", 3128)
    assert base64.b64decode(proxy.authorization.split()[1]) == b"me:p@ss"
    assert b"Proxy-Authorization: Basic " in proxy.connect_request("a.example:443")
    env = Upstream.from_env({"https_proxy": "http://me:secret@proxy.corp"})
    assert "secret" not in repr(env) and "Basic" not in repr(proxy)


def test_which_variable() -> None:
    upstream = Upstream.from_env({"HTTPS_PROXY": "s.corp:1", "https_proxy": "t.corp:2", "HTTP_PROXY": "h.corp:3"})
    assert upstream.for_host("a.example", 443, tunnel=True) == UpstreamProxy("t.corp", 2)
    assert upstream.for_host("a.example", 80, tunnel=False) == UpstreamProxy("h.corp", 3)
    every = Upstream.from_env({"ALL_PROXY": "all.corp"})
    assert every.for_host("a.example", 443, tunnel=True) == UpstreamProxy("all.corp", 80)


@pytest.mark.parametrize(
    ("entry", "host", "direct"),
    [
        ("*", "a.example", True),
        ("example.com", "example.com", True),
        ("example.com", "sub.example.com", True),
        (".example.com", "sub.example.com", True),
        ("*.example.com", "sub.example.com", True),
        ("example.com", "notexample.com", False),
        ("example.com:443", "example.com", True),
        ("example.com:8443", "example.com", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("::1", "::1", True),
        ("", "a.example", False),
    ],
)
def test_no_proxy(entry: str, host: str, direct: bool) -> None:
    upstream = Upstream.from_env({"HTTPS_PROXY": "p.corp:1", "NO_PROXY": f"other.test, {entry}"})
    assert (upstream.for_host(host, 443, tunnel=True) is None) is direct


@pytest.mark.parametrize("url", ["socks5://p:1", "https://p:1", "http://", "http://p:x"])
def test_what_cannot_be_chained_is_not_bypassed(url: str) -> None:
    with pytest.raises(Unusable, match="proxy"):
        Upstream.from_env({"HTTPS_PROXY": url}).for_host("a.example", 443, tunnel=True)
