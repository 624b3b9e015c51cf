from __future__ import annotations

import tomllib

import pytest

from continue_exec.network.sources import base


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("https://A.corp/x", "a.corp"),
        ("http://a.corp", "a.corp"),
        ("https://me:pw@a.corp:8443/x", "a.corp:8443"),
        ("ssh://git@a.corp/x", "a.corp:22,443"),
        ("ssh://git@a.corp:2222/x", "a.corp:2222"),
        ("https://10.0.0.5/simple", "10.0.0.5"),
    ],
)
def test_rules(url: str, rule: str) -> None:
    made = base.rule_for(url, "pip")
    assert str(made) == rule
    assert made is not None and made.private


@pytest.mark.parametrize(
    "url",
    [
        "",
        "file:///x",
        "/opt/x",
        "https://",
        "https://localhost/x",
        "http://127.0.0.1:3141",
        "http://[::1]/",
        "http://169.254.169.254/",
        "https://a b/",
        "https://a.corp:x/",
        "https://2130706433/",
    ],
)
def test_no_rules(url: str) -> None:
    assert base.rule_for(url, "pip") is None


@pytest.mark.parametrize("text", ["plain", 'q"uote', "back\\slash", "tab\tnew\nline", "\x7f", "ü"])
def test_toml_strings(text: str) -> None:
    assert tomllib.loads(f"a = {base.toml_string(text)}") == {"a": text}
