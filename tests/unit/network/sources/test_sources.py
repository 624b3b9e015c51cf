"""Each package manager's configuration, as its documentation has it."""

from __future__ import annotations

import configparser
import json
import subprocess
import tomllib
from pathlib import Path

import pytest

from continue_exec.network.sources import apt, base, cargo, git, go, npm, pip, uv
from tests.unit.network.sources.conftest import FolderHost


def hosts(found: base.Found) -> set[str]:
    return {str(rule) for rule in found.rules()}


class TestBase:
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
    def test_rules(self, url: str, rule: str) -> None:
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
    def test_no_rules(self, url: str) -> None:
        assert base.rule_for(url, "pip") is None

    @pytest.mark.parametrize("text", ["plain", 'q"uote', "back\\slash", "tab\tnew\nline", "\x7f", "ü"])
    def test_toml_strings(self, text: str) -> None:
        assert tomllib.loads(f"a = {base.toml_string(text)}") == {"a": text}


class TestPip:
    def test_default_from_pip_itself(self, host: FolderHost) -> None:
        found = pip.read(host)
        assert len(found.urls) == 2 and all(url.startswith("https://") for url in found.urls)
        assert found.files == {}

    def test_files_and_variables(self, host: FolderHost) -> None:
        host.write("/etc/pip.conf", "[global]\nindex-url = https://weak.corp/simple\ntimeout = 9\n")
        host.write(
            ".config/pip/pip.conf",
            "[global]\nindex_url = https://me:secret@m.corp/simple\nfind-links = /opt/w\n  https://l.corp/x\n",
        )
        host.env = {**host.env, "PIP_EXTRA_INDEX_URL": "https://e.corp/simple file:///opt/x"}
        host.fetched["https://me:secret@m.corp/simple/pip/"] = (
            "https://m.corp/simple/pip/",
            json.dumps({"files": [{"url": "https://files.corp/a.whl"}, {"url": "../../b.whl"}]}),
        )
        host.fetched["https://e.corp/simple/pip/"] = (
            "https://e2.corp/simple/pip/",
            "<a href=\"https://html.corp/a.whl#sha256=1\">a</a><A class=x HREF='/b.whl'>b</A>",
        )
        found = pip.read(host)
        assert hosts(found) == {"m.corp", "files.corp", "e.corp", "e2.corp", "html.corp", "l.corp"}
        parser = configparser.RawConfigParser()
        parser.read_string(found.files["/etc/pip.conf"])
        assert dict(parser["global"]) == {
            "timeout": "9",
            "index-url": "https://m.corp/simple",
            "extra-index-url": "https://e.corp/simple",
            "find-links": "https://l.corp/x",
        }

    def test_an_index_that_does_not_answer_is_asked_again(self, host: FolderHost) -> None:
        host.env = {**host.env, "PIP_INDEX_URL": "https://m.corp/simple/"}
        assert hosts(pip.read(host)) == {"m.corp"}
        assert host.failed == ["https://m.corp/simple/pip/"]
        host.fetched["https://m.corp/simple/pip/"] = (
            "https://m.corp/simple/pip/",
            '{"files": [{"url": "https://f.corp/a"}]}',
        )
        assert hosts(pip.read(host)) == {"m.corp", "f.corp"}
        host.fetched.clear()
        assert hosts(pip.read(host)) == {"m.corp", "f.corp"}, "the answer is kept"

    def test_offline(self, host: FolderHost) -> None:
        host.env = {**host.env, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "https://l.corp/x"}
        found = pip.read(host)
        assert hosts(found) == {"l.corp"}
        assert "no-index = true" in found.files["/etc/pip.conf"]

    def test_no_files_at_all(self, host: FolderHost) -> None:
        host.write("/etc/pip.conf", "[global]\nindex-url = https://weak.corp/simple\n")
        host.env = {**host.env, "PIP_CONFIG_FILE": "/dev/null"}
        assert pip.settings(host) == {"config-file": "/dev/null"}

    @pytest.mark.parametrize("text", ["garbage", "[global\n", "\x00", "[global]\nindex-url = a\nindex-url = b"])
    def test_broken_files(self, host: FolderHost, text: str) -> None:
        host.write("/etc/pip.conf", text)
        pip.read(host)


class TestUv:
    def test_no_uv_no_question(self, host: FolderHost) -> None:
        assert uv.read(host).urls == []

    def test_default_is_pips(self, host: FolderHost) -> None:
        host.tool("uv", "exit 1")
        assert uv.read(host).urls == pip.defaults(host)

    def test_files_and_variables(self, host: FolderHost) -> None:
        host.write(
            ".config/uv/uv.toml",
            'find-links = ["https://l.corp", "/opt/w"]\n[[index]]\nurl = "https://u:p@a.corp/s"\n'
            '[[index]]\nurl = "https://d.corp/s"\ndefault = true\n[pip]\nextra-index-url = ["https://e.corp"]\n',
        )
        host.env = {**host.env, "UV_INDEX": "mine=https://b.corp/s https://c.corp/s?x=y"}
        found = uv.read(host)
        assert hosts(found) == {"l.corp", "a.corp", "d.corp", "e.corp", "b.corp", "c.corp"}
        carried = tomllib.loads(found.files["/etc/uv/uv.toml"])
        assert carried["find-links"] == ["https://l.corp"]
        assert {"url": "https://d.corp/s", "default": True} in carried["index"]
        assert {"url": "https://a.corp/s"} in carried["index"]


class TestNpm:
    def test_default_from_npm_itself(self, host: FolderHost) -> None:
        host.tool("npm", 'test "$(pwd) $*" = "/ config get registry" && echo https://r.corp/')
        found = npm.read(host)
        assert hosts(found) == {"r.corp"}
        assert (found.files, found.env) == ({}, {})

    def test_files_and_variables(self, host: FolderHost) -> None:
        host.tool("npm", "exit 1")
        host.write("/etc/npmrc", "registry=https://weak.corp/\n")
        host.write(
            ".npmrc",
            "; words\nregistry = https://u:p@${HOST_NAME}/npm/\n//m.corp/:_authToken=secret\n@my:registry=https://s.corp/\n"
            "proxy=http://p.corp\n",
        )
        host.env = {**host.env, "HOST_NAME": "m.corp"}
        found = npm.read(host)
        assert hosts(found) == {"m.corp", "s.corp"}
        assert found.files == {npm.GLOBAL_FILE: "@my:registry=https://s.corp/\nregistry=https://m.corp/npm/\n"}
        assert found.env == {"npm_config_globalconfig": npm.GLOBAL_FILE}

    def test_variable_wins(self, host: FolderHost) -> None:
        host.write(".npmrc", "registry=https://weak.corp/\n")
        host.env = {**host.env, "NPM_CONFIG_REGISTRY": "https://v.corp/"}
        assert hosts(npm.read(host)) == {"v.corp"}

    def test_yarn(self, host: FolderHost) -> None:
        host.tool("yarn", "echo https://y.corp")
        assert hosts(npm.read(host)) == {"y.corp"}


class TestCargo:
    def test_default_from_where_cargo_wants_to_go(self, host: FolderHost) -> None:
        host.env = {**host.env, "PATH": f"{host.env['PATH']}:/usr/bin:/bin"}
        # Stands in for cargo: goes through the proxy it is given, as curl inside cargo does.
        host.tool(
            "cargo",
            """exec python3 -c "
import os, socket
host, port = os.environ['CARGO_HTTP_PROXY'].rpartition('/')[2].split(':')
s = socket.create_connection((host, int(port)))
s.sendall(b'CONNECT index.corp:443 HTTP/1.1\\r\\n\\r\\n')
assert b'403' in s.recv(100)
" """,
        )
        host.fetched["https://index.corp/config.json"] = (
            "",
            '{"dl": "https://dl.corp/crates", "api": "https://api.corp"}',
        )
        assert hosts(cargo.read(host)) == {"index.corp", "dl.corp", "api.corp"}

    def test_configured(self, host: FolderHost) -> None:
        host.write(
            ".cargo/config.toml",
            '[source.crates-io]\nreplace-with = "m"\n[source.m]\nregistry = "sparse+https://u:p@m.corp/index/"\n'
            '[source.local]\ndirectory = "/opt/crates"\n'
            '[registries.own]\nindex = "https://git.corp/index.git"\ntoken = "secret"\n[http]\nproxy = "secret"\n',
        )
        host.env = {**host.env, "CARGO_REGISTRIES_MORE_INDEX": "sparse+https://more.corp/"}
        host.tool("cargo", "exit 1")
        found = cargo.read(host)
        assert hosts(found) == {"m.corp", "git.corp", "more.corp"}
        assert tomllib.loads(found.files[cargo.CONFIG]) == {
            "source": {"crates-io": {"replace-with": "m"}, "m": {"registry": "sparse+https://m.corp/index/"}},
            "registries": {
                "own": {"index": "https://git.corp/index.git"},
                "more": {"index": "sparse+https://more.corp/"},
            },
        }

    def test_none(self, host: FolderHost) -> None:
        host.write(".cargo/config.toml", "not toml [")
        assert cargo.read(host).urls == []


class TestGo:
    def test_defaults_from_go_itself(self, host: FolderHost) -> None:
        host.tool("go", """echo '{"GOPROXY": "https://p.corp,direct", "GOSUMDB": "s.corp"}'""")
        found = go.read(host)
        assert hosts(found) == {"p.corp", "s.corp"}
        assert found.env == {}

    def test_what_the_user_has_set_is_carried(self, host: FolderHost) -> None:
        host.write(".config/go/env", "GOSUMDB=sum.corp+033de https://sums.corp/x\nGOFLAGS=-mod=mod\n")
        host.env = {**host.env, "GOPROXY": "https://u:p@a.corp|https://b.corp,direct"}
        found = go.read(host)
        assert hosts(found) == {"a.corp", "b.corp", "sums.corp"}
        assert found.env == {
            "GOPROXY": "https://a.corp|https://b.corp,direct",
            "GOSUMDB": "sum.corp+033de https://sums.corp/x",
        }

    def test_off(self, host: FolderHost) -> None:
        host.env = {**host.env, "GOPROXY": "off", "GOSUMDB": "off"}
        assert go.read(host).urls == []


class TestApt:
    def test_both_formats(self, host: FolderHost) -> None:
        host.write(
            "/etc/apt/sources.list",
            "# deb http://no.corp x\ndeb [arch=amd64 signed-by=/k] https://a.corp/x stable main\n"
            "deb-src http://b.corp x y\n",
        )
        host.write("/etc/apt/sources.list.d/x.list", "deb cdrom:[x]/ y z\ndeb mirror+http://m.corp/list x y\n")
        host.write(
            "/etc/apt/sources.list.d/y.sources",
            "Types: deb\n# words\nURIs: http://c.corp/debian\n http://d.corp/debian\nSuites: x\n\n"
            "Enabled: no\nTypes: deb\nURIs: http://off.corp/\n",
        )
        host.write("/etc/apt/sources.list.d/z.list.disabled", "deb http://disabled.corp x\n")
        found = apt.read(host)
        assert hosts(found) == {"a.corp", "b.corp", "m.corp", "c.corp", "d.corp"}
        assert found.files == {}


class TestGit:
    @pytest.mark.parametrize(
        ("remote", "url"),
        [
            ("git@a.corp:x/y.git", "ssh://a.corp"),
            ("a.corp:x", "ssh://a.corp"),
            ("ssh://git@a.corp:2222/x", "ssh://git@a.corp:2222/x"),
            ("https://a.corp/x", "https://a.corp/x"),
            ("/srv/x.git", "/srv/x.git"),
            ("../x:y", "../x:y"),
        ],
    )
    def test_addresses(self, remote: str, url: str) -> None:
        assert git.address(remote) == url

    def test_rewritten_addresses(self, host: FolderHost) -> None:
        config = host.write(
            ".gitconfig",
            '[url "https://m.corp/"]\n\tinsteadOf = https://public.test/\n[url "https://u:p@s.corp/"]\n\tinsteadOf = https://x.test/\n'
            '[url "git@g.corp:"]\n\tinsteadOf = gh:\n[user]\n\tname = Somebody\n',
        )
        host.env = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(host.home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(config),
        }
        found = git.read(host)
        assert hosts(found) == {"m.corp", "s.corp", "g.corp:22,443"}
        assert found.files == {
            "/etc/gitconfig": '[url "https://m.corp/"]\n\tinsteadOf = "https://public.test/"\n'
            '[url "https://s.corp/"]\n\tinsteadOf = "https://x.test/"\n'
        }

    def test_remotes_of_a_trusted_workspace(self, host: FolderHost, tmp_path: Path) -> None:
        host.env = {"PATH": "/usr/bin:/bin", "HOME": str(host.home)}
        folder = tmp_path / "w"
        folder.mkdir()
        for words in (
            ["init", "-q"],
            ["remote", "add", "o", "git@a.corp:x"],
            ["remote", "add", "p", "https://t@b.corp/y"],
        ):
            subprocess.run(["git", *words], cwd=folder, check=True)
        assert {str(rule) for rule in git.remotes(host, folder, trusted=True)} == {"a.corp:22,443", "b.corp"}
        assert git.remotes(host, folder, trusted=False) == []
        assert git.remotes(host, tmp_path / "missing", trusted=True) == []
