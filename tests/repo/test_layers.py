"""Imports go one way. The house in one sentence: doors translate; the engine decides; drivers, agent, mirror and
network do; the model names."""

from __future__ import annotations

import pytest

from tests.support import sources

CONTRACTS = {"errors", "paths", "tasks", "model", "config", "protocol"}

# Room -> what it may import beside itself and the package's own `__version__`.
ALLOWED: dict[str, set[str]] = {
    "__init__": set(),
    "errors": set(),
    "paths": {"errors"},
    "tasks": {"errors"},
    "model": {"errors"},
    "config": {"errors", "paths", "model"},
    "protocol": {"errors", "model"},
    "drivers": CONTRACTS,
    "agent": CONTRACTS,
    "mirror": CONTRACTS,
    "network": CONTRACTS,
    "store": CONTRACTS,
    "engine": CONTRACTS | {"drivers", "agent", "mirror", "network", "store"},
    "client": {"errors", "paths", "tasks", "protocol", "model"},
    "doors.cli": CONTRACTS | {"client", "doors.lsp"},  # `continue-exec lsp` starts the other door
    "doors.lsp": CONTRACTS | {"client"},
    "doors.http": CONTRACTS | {"engine"},
    "doors": set(),
    "app": CONTRACTS | {"drivers", "agent", "mirror", "network", "store", "engine", "doors"},
}

# Module -> rooms it may import beyond its own room's row, and why.
EXCEPTIONS: dict[str, tuple[set[str], str]] = {
    "continue_exec/doors/cli/doctor.py": ({"drivers"}, "it must say what is missing where no engine can start"),
}

WORDS = "Move what is shared to protocol/ or model.py, or pass it in as an argument from app.py or the engine."


def room(dotted: str) -> str:
    """`continue_exec.doors.cli.main` -> `doors.cli`; `continue_exec.errors.NotFound` -> `errors`."""
    parts = dotted.split(".")[1:]
    if parts[0] == "doors" and len(parts) > 1 and f"doors.{parts[1]}" in ALLOWED:
        return f"doors.{parts[1]}"
    return parts[0] if parts[0] in ALLOWED else "__init__"


def violations(names: list[str]) -> list[str]:
    found = []
    for name in names:
        own = room(name.removesuffix(".py").replace("/", "."))
        allowed = {own, "__init__", *ALLOWED[own], *EXCEPTIONS.get(name, (set(), ""))[0]}
        for line, target in sources.imports(name):
            other = room(target)
            if other not in allowed and not (own == "app" and other.startswith("doors")):
                found.append(f"{name}:{line}: {own} imports {other} ({target})")
    return found


def test_imports_go_one_way() -> None:
    assert not (found := violations(sources.modules())), "\n".join([*found, WORDS])


def test_exceptions_are_needed() -> None:
    for name, (rooms, _) in EXCEPTIONS.items():
        assert {room(target) for _, target in sources.imports(name)} >= rooms, f"{name} needs no exception any more"


def test_every_room_is_in_the_table() -> None:
    rooms = {name.split("/")[1].removesuffix(".py") for name in sources.modules()}
    assert rooms <= set(ALLOWED), f"{rooms - set(ALLOWED)} need a row in ALLOWED: what may they import?"


@pytest.mark.parametrize(
    ("source", "targets"),
    [
        ("from ..errors import NotFound", ["continue_exec.errors.NotFound"]),
        ("from . import wire", ["continue_exec.store.wire"]),
        ("def f():\n    from ..engine.runs import Runs", ["continue_exec.engine.runs.Runs"]),
        ("import continue_exec.drivers.base", ["continue_exec.drivers.base"]),
        ("import os\nfrom json import loads", []),
    ],
)
def test_imports_are_found(source: str, targets: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import ast

    monkeypatch.setattr(sources, "tree", lambda name: ast.parse(source))
    assert [target for _, target in sources.imports("continue_exec/store/state.py")] == targets


def test_a_violation_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "imports", lambda name: [(3, "continue_exec.engine.runs.Runs")])
    assert violations(["continue_exec/store/state.py"]) == [
        "continue_exec/store/state.py:3: store imports engine (continue_exec.engine.runs.Runs)"
    ]
