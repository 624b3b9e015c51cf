from __future__ import annotations

from continue_exec.errors import all_errors
from continue_exec.protocol import lsp, methods
from continue_exec.protocol.generate import typescript
from continue_exec.protocol.generate.shapes import List, Optional, Scalar

TEXT = typescript.render()


def interface(name: str) -> str:
    return TEXT.split(f"export interface {name} {{\n", 1)[1].split("\n}\n", 1)[0]


def test_every_method_and_error_is_there() -> None:
    for name in [*methods.METHODS, *lsp.REQUESTS, *lsp.NOTIFICATIONS]:
        assert f'"{name}": ' in TEXT
    for error in all_errors():
        assert f'  "{error.code}",\n' in TEXT


def test_a_default_makes_a_field_optional_only_in_what_is_sent() -> None:
    assert "readonly after?: number;" in interface("RunFollow")
    assert "readonly reason: string;" in interface("Run")
    assert "readonly exit_code?: number | null;" in interface("Run")


def test_the_sidecars_own_fields_are_camel_case_and_the_engines_are_not() -> None:
    assert "readonly timeoutS?: number | null;" in interface("RunFileParams")
    assert "readonly firstSeq: number;" in interface("EventParams")
    assert "readonly event: RunEvent;" in interface("EventParams")
    assert "readonly duration_ms: number;" in interface("RunExited")


def test_arrays_of_unions_are_bracketed() -> None:
    assert typescript.ts_type(List(Optional(Scalar("int")))) == "readonly (number | null)[]"


def test_a_comment_cannot_be_closed_from_within() -> None:
    assert typescript.comment("a */ b").count("*/") == 1
