import errno
import os
from pathlib import Path

import pytest

from continue_exec.drivers.runsc import failures
from continue_exec.errors import ContinueExecError, DiskFull, HostUnready, SandboxFailed

BOX, LOG = Path("/box"), Path("/box/log")


@pytest.mark.parametrize(
    ("line", "kind", "hint"),
    [
        (f"unshare\tuser\t{errno.EPERM}", HostUnready, "run"),
        (f"overlay\t/box/root\t{errno.EINVAL}", HostUnready, "local disk"),
        (f"overlay\t/box/root\t{errno.EPERM}", HostUnready, "5.11"),
        (f"overlay\t/box/root\t{errno.ENODEV}", HostUnready, "modprobe"),
        (f"overlay\t/box/root\t{errno.ENOSPC}", DiskFull, "disk space"),
        (f"folder\t/ws\t{errno.ENOTDIR}", SandboxFailed, "continue-exec rm"),
        (f"exec\t/usr/bin/runsc\t{errno.ENOENT}", HostUnready, "install-runsc"),
        (f"cgroup\t/sys/x\t{errno.EACCES}", HostUnready, "root"),
        (f"bind\t/x\t{errno.ENOENT}", SandboxFailed, "doctor"),
        ("garbage", SandboxFailed, "doctor"),
    ],
)
def test_what_the_launcher_reports(line: str, kind: type[ContinueExecError], hint: str) -> None:
    error = failures.of_launcher(line + "\n", BOX, LOG)

    assert type(error) is kind
    assert hint.lower() in error.hint.lower()
    assert error.data["log"] == str(LOG)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("writing: no space left on device", DiskFull),
        ("fork/exec /proc/self/exe: operation not permitted", HostUnready),
        ("configuring cgroup: mkdir /sys/fs/cgroup/x: read-only file system", HostUnready),
        ("flag provided but not defined: -host-uds", HostUnready),
        ("exec /agent: exec format error", HostUnready),
        ("something never seen before", SandboxFailed),
        ("", SandboxFailed),
    ],
)
def test_what_runsc_says(text: str, kind: type[ContinueExecError]) -> None:
    error = failures.of_runsc(128, text, LOG)

    assert type(error) is kind
    assert error.hint
    assert text[-20:] in error.message


def test_a_killed_runsc_is_named_so() -> None:
    assert "killed by signal 9" in failures.of_runsc(-9, "", LOG).message


def test_the_remedy_for_ubuntus_restriction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").write_text("1\n")
    monkeypatch.setattr(failures, "APPARMOR", tmp_path / "one")

    assert "kernel.apparmor_restrict_unprivileged_userns=0" in failures.namespaces_remedy()


def test_the_remedy_for_a_limit_of_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "none").write_text("0\n")
    monkeypatch.setattr(failures, "APPARMOR", tmp_path / "absent")
    monkeypatch.setattr(failures, "CLONE", tmp_path / "absent")
    monkeypatch.setattr(failures, "MAX_NAMESPACES", tmp_path / "none")

    assert "user.max_user_namespaces=15000" in failures.namespaces_remedy()


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n" + "x" * 10_000 + "last")

    assert failures.tail(log, 7).endswith("last")
    assert len(failures.tail(log, 7)) == failures.TAIL_BYTES
    assert failures.tail(log, 10_007) == "last"
    assert failures.tail(tmp_path / "absent", 0) == ""


def test_file_errors_of_our_own() -> None:
    assert isinstance(failures.of_os(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), BOX), DiskFull)
    assert isinstance(failures.of_os(OSError(errno.EROFS, "Read-only file system", "/box"), BOX), HostUnready)
