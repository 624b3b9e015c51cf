"""The pinned packages are what pyproject.toml asks for, each with its hashes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.sources import ROOT

MEND = "run `scripts/lock` and commit what it wrote"


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins(path: Path) -> dict[str, str]:
    return {
        canonicalize_name(name): version
        for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", path.read_text(), re.MULTILINE)
    }


WANTED = {
    "scripts/constraints.txt": [
        *project()["project"]["dependencies"],
        *project()["dependency-groups"]["dev"],
        *project()["dependency-groups"]["build"],
        *project()["build-system"]["requires"],
    ],
    "scripts/constraints-node.txt": project()["dependency-groups"]["node"],
}


@pytest.mark.parametrize(("file", "wanted"), [(file, one) for file, wanted in WANTED.items() for one in wanted])
def test_what_is_asked_for_is_pinned(file: str, wanted: str) -> None:
    requirement = Requirement(wanted)
    pinned = pins(ROOT / file).get(canonicalize_name(requirement.name))
    assert pinned is not None, f"{file} does not pin {requirement.name}: {MEND}"
    assert requirement.specifier.contains(pinned, prereleases=True), f"{file}: {requirement} is not {pinned}: {MEND}"


@pytest.mark.parametrize("file", WANTED)
def test_every_pin_has_hashes_and_no_address(file: str) -> None:
    text = (ROOT / file).read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
