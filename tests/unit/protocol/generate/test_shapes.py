from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import pytest
from pydantic import Field

from continue_exec.model import Model
from continue_exec.protocol.generate.shapes import (
    Choice,
    List,
    Map,
    OneOf,
    Optional,
    Ref,
    Scalar,
    closure,
    describe,
    shape_of,
)


class Colour(StrEnum):
    RED = "red"


class Leaf(Model):
    """A leaf."""

    size: int = Field(default=3, description="in mm")


class Branch(Model):
    leaves: tuple[Leaf, ...]
    colour: Colour | None = None


@pytest.mark.parametrize(
    ("annotation", "shape"),
    [
        (str, Scalar("str")),
        (int | None, Optional(Scalar("int"))),
        (tuple[float, ...], List(Scalar("float"))),
        (dict[str, bool], Map(Scalar("bool"))),
        (Literal["a", "b"], Choice(("a", "b"))),
        (Annotated[Leaf | Branch, "x"], OneOf((Ref(Leaf), Ref(Branch)))),
        (tuple[Colour, ...] | None, Optional(List(Ref(Colour)))),
    ],
)
def test_annotations_become_shapes(annotation: object, shape: object) -> None:
    assert shape_of(annotation) == shape


@pytest.mark.parametrize("annotation", [set[str], dict[int, str], tuple[int, str], bytes, int | str])
def test_what_the_generators_do_not_know_is_refused(annotation: object) -> None:
    with pytest.raises(TypeError, match="no shape"):
        shape_of(annotation)


def test_describe_keeps_docs_defaults_and_what_is_required() -> None:
    (size,) = describe(Leaf).members
    assert (size.doc, size.required, size.default) == ("in mm", False, 3)
    leaves, colour = describe(Branch).members
    assert leaves.required
    assert not colour.required
    assert describe(Leaf).doc == "A leaf."


def test_closure_names_each_once_and_what_is_needed_first() -> None:
    assert closure([Branch, Leaf]) == [Leaf, Colour, Branch]


def test_two_models_of_one_name_are_refused() -> None:
    other = type("Leaf", (Model,), {"__module__": "elsewhere"})
    with pytest.raises(TypeError, match="rename one"):
        closure([Leaf, other])
