from pathlib import Path

import pytest

from continue_exec.drivers.runsc import layer


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/services").write_text("one")
    return tmp_path / "etc"


def ensure(host: Path, *, user: bool = False, **environ: str) -> layer.Layer:
    return layer.ensure(host.parent / "layers", user=user, environ={"HOME": str(host.parent), **environ}, host=host)


def test_it_is_built_once(host: Path) -> None:
    first = ensure(host)
    (first.root / "mark").touch()

    assert ensure(host) == first
    assert (first.root / "mark").exists()


def test_a_host_that_changed_gets_a_new_one(host: Path) -> None:
    first = ensure(host)
    (host / "services").write_text("one and two")

    second = ensure(host)

    assert second.root != first.root
    assert (second.root / "etc/services").read_text() == "one and two"
    # The old one may lie beneath a sandbox that runs.
    assert (first.root / "etc/services").read_text() == "one"


def test_layers_of_an_earlier_boot_go(host: Path) -> None:
    first = ensure(host)
    (first.root.parent / "boot").write_text("an earlier boot")
    (host / "services").write_text("one and two")

    second = ensure(host)

    assert not first.root.exists()
    assert second.root.exists()


def test_a_machine_has_its_folders_with_their_modes(host: Path) -> None:
    root = ensure(host).root

    assert root.joinpath("tmp").stat().st_mode & 0o7777 == 0o1777
    assert root.joinpath("root").stat().st_mode & 0o7777 == 0o700
    assert root.joinpath("etc/passwd").stat().st_mode & 0o777 == 0o644
    assert root.joinpath("var/run").is_symlink()


def test_only_an_ordinary_user_gets_folders_of_its_own_over_the_hosts(host: Path) -> None:
    for_root = ensure(host).over("/usr")
    assert for_root is None or not (for_root / "bin").exists()

    over = ensure(host, user=True).over("/usr")

    assert over is not None
    assert (over / "bin").is_dir() or (over / "lib").is_dir()
    assert {path.name for path in over.rglob("*") if path.is_file()} <= {"locale-archive"}


def test_a_build_that_fails_leaves_nothing(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(layer.etc, "synthesize", full)

    with pytest.raises(OSError, match="No space"):
        ensure(host)

    assert list((host.parent / "layers").iterdir()) == []
