"""What exists is documented, and what is documented exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from continue_exec import config, errors
from continue_exec.protocol.methods import METHODS
from tests.support import sources

REFERENCE = sources.ROOT / "docs/reference"


def first_cells(page: Path) -> list[str]:
    """The names in back-quotes in the first column of a page's tables."""
    return re.findall(r"^\| `([^`]+)` \|", page.read_text(), re.MULTILINE)


@pytest.mark.parametrize("cls", errors.all_errors(), ids=lambda cls: cls.__name__)
def test_every_error_is_documented(cls: type[errors.ContinueExecError]) -> None:
    assert f"`{cls.code}`" in (REFERENCE / "errors.md").read_text(), "run `scripts/generate`"
    if cls is not errors.ContinueExecError:
        assert f" {cls.__name__} " in (errors.__doc__ or ""), "draw it in the tree at the top of errors.py"


def test_every_setting_is_documented() -> None:
    rows = first_cells(REFERENCE / "settings.md")
    fields = list(config.Settings.model_fields)
    assert sorted(rows) == sorted([*fields, *config.NOT_SETTINGS]), (
        "docs/reference/settings.md has one row for each field of Settings and each variable of NOT_SETTINGS"
    )


def test_every_setting_says_its_default() -> None:
    table = dict(
        re.findall(r"^\| `([^`]+)` \| `?([^|`]+?)`? \|", (REFERENCE / "settings.md").read_text(), re.MULTILINE)
    )
    wrong = {}
    for name, field in config.Settings.model_fields.items():
        expected = "unset" if field.default is None else "none" if field.default == () else str(field.default)
        if table.get(name) != expected:
            wrong[name] = f"says {table.get(name)}, is {expected}"
    assert not wrong


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_documented(method: str) -> None:
    assert f"`{method}`" in (REFERENCE / "methods.md").read_text(), "run `scripts/generate`"


def variables_read() -> dict[str, str]:
    """CONTINUE_EXEC_* names in the sources, and where."""
    found = {}
    for name in sources.modules():
        for node in ast.walk(sources.tree(name)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.update(dict.fromkeys(re.findall(r"\bCONTINUE_EXEC_[A-Z_]+[A-Z]\b", node.value), name))
    return found


def test_every_variable_is_a_setting_or_named_as_none() -> None:
    known = {f"CONTINUE_EXEC_{name.upper()}" for name in config.Settings.model_fields} | config.NOT_SETTINGS
    unknown = {name: where for name, where in variables_read().items() if name not in known}
    assert not unknown, f"make it a field of Settings, or add it to config.NOT_SETTINGS and its page: {unknown}"


def links(page: str) -> list[str]:
    """Targets of a page's links that are within the repository."""
    text = re.sub(r"^```.*?^```", "", (sources.ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """The fragments that a page's headings can be named by, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+?) *$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


PAGES = [name for name in sources.files() if name.endswith(".md")]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    broken = []
    for link in links(page):
        path, _, fragment = unquote(link).partition("#")
        target = (sources.ROOT / page).parent / path if path else sources.ROOT / page
        if not target.exists() or (fragment and fragment not in anchors(target)):
            broken.append(link)
    assert not broken


def test_every_page_can_be_found_from_the_index() -> None:
    pages = {name for name in PAGES if name.startswith("docs/") and name != "docs/README.md"}
    index = sources.ROOT / "docs"
    linked = {
        str((index / link.partition("#")[0]).resolve().relative_to(sources.ROOT)) for link in links("docs/README.md")
    }
    missing = pages - linked
    assert not missing, f"link them in docs/README.md: {missing}"


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = sorted(int(Path(name).name[:4]) for name in PAGES if name.startswith("docs/decisions/"))
    assert numbers == list(range(1, len(numbers) + 1)), "two authors took the same number, or one is missing"


def test_the_readme_names_places_that_exist() -> None:
    table = (sources.ROOT / "README.md").read_text().partition("## Where does X live")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w./-]+/[\w./-]*|[\w./-]+\.(?:py|md))`", table)
    assert named
    missing = [word for word in named if not (sources.ROOT / word).exists()]
    assert not missing
