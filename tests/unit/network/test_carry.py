from __future__ import annotations

import pytest

from continue_exec.network.carry import carry
from continue_exec.network.hosts import HostNetwork


def test_what_is_clean_is_carried() -> None:
    network = HostNetwork(
        files={"/etc/pip.conf": "[global]\nindex-url = https://m.corp/simple\n"},
        env={"GOPROXY": "https://m.corp,direct"},
    )
    carried = carry(network)
    assert (carried.files, carried.env) == (network.files, network.env)


@pytest.mark.parametrize(
    "line",
    [
        "index-url = https://me:secret@m.corp/simple",
        "index-url = https://secret@m.corp/simple",
        "registry=https://m.corp/?access_token=secret",
        "//m.corp/:_authToken=secret",
        "-----BEGIN RSA PRIVATE KEY-----",
    ],
)
def test_what_looks_like_a_credential_is_not(line: str, caplog: pytest.LogCaptureFixture) -> None:
    carried = carry(HostNetwork(files={"/etc/x": f"keep = 1\n{line}\n", "/etc/y": f"{line}\n"}, env={"X": line}))
    assert (carried.files, carried.env) == ({"/etc/x": "keep = 1\n"}, {})
    assert "/etc/x" in caplog.text
    assert "secret" not in caplog.text
