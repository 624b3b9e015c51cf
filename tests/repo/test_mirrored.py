"""Unit tests mirror sources: continue_exec/a/b.py is tested by tests/unit/a/test_b.py."""

from __future__ import annotations

import ast

from tests.support import sources

# Module -> why it has no unit tests of its own, and which suite exercises it for real.
WITHOUT: dict[str, str] = {}


def has_logic(name: str) -> bool:
    """Whether a module has a function or method with a body: declarations alone have nothing to test."""
    for node in ast.walk(sources.tree(name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = [
                part for part in node.body if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
            ]
            if body:
                return True
    return False


def expected(name: str) -> str:
    """Where the tests of a module are: `test_b.py`, or several `test_b_*.py`."""
    folder, _, module = name.removeprefix("continue_exec/").rpartition("/")
    return "/".join(part for part in ("tests/unit", folder, f"test_{module}") if part)


def together(name: str) -> str | None:
    """Where the modules of a package within a room may be tested together: a/b/*.py by tests/unit/a/b/test_b.py."""
    folders = name.split("/")[1:-1]
    return "/".join(("tests/unit", *folders, f"test_{folders[-1]}.py")) if len(folders) > 1 else None


def covers(test: str, wanted: str) -> bool:
    """`test_mirror_property.py` covers what `test_mirror.py` would."""
    return test == wanted or test.startswith(wanted.removesuffix(".py") + "_")


def unit_tests() -> list[str]:
    return [
        name
        for name in sources.files()
        if name.startswith("tests/unit/") and name.rpartition("/")[2].startswith("test_") and name.endswith(".py")
    ]


def test_every_module_with_logic_has_its_tests() -> None:
    tests = unit_tests()
    missing = [
        f"{name} (expected {expected(name)})"
        for name in sources.modules()
        if not name.endswith(("__init__.py", "__main__.py"))
        and has_logic(name)
        and not any(covers(test, expected(name)) for test in tests)
        and together(name) not in tests
        and name not in WITHOUT
    ]
    assert not missing, "\n".join(["write them, or name the suite that covers the module in WITHOUT:", *missing])


def test_every_unit_test_has_its_module() -> None:
    wanted = {expected(name) for name in sources.modules()} | {together(name) or "" for name in sources.modules()}
    # A package's own functions, in its __init__, are tested by test_<package>.py beside the package's folder.
    wanted |= {
        expected(name.removesuffix("/__init__.py") + ".py")
        for name in sources.modules()
        if name.endswith("/__init__.py")
    }
    wanted.discard("")
    stray = [test for test in unit_tests() if not any(covers(test, one) for one in wanted)]
    assert not stray, f"no module of that name: {stray}"


def test_exceptions_are_needed() -> None:
    files = set(sources.files())
    stale = [name for name in WITHOUT if name not in files or expected(name) in files]
    assert not stale, f"these need no exception any more: {stale}"
