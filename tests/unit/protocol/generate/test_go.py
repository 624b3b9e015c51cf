"""Go's encoding/json must read what the models write, and write what they read: run through a real Go program."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from continue_exec.protocol import agent
from continue_exec.protocol.generate import go
from continue_exec.protocol.generate.shapes import (
    Choice,
    List,
    Map,
    Optional,
    Ref,
    Scalar,
    Shape,
    closure,
    describe,
)

GO = Path(sysconfig.get_path("platlib")) / "go" / "bin" / "go"

ROOTS = [m for pair in agent.METHODS.values() for m in pair] + [*agent.NOTIFICATIONS.values(), agent.PushEntry]
MODELS = [target for target in closure(list(dict.fromkeys(ROOTS))) if issubclass(target, BaseModel)]

PROGRAM = """package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {{
	kinds := map[string]func() any{{
{kinds}	}}
	var lines []struct {{
		Name  string
		Value json.RawMessage
	}}
	if err := json.NewDecoder(os.Stdin).Decode(&lines); err != nil {{
		panic(err)
	}}
	for _, line := range lines {{
		value := kinds[line.Name]()
		if err := json.Unmarshal(line.Value, value); err != nil {{
			panic(line.Name + ": " + err.Error())
		}}
		out, err := json.Marshal(value)
		if err != nil {{
			panic(err)
		}}
		fmt.Println(string(out))
	}}
}}
"""


def full(shape: Shape) -> Any:
    """A JSON value of this shape with nothing left out."""
    match shape:
        case Scalar():
            return {"str": 'ü"\u2028', "int": 7, "float": 0.5, "bool": True, "any": None}[shape.name]
        case Choice():
            return shape.values[-1]
        case Ref():
            return {m.name: full(m.shape) for m in describe(shape.target).members}  # type: ignore[arg-type]
        case List() | Optional():
            return [full(shape.item)] if isinstance(shape, List) else full(shape.item)
        case Map():
            return {"k": full(shape.value)}
    raise AssertionError(shape)


def least(shape: Shape) -> Any:
    """A JSON value with only what is required, and that as small as it may be."""
    match shape:
        case Scalar():
            return {"str": "", "int": 1, "float": 0.0, "bool": False, "any": None}[shape.name]
        case Ref():
            return {m.name: least(m.shape) for m in describe(shape.target).members if m.required}  # type: ignore[arg-type]
        case List():
            return []
        case Map():
            return {}
    return full(shape)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wire")
    (folder / "go.mod").write_text("module wire\n\ngo 1.22\n")
    (folder / "types.go").write_text(go.render().replace("package wire", "package main"))
    kinds = "".join(f'\t\t"{m.__name__}": func() any {{ return new({m.__name__}) }},\n' for m in MODELS)
    (folder / "main.go").write_text(PROGRAM.format(kinds=kinds))
    subprocess.run([GO, "build", "-o", folder / "program", "."], cwd=folder, check=True, timeout=110)
    return folder / "program"


def through_go(program: Path, values: list[tuple[str, Any]]) -> list[Any]:
    lines = json.dumps([{"Name": name, "Value": value} for name, value in values])
    done = subprocess.run([program], input=lines, capture_output=True, text=True, check=True, timeout=20)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("make", [full, least])
def test_models_survive_go(program: Path, make: Any) -> None:
    values = [(model.__name__, make(Ref(model))) for model in MODELS]
    for model, (name, sent), back in zip(MODELS, values, through_go(program, values), strict=True):
        assert model.model_validate(back) == model.model_validate(sent), name


def test_absent_fields_get_the_models_defaults_in_go(program: Path) -> None:
    signal, read = through_go(program, [("Signal", {"stream": 1, "signal": 9}), ("Read", {"stream": 1, "path": "/x"})])
    assert signal["tree"] is True
    assert read["length"] == -1


def test_unset_arrays_are_written_as_arrays(program: Path) -> None:
    # A null where a tuple is required would be refused by the model.
    (listing,) = through_go(program, [("FileList", {})])
    assert listing == {"entries": []}


@pytest.mark.parametrize(
    ("name", "expected"), [("run_id", "RunID"), ("tty", "TTY"), ("mtime_ns", "MtimeNS"), ("size", "Size")]
)
def test_names_are_gos(name: str, expected: str) -> None:
    assert go.go_name(name) == expected


def test_long_comments_are_wrapped() -> None:
    assert max(len(line) for line in go.comment("word " * 100, "\t").splitlines()) <= 120
    assert sys.maxsize > 2**32, "int is 64 bits on both of the agent's architectures"
