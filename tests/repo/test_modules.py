"""Small modules, owned tasks, the six nouns."""

from __future__ import annotations

import ast
import re
from statistics import median

import pytest

from tests.support import sources

MOST_LINES = 500
MEDIAN_LINES = 200
GENERATED = ("sandbox_images/agent/wire/types.go", "extension/protocol/index.ts")

# A process's environment is POSIX's word for its variables (environ(7)): a function may be called just that.
FORBIDDEN = re.compile(r"(?i:session|container)|Environment|(?<=.)environment")
ENDINGS = (".py", ".go", ".ts", ".kt", ".sh")


def lines(name: str) -> int:
    return len((sources.ROOT / name).read_text().splitlines())


def sources_of_ours() -> list[str]:
    named = [name for name in sources.files() if name.endswith(ENDINGS) and name not in GENERATED]
    return named + [name for name in sources.files() if name.startswith("scripts/") and "." not in name]


def test_no_module_is_long() -> None:
    long = {name: count for name in sources_of_ours() if (count := lines(name)) > MOST_LINES}
    assert not long, f"more than {MOST_LINES} lines are two rooms; split: {long}"


def test_the_median_module_is_small() -> None:
    counts = [lines(name) for name in sources.modules() if not name.endswith("__init__.py")]
    assert median(counts) < MEDIAN_LINES


def unowned_tasks(tree: ast.Module) -> list[int]:
    """Lines that start a task which nothing owns: anything but a task group's create_task."""
    groups = {"group"}  # also the customary name of a parameter
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncWith):
            for item in node.items:
                if "TaskGroup" in ast.unparse(item.context_expr) and isinstance(item.optional_vars, ast.Name):
                    groups.add(item.optional_vars.id)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            receiver, _, name = called.rpartition(".")
            if name in ("create_task", "ensure_future") and receiver not in groups:
                found.append(node.lineno)
    return found


def test_every_task_has_an_owner() -> None:
    found = [
        f"{name}:{line}"
        for name in sources.modules()
        if name != "continue_exec/tasks.py"
        for line in unowned_tasks(sources.tree(name))
    ]
    assert not found, f"use continue_exec.tasks.Tasks or asyncio.TaskGroup: {found}"


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("asyncio.create_task(f())", 1),
        ("loop.create_task(f())", 1),
        ("asyncio.ensure_future(f())", 1),
        ("async def g():\n    async with asyncio.TaskGroup() as jobs:\n        jobs.create_task(f())", 0),
    ],
)
def test_unowned_tasks_are_seen(code: str, count: int) -> None:
    assert len(unowned_tasks(ast.parse(code))) == count


def public_names(tree: ast.Module) -> list[tuple[int, str]]:
    """Classes, and functions and methods, whose names are part of what others see."""
    return [
        (node.lineno, node.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_")
    ]


def test_public_names_use_the_six_nouns() -> None:
    found = [
        f"{name}:{line}: {public}"
        for name in sources.modules()
        for line, public in public_names(sources.tree(name))
        if FORBIDDEN.search(public)
    ]
    assert not found, f"Workspace, Template, Sandbox, Snapshot, Run, Job are the nouns: {found}"


@pytest.mark.parametrize(
    ("name", "forbidden"),
    [("Environment", True), ("make_environment", True), ("environment", False), ("SessionPool", True), ("Run", False)],
)
def test_forbidden_names_are_seen(name: str, forbidden: bool) -> None:
    assert bool(FORBIDDEN.search(name)) is forbidden


def test_every_module_and_package_says_what_it_is() -> None:
    silent = [name for name in sources.modules() if len(ast.get_docstring(sources.tree(name)) or "") < 12]
    assert not silent, f"these open without a docstring that says what they hold: {silent}"
