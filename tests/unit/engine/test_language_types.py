from __future__ import annotations

from continue_exec.engine.language_types import LanguageSpec, Way

SPEC = LanguageSpec(
    "x", "X", (".x", ".y"), (Way(("new", "helper"), minimum=(2,)), Way(("old",)), Way(("helper",))), "Install it."
)


def test_programs_in_order_and_once() -> None:
    assert SPEC.programs == ("new", "helper", "old")
    assert SPEC.versioned == ("new",)


def test_file_name() -> None:
    assert SPEC.file_name("code") == "main.x"
    named = LanguageSpec("x", "X", (".x",), SPEC.ways, "", name=lambda code: f"{code}.z")
    assert named.file_name("A") == "A.z"
