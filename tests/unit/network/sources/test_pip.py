from __future__ import annotations

import configparser
import json

import pytest

from continue_exec.network.sources import pip
from tests.unit.network.sources.conftest import FolderHost, hosts


def test_default_from_pip_itself(host: FolderHost) -> None:
    found = pip.read(host)
    assert len(found.urls) == 2 and all(url.startswith("https://") for url in found.urls)
    assert found.files == {}


def test_files_and_variables(host: FolderHost) -> None:
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


def test_an_index_that_does_not_answer_is_asked_again(host: FolderHost) -> None:
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


def test_offline(host: FolderHost) -> None:
    host.env = {**host.env, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "https://l.corp/x"}
    found = pip.read(host)
    assert hosts(found) == {"l.corp"}
    assert "no-index = true" in found.files["/etc/pip.conf"]


def test_no_files_at_all(host: FolderHost) -> None:
    host.write("/etc/pip.conf", "[global]\nindex-url = https://weak.corp/simple\n")
    host.env = {**host.env, "PIP_CONFIG_FILE": "/dev/null"}
    assert pip.settings(host) == {"config-file": "/dev/null"}


@pytest.mark.parametrize("text", ["garbage", "[global\n", "\x00", "[global]\nindex-url = a\nindex-url = b"])
def test_broken_files(host: FolderHost, text: str) -> None:
    host.write("/etc/pip.conf", text)
    pip.read(host)
