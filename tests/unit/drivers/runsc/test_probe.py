import json
import platform
from pathlib import Path

import pytest

from continue_exec.drivers.runsc import probe
from continue_exec.drivers.runsc.cgroups import Cgroups
from continue_exec.errors import HostUnready

NONE = Cgroups(1, frozenset(), "", False, "cgroup v1 cannot be delegated to an ordinary user")
ALL = Cgroups(2, frozenset({"memory", "cpu", "pids"}), "/x", False, "")


def runsc(folder: Path, version: str) -> Path:
    path = folder / "runsc"
    path.write_text(f"#!/bin/sh\necho runsc version {version}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("machine", "release", "status"),
    [
        ("x86_64", "6.1.0", "ok"),
        ("aarch64", "6.1.0-13-arm64", "ok"),
        ("riscv64", "6.1.0", "failed"),
        ("x86_64", "4.4.0", "failed"),
    ],
)
def test_platform(machine: str, release: str, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "release", lambda: release)

    found = probe.check_platform()

    assert found.status == status
    assert bool(found.remedy) == (status != "ok")


async def test_a_runsc_without_systrap_is_too_old(tmp_path: Path) -> None:
    found = await probe.check_runsc(runsc(tmp_path, "0.0~20221219.0"))

    assert found.status == "failed"
    assert "systrap" in found.remedy


async def test_a_runsc_of_unknown_age_will_do(tmp_path: Path) -> None:
    assert (await probe.check_runsc(runsc(tmp_path, "VERSION_MISSING"))).status == "ok"


async def test_no_runsc(tmp_path: Path) -> None:
    found = await probe.check_runsc(tmp_path / "runsc")

    assert found.status == "failed"
    assert "install-runsc" in found.remedy


def test_cgroups_say_what_is_lost_and_how_to_get_it() -> None:
    found = probe.check_cgroups(NONE, user=True)

    assert found.status == "warning"
    assert "memory" in found.message
    assert found.remedy
    assert probe.check_cgroups(ALL, user=False).status == "ok"


def test_a_full_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert probe.check_disk(tmp_path / "not/yet/there").status in ("ok", "warning")
    monkeypatch.setattr(probe, "MIN_FREE", 1 << 60)
    assert probe.check_disk(tmp_path).status == "warning"


@pytest.mark.parametrize(("watches", "status"), [("524288", "ok"), ("8192", "warning"), ("x", "warning")])
def test_inotify(tmp_path: Path, watches: str, status: str) -> None:
    folder = tmp_path / "sys/fs/inotify"
    folder.mkdir(parents=True)
    (folder / "max_user_watches").write_text(watches)
    (folder / "max_user_instances").write_text("128")

    assert probe.check_inotify(tmp_path).status == status


async def test_the_boot_is_tried_once(tmp_path: Path) -> None:
    boots = []

    async def boot(folder: Path, agent: Path) -> None:
        boots.append((folder, agent))

    program = runsc(tmp_path, "x")
    for _ in range(2):
        assert (await probe.check_boot(program, tmp_path / "home", boot)).status == "ok"

    assert len(boots) == 1
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["boots.json"]
    assert str(program) in json.loads((tmp_path / "home/boots.json").read_text())


async def test_a_boot_that_fails_says_why_and_is_tried_again(tmp_path: Path) -> None:
    async def boot(folder: Path, agent: Path) -> None:
        raise HostUnready("no", hint="mend it")

    for _ in range(2):
        found = await probe.check_boot(runsc(tmp_path, "x"), tmp_path / "home", boot)
        assert (found.status, found.message, found.remedy) == ("failed", "no", "mend it")


async def test_nothing_is_booted_when_something_else_failed(tmp_path: Path) -> None:
    async def boot(folder: Path, agent: Path) -> None:
        raise AssertionError("booted")

    found = await probe.check(tmp_path / "absent", tmp_path / "home", ALL, False, boot)

    assert "boot" not in [check.name for check in found]
    assert next(check.name for check in found if check.status == "failed") == "runsc"
