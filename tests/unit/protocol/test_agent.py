from __future__ import annotations

import json

from continue_exec.model import TerminalSize
from continue_exec.protocol.agent import METHODS, NOTIFICATIONS, Exec, FileList, request


def test_a_request_leaves_out_what_is_not_given() -> None:
    sent = request(7, "exec", Exec(stream=1, run_id="run_1", argv=("ls", "-l"), cwd="/w", env={"A": "b"}))
    assert json.loads(json.dumps(sent)) == {
        "id": 7,
        "method": "exec",
        "params": {
            "stream": 1,
            "run_id": "run_1",
            "argv": ["ls", "-l"],
            "cwd": "/w",
            "env": {"A": "b"},
            "stdin": False,
        },
    }


def test_a_terminal_travels_whole() -> None:
    params = Exec(stream=1, run_id="r", argv=("sh",), cwd="/", env={}, tty=TerminalSize(rows=24, cols=80))
    assert request(1, "exec", params)["params"]["tty"] == {"rows": 24, "cols": 80}


def test_a_name_that_is_not_utf8_survives_the_wire() -> None:
    name = b"caf\xe9".decode(errors="surrogateescape")
    entry = {"path": name, "kind": "file"}
    got = FileList.model_validate(json.loads(json.dumps({"entries": [entry]})))
    assert got.entries[0].path.encode(errors="surrogateescape") == b"caf\xe9"


def test_methods_and_notifications_share_no_name() -> None:
    assert not set(METHODS) & set(NOTIFICATIONS)
