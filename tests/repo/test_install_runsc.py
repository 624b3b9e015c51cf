"""scripts/install-runsc on a machine that stands in PATH: `id`, `uname`, `apt-get` and `runsc` are stubs."""

import hashlib
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "install-runsc"

RUNSC = "#!/bin/sh\necho runsc version release-20250407.0\n"


class Machine:
    """An ordinary user's machine without runsc."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.home = folder / "home"
        self.place = folder / "releases"
        for path in (self.bin, self.home, self.place / "x86_64"):
            path.mkdir(parents=True)
        self.stub("id", "echo 1000")
        self.stub("uname", 'if [ "$1" = -m ]; then echo x86_64; else echo Linux; fi')
        # The real ones must not be found where they may be installed: no place but the stubs and the basics.
        tools = "bash sh curl wget python3 sha512sum mkdir mktemp chmod mv rm cat grep head cut tail sed awk"
        for name in tools.split():
            for folder_ in ("/usr/bin", "/bin", "/usr/local/bin"):
                if (Path(folder_) / name).exists():
                    (self.bin / name).symlink_to(Path(folder_) / name)
                    break

    def stub(self, name: str, script: str) -> None:
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.bin / name).chmod(0o755)

    def publish(self, content: str = RUNSC, checksum: str = "") -> None:
        (self.place / "x86_64/runsc").write_text(content)
        digest = checksum or hashlib.sha512(content.encode()).hexdigest()
        (self.place / "x86_64/runsc.sha512").write_text(f"{digest}  runsc\n")

    def install(self, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        env = {
            "PATH": str(self.bin),
            "HOME": str(self.home),
            "CONTINUE_EXEC_RUNSC_URL": f"file://{self.place}",
            **environ,
        }
        return subprocess.run(
            ["/bin/bash", SCRIPT, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False
        )

    @property
    def installed(self) -> Path:
        return self.home / ".local/bin/runsc"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_root_a_release_is_checked_and_put_into_the_users_own_folder(machine: Machine) -> None:
    machine.publish()

    done = machine.install("--force-download")

    assert done.returncode == 0, done.stderr
    assert machine.installed.read_text() == RUNSC
    assert machine.installed.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in machine.installed.parent.iterdir()] == ["runsc"]


def test_a_download_that_was_changed_is_refused(machine: Machine) -> None:
    machine.publish(checksum="0" * 128)

    done = machine.install("--force-download")

    assert done.returncode == 1
    assert "checksum" in done.stderr
    assert list(machine.installed.parent.iterdir()) == []


def test_without_a_network_it_says_what_to_do(machine: Machine) -> None:
    done = machine.install("--force-download")

    assert done.returncode == 1
    assert f"{machine.place}/x86_64/runsc" in done.stderr
    assert str(machine.installed) in done.stderr
    assert "CONTINUE_EXEC_RUNSC" in done.stderr


def test_one_that_is_there_and_new_enough_is_left_alone_in_silence(machine: Machine) -> None:
    machine.stub("runsc", "echo runsc version 0.0~20240729.0")

    done = machine.install()

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not machine.installed.exists()


def test_a_setting_that_names_none_is_an_error(machine: Machine) -> None:
    done = machine.install(CONTINUE_EXEC_RUNSC="/nonexistent/runsc")

    assert done.returncode == 1
    assert "/nonexistent/runsc" in done.stderr


@pytest.mark.parametrize(
    ("system", "processor", "word"), [("Linux", "riscv64", "riscv64"), ("Darwin", "arm64", "Darwin")]
)
def test_another_machine_is_named(machine: Machine, system: str, processor: str, word: str) -> None:
    machine.stub("uname", f'if [ "$1" = -m ]; then echo {processor}; else echo {system}; fi')

    done = machine.install("--force-download")

    assert done.returncode == 1
    assert word in done.stderr
