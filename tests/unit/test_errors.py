from __future__ import annotations

import json
from http import HTTPStatus

import pytest

from continue_exec import errors
from continue_exec.errors import ContinueExecError, NotFound, OutsideWorkspace, Refused, WorkspaceRefused


@pytest.mark.parametrize("cls", errors.all_errors(), ids=lambda cls: cls.__name__)
def test_every_error_crosses_the_wire_unchanged(cls: type[ContinueExecError]) -> None:
    sent = cls("It broke.", hint="Mend it.", data={"path": "/x"})
    got = errors.from_wire(json.loads(json.dumps(sent.to_wire())))
    assert (type(got), got.message, got.hint, got.data) == (cls, "It broke.", "Mend it.", {"path": "/x"})
    assert str(got) == f"It broke. ({cls.code})"


def test_codes_are_unique_and_statuses_real() -> None:
    classes = errors.all_errors()
    assert len({cls.code for cls in classes}) == len(classes)
    assert all(HTTPStatus(cls.status) >= HTTPStatus.BAD_REQUEST for cls in classes)


def test_exit_codes_are_not_a_commands_own() -> None:
    assert {cls.exit_code for cls in errors.all_errors()} <= {125, 126, 127}


def test_the_default_hint_counts_unless_another_is_given() -> None:
    assert OutsideWorkspace("no").hint == OutsideWorkspace.default_hint != ""
    assert OutsideWorkspace("no", hint="").hint == ""
    assert OutsideWorkspace("no", hint="else").hint == "else"


def test_a_subclass_can_be_caught_by_its_remedy() -> None:
    with pytest.raises(Refused):
        raise WorkspaceRefused("/ is the root")


def test_an_unknown_code_of_a_newer_peer_is_kept() -> None:
    got = errors.from_wire({"code": "from_the_future", "message": "new", "hint": "h"})
    assert (type(got), got.message, got.hint, got.data) == (ContinueExecError, "new", "h", {"code": "from_the_future"})


@pytest.mark.parametrize("body", [{}, {"code": None, "data": "text"}, {"code": "not_found", "data": [1]}])
def test_a_malformed_body_is_still_an_error(body: dict[str, object]) -> None:
    got = errors.from_wire(body)
    assert isinstance(got, ContinueExecError)
    assert isinstance(got.data, dict)


def test_every_class_is_found_once() -> None:
    assert errors.all_errors().count(NotFound) == 1
    assert errors.all_errors()[0] is ContinueExecError
