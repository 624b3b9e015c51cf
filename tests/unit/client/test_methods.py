from __future__ import annotations

import inspect

import pytest

from continue_exec.client import Client
from continue_exec.protocol.methods import METHODS


@pytest.mark.parametrize("name", METHODS)
def test_every_row_has_its_method(name: str) -> None:
    method = getattr(Client, name.replace(".", "_"))
    fields = METHODS[name].params.model_fields
    keywords = {key: value for key, value in inspect.signature(method).parameters.items() if key != "self"}
    assert set(keywords) == set(fields)
    required = {key for key, value in keywords.items() if value.default is inspect.Parameter.empty}
    assert required == {key for key, field in fields.items() if field.is_required()}
    assert (method.__doc__ or "").strip()


@pytest.mark.parametrize("name", METHODS)
def test_answers_are_of_the_table_s_type(name: str) -> None:
    result = METHODS[name].result.__name__
    annotation = inspect.signature(getattr(Client, name.replace(".", "_"))).return_annotation
    expected = "AsyncIterator[RunEvent]" if METHODS[name].stream else "None" if result == "Nothing" else result
    assert annotation == expected
