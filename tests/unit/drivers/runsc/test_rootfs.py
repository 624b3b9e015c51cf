import os
from pathlib import Path
from typing import Any

import pytest

from continue_exec.drivers.base import Bind
from continue_exec.drivers.runsc import rootfs
from continue_exec.drivers.runsc.layer import Layer
from continue_exec.errors import InternalError, WorkspaceRefused


def make(tmp_path: Path, workspace: str = "/home/me/project", user: bool = False, mountinfo: str = "") -> rootfs.Plan:
    for name in ("box", "layer", "folders", "home"):
        (tmp_path / name).mkdir(exist_ok=True)
    return rootfs.plan(
        folder=tmp_path / "box",
        workspace=Path(workspace),
        agent=Path("/agent"),
        layer=Layer(tmp_path / "layer", tmp_path / "folders", {"SSL_CERT_FILE": "/x"}),
        user=user,
        environ={"HOME": str(tmp_path / "home"), "PATH": "/usr/bin"},
        mountinfo=mountinfo,
    )


def mount(plan: rootfs.Plan, target: str) -> dict[str, Any]:
    return next(entry for entry in plan.mounts if entry["target"] == target)


def test_usr_is_an_overlay_over_the_hosts_with_its_upper_in_the_sandboxs_folder(tmp_path: Path) -> None:
    entry = mount(make(tmp_path), "/usr")

    options = dict(word.split("=", 1) for word in entry["options"].split(","))
    assert options["lowerdir"] == "/usr"
    assert Path(options["upperdir"]).is_relative_to(tmp_path / "box")
    assert os.stat(options["upperdir"]).st_mode == os.stat("/usr").st_mode
    assert not entry["optional"]


def test_an_ordinary_users_overlays_keep_their_marks_in_user_attributes(tmp_path: Path) -> None:
    assert mount(make(tmp_path, user=True), "/usr")["options"].endswith(",userxattr")
    assert "userxattr" not in mount(make(tmp_path), "/usr")["options"]


def test_an_ordinary_users_own_folders_lie_over_the_hosts(tmp_path: Path) -> None:
    (tmp_path / "folders/usr").mkdir(parents=True)

    entry = mount(make(tmp_path, user=True), "/usr")

    assert entry["options"].startswith(f"lowerdir={tmp_path}/folders/usr:/usr,")


def test_the_agent_is_a_read_only_file_and_must_be_there(tmp_path: Path) -> None:
    entry = mount(make(tmp_path), "/.continue-exec/agent")

    assert (entry["kind"], entry["read_only"], entry["optional"]) == ("file", True, False)


def test_a_workspace_is_a_folder_that_must_be_there(tmp_path: Path) -> None:
    plan = make(tmp_path)

    assert ("/home/me/project", 0o755, True) in plan.folders
    assert "/home/me/project" not in [entry["target"] for entry in plan.mounts]


def test_a_workspace_beneath_a_host_folder_is_covered_by_an_empty_one(tmp_path: Path) -> None:
    plan = make(tmp_path, "/opt/team/project")

    entry = mount(plan, "/opt/team/project")
    assert entry["kind"] == "bind"
    assert os.listdir(entry["source"]) == []
    # After what it covers.
    assert plan.mounts.index(entry) > plan.mounts.index(mount(plan, "/usr"))


@pytest.mark.parametrize("path", [*rootfs.WHOLE, "/proc/1", "/dev/shm", "/run/continue-exec/x", "/.continue-exec"])
def test_places_of_the_machine_itself_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(WorkspaceRefused, match=path):
        make(tmp_path, path)


def test_a_workspace_that_contains_a_toolchain_is_refused() -> None:
    with pytest.raises(WorkspaceRefused, match="toolchain"):
        rootfs.check_workspace(Path("/home/me"), (Path("/home/me/.pyenv/versions"),))

    rootfs.check_workspace(Path("/home/me/project"), (Path("/home/me/.pyenv/versions"),))


def test_separate_file_systems_beneath_usr_are_mounted_too(tmp_path: Path) -> None:
    info = "30 1 8:2 / /usr/local rw - ext4 /dev/x rw\n31 1 8:3 / /home rw - ext4 /dev/y rw\nbroken\n"

    plan = make(tmp_path, mountinfo=info)

    entry = mount(plan, "/usr/local")
    assert entry["optional"]
    assert plan.mounts.index(entry) > plan.mounts.index(mount(plan, "/usr"))
    assert "/home" not in [entry["target"] for entry in plan.mounts]


def test_octal_escapes_of_mount_points() -> None:
    info = "30 1 8:2 / /usr/a\\040b rw - ext4 /dev/x rw\n31 1 8:2 / /usr/auto rw - autofs x rw\n"

    assert rootfs.mounted_beneath("/usr", info) == ["/usr/a b"]


def test_separators_in_paths_are_escaped() -> None:
    assert rootfs.escape("/a:b,c\\d") == "/a\\:b\\,c\\\\d"


def test_names_of_mounts_are_unique_and_short() -> None:
    assert rootfs.mount_name("/a/b") != rootfs.mount_name("/a-b")
    assert len(rootfs.mount_name("/" + "x" * 4000)) < 60


def test_the_environment_is_the_templates_and_none_of_the_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_TOKEN", "secret")

    env = make(tmp_path).env

    assert env["HOME"] == "/root"
    assert env["https_proxy"] == rootfs.PROXY
    assert env["SSL_CERT_FILE"] == "/x"
    assert "A_TOKEN" not in env


def test_mount_points_of_binds_are_made_and_those_of_an_earlier_start_removed(tmp_path: Path) -> None:
    rootfs.bind_points(tmp_path, [Bind(Path("/a"), "old")])

    found = rootfs.bind_points(tmp_path, [Bind(Path("/b"), "new", ("info/alternates",))])

    assert found == [("/b", f"{tmp_path}/host/new", ["info/alternates"], f"{tmp_path}/empty")]
    assert [path.name for path in (tmp_path / "host").iterdir()] == ["new"]
    assert (tmp_path / "empty").stat().st_size == 0


@pytest.mark.parametrize("name", ["", ".", "..", "a/b"])
def test_a_bind_has_a_name_of_its_own(tmp_path: Path, name: str) -> None:
    with pytest.raises(InternalError):
        rootfs.bind_points(tmp_path, [Bind(Path("/a"), name)])
