from __future__ import annotations

from continue_exec.network.sources import npm
from tests.unit.network.sources.conftest import FolderHost, hosts


def test_default_from_npm_itself(host: FolderHost) -> None:
    host.tool("npm", 'test "$(pwd) $*" = "/ config get registry" && echo https://r.corp/')
    found = npm.read(host)
    assert hosts(found) == {"r.corp"}
    assert (found.files, found.env) == ({}, {})


def test_files_and_variables(host: FolderHost) -> None:
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


def test_variable_wins(host: FolderHost) -> None:
    host.write(".npmrc", "registry=https://weak.corp/\n")
    host.env = {**host.env, "NPM_CONFIG_REGISTRY": "https://v.corp/"}
    assert hosts(npm.read(host)) == {"v.corp"}


def test_yarn(host: FolderHost) -> None:
    host.tool("yarn", "echo https://y.corp")
    assert hosts(npm.read(host)) == {"y.corp"}
