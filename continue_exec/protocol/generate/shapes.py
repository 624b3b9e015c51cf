"""What the generators know of a model: a small tree of shapes, the same for every language.

Scalar      str, int, float, bool, any
Choice      one of a few strings, with no name of its own
Ref         a model or an enumeration, by name
List, Map   of a shape (maps have string keys)
Optional    a shape or null
Union       one of several models, told apart by their `type`
"""

from __future__ import annotations

import inspect
import types
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined


@dataclass(frozen=True)
class Scalar:
    """A JSON scalar: `str`, `int`, `float`, `bool` or `any`."""

    name: str


@dataclass(frozen=True)
class Choice:
    """One of these strings."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class Ref:
    """A model or an enumeration by its class."""

    target: type[BaseModel] | type[StrEnum]

    @property
    def name(self) -> str:
        """As it is called in every language."""
        return self.target.__name__


@dataclass(frozen=True)
class List:
    """A JSON array."""

    item: Shape


@dataclass(frozen=True)
class Map:
    """A JSON object with any keys."""

    value: Shape


@dataclass(frozen=True)
class Optional:
    """A shape, or null."""

    item: Shape


@dataclass(frozen=True)
class OneOf:
    """One of several models."""

    members: tuple[Ref, ...]


Shape = Scalar | Choice | Ref | List | Map | Optional | OneOf


@dataclass(frozen=True)
class Member:
    """A field of a model."""

    name: str
    """On the wire."""
    shape: Shape
    doc: str
    required: bool
    default: Any
    """As JSON; None when required."""


@dataclass(frozen=True)
class Struct:
    """A model."""

    name: str
    doc: str
    members: tuple[Member, ...]


SCALARS: dict[Any, str] = {str: "str", int: "int", float: "float", bool: "bool", Any: "any", object: "any"}


def shape_of(annotation: Any) -> Shape:
    """The shape of a type annotation.

    Raises:
        TypeError: the generators do not know it; teach all of them, or use a simpler type.
    """
    if annotation in SCALARS:
        return Scalar(SCALARS[annotation])
    if inspect.isclass(annotation) and issubclass(annotation, (BaseModel, StrEnum)):
        return Ref(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return shape_of(args[0])
    if origin is Literal:
        return Choice(tuple(str(value) for value in args))
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return List(shape_of(args[0]))
    if origin is dict and args[0] is str:
        return Map(shape_of(args[1]))
    if origin in (Union, types.UnionType):
        rest = [arg for arg in args if arg is not type(None)]
        if len(rest) < len(args):
            return Optional(shape_of(rest[0] if len(rest) == 1 else Union[tuple(rest)]))  # noqa: UP007
        members = tuple(shape_of(arg) for arg in rest)
        if all(isinstance(member, Ref) for member in members):
            return OneOf(members)  # type: ignore[arg-type]
    raise TypeError(f"The generators have no shape for {annotation!r}.")


def _member(name: str, field: FieldInfo) -> Member:
    required = field.is_required()
    default = None if required else field.get_default(call_default_factory=True)
    if isinstance(default, BaseModel):
        default = default.model_dump(mode="json")
    if isinstance(default, tuple):
        default = list(default)
    assert default is not PydanticUndefined
    shape = shape_of(field.annotation)
    return Member(field.alias or name, shape, field.description or "", required, default)


def describe(model: type[BaseModel]) -> Struct:
    """The model as a struct, its inherited fields first."""
    members = tuple(_member(name, field) for name, field in model.model_fields.items())
    return Struct(model.__name__, inspect.cleandoc(model.__doc__ or ""), members)


def references(shape: Shape) -> list[type[BaseModel] | type[StrEnum]]:
    """Models and enumerations that a shape names directly."""
    match shape:
        case Ref():
            return [shape.target]
        case List() | Optional():
            return references(shape.item)
        case Map():
            return references(shape.value)
        case OneOf():
            return [member.target for member in shape.members]
    return []


def closure(roots: list[type[BaseModel]]) -> list[type[BaseModel] | type[StrEnum]]:
    """Everything that `roots` need, each once, a thing before what uses it.

    Raises:
        TypeError: two different classes share a name.
    """
    seen: dict[str, type[BaseModel] | type[StrEnum]] = {}
    open_: set[type] = set()

    def visit(target: type[BaseModel] | type[StrEnum]) -> None:
        known = seen.get(target.__name__)
        if known is target or target in open_:
            return
        if known is not None:
            raise TypeError(f"{known.__module__} and {target.__module__} both have a {target.__name__}: rename one.")
        open_.add(target)
        if issubclass(target, BaseModel):
            for member in describe(target).members:
                for needed in references(member.shape):
                    visit(needed)
        seen[target.__name__] = target

    for root in roots:
        visit(root)
    return list(seen.values())
