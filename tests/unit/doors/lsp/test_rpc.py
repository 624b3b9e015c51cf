from __future__ import annotations

import pytest
from pydantic import ValidationError

from continue_exec.doors.lsp import rpc
from continue_exec.errors import ContinueExecError, all_errors
from continue_exec.protocol.lsp import RunParams


@pytest.mark.parametrize("cls", all_errors())
def test_every_error_has_a_number_and_travels_whole(cls: type[ContinueExecError]) -> None:
    error = rpc.exception(cls("It went wrong.", hint="Do this.", data={"x": 1}))
    assert error.code in (rpc.INVALID_PARAMS, rpc.INTERNAL_ERROR, rpc.REQUEST_FAILED)
    assert error.message == "It went wrong."
    assert error.data == {"code": cls.code, "message": "It went wrong.", "hint": "Do this.", "data": {"x": 1}}
    assert rpc.safe_data(error.code, error.message, error.data) is error.data


def test_tracebacks_never_pass() -> None:
    data = rpc.safe_data(rpc.INTERNAL_ERROR, "boom", {"traceback": ['File "x"']})
    assert data["code"] == "internal" and "traceback" not in str(data)
    assert rpc.safe_data(rpc.REQUEST_CANCELLED, "cancelled", None) is None


def test_invalid_parameters_name_every_field() -> None:
    with pytest.raises(ValidationError) as caught:
        RunParams.model_validate({"env": {"my-key": 1}, "timeoutS": 0})
    message = rpc.invalid_params("continueExec/run", caught.value).message
    assert all(name in message for name in ("continueExec/run", "env.my-key", "timeoutS", "argv"))
