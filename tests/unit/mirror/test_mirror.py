from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest

from continue_exec.errors import Conflict, DiskFull, NotFound, OutsideWorkspace, SandboxLost
from continue_exec.mirror.mirror import LARGE, Mirror
from continue_exec.mirror.plan import Plan, Planner
from continue_exec.protocol.agent import PushItem, PushResult
from tests.support import loopwatch
from tests.support.mirror_target import WATCHERS, DiskTarget, make, tree

pytestmark = pytest.mark.may_block("the tests read and write the host's tree themselves")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    folder = tmp_path / "host"
    folder.mkdir()
    return folder


@pytest.fixture
def target(tmp_path: Path) -> DiskTarget:
    folder = tmp_path / "inside"
    folder.mkdir()
    return DiskTarget(folder)


@pytest.fixture(params=WATCHERS)
async def mirror(request: pytest.FixtureRequest, host: Path) -> AsyncIterator[Mirror]:
    made = make(host, watcher=WATCHERS[request.param])
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def exact(host: Path) -> AsyncIterator[Mirror]:
    made = make(host)
    await made.start()
    yield made
    await made.stop()


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True)


def old(path: Path) -> None:
    """Let the file's times be trusted from now on."""
    time.sleep(0.06)
    assert time.time_ns() - path.stat().st_ctime_ns > 50_000_000


async def test_everything_then_only_changes(mirror: Mirror, host: Path, target: DiskTarget) -> None:
    (host / "a" / "empty").mkdir(parents=True)
    (host / "a" / "x.sh").write_text("echo hi")
    (host / "a" / "x.sh").chmod(0o755)
    (host / "a" / os.fsdecode(b"\xff.txt")).write_text("not UTF-8")
    (host / "link").symlink_to("/nowhere/else")
    os.utime(host / "a" / "x.sh", ns=(1_000_000_000, 2_000_000_000))
    result = await mirror.flush(target)
    assert (result.files, result.deleted, result.bytes) == (3, 0, 16)
    assert tree(target.folder) == tree(host)
    assert (target.folder / "a" / "x.sh").stat().st_mtime_ns == 2_000_000_000

    assert (await mirror.flush(target)).files == 0
    assert len(target.pushes) == 1

    (host / "a" / "x.sh").write_text("echo ho")
    (host / "new").write_text("new")
    (host / "link").unlink()
    (host / "a" / "empty").rmdir()
    result = await mirror.flush(target)
    assert (result.files, result.deleted) == (2, 2)
    assert tree(target.folder) == tree(host)


async def test_moves_and_kinds_that_change(mirror: Mirror, host: Path, target: DiskTarget) -> None:
    (host / "d" / "sub").mkdir(parents=True)
    (host / "d" / "sub" / "f").write_text("1")
    (host / "file").write_text("2")
    await mirror.flush(target)
    (host / "d").rename(host / "e")
    (host / "file").unlink()
    (host / "file").mkdir()
    (host / "file" / "inner").write_text("3")
    await mirror.flush(target)
    assert tree(target.folder) == tree(host)
    (host / "e" / "sub" / "f").write_text("4")
    shutil.rmtree(host / "file")
    (host / "file").symlink_to("e")
    await mirror.flush(target)
    assert tree(target.folder) == tree(host)
    shutil.rmtree(host / "e")
    (host / "e").write_text("a file now")
    (host / "Case").write_text("upper")
    await mirror.flush(target)
    (host / "Case").rename(host / "case")
    await mirror.flush(target)
    assert tree(target.folder) == tree(host)


async def test_a_touch_is_not_pushed_and_a_mode_is(mirror: Mirror, host: Path, target: DiskTarget) -> None:
    (host / "f").write_text("same")
    await mirror.flush(target)
    os.utime(host / "f")
    (host / "f").write_text("same")
    await mirror.flush(target)
    assert len(target.pushes) == 1
    (host / "f").chmod(0o700)
    assert (await mirror.flush(target)).files == 1
    assert tree(target.folder) == tree(host)


async def test_what_the_sandbox_changed_stays(exact: Mirror, host: Path, target: DiskTarget) -> None:
    (host / "mine").write_text("host")
    (host / "theirs").write_text("host")
    await exact.flush(target)
    (target.folder / "theirs").write_text("sandbox")
    (host / "mine").write_text("host again")
    await exact.flush(target)
    assert (target.folder / "theirs").read_text() == "sandbox"
    assert (target.folder / "mine").read_text() == "host again"


async def test_what_was_never_mirrored_is_never_deleted_inside(exact: Mirror, host: Path, target: DiskTarget) -> None:
    (host / ".gitignore").write_text("*.pyc\nout/\n")
    await exact.flush(target)
    for name in ("a.pyc", "temporary"):
        (target.folder / name).write_text("by the sandbox")
        (host / name).write_text("for a moment")
        (host / name).unlink()
    (target.folder / "out").mkdir()
    (host / "out").mkdir()
    (host / "out").rmdir()
    await exact.flush(target)
    assert set(tree(target.folder)) == {".gitignore", "a.pyc", "temporary", "out"}


async def test_a_workspace_that_goes_while_it_is_looked_at(
    mirror: Mirror, host: Path, target: DiskTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    (host / "d").mkdir()
    (host / "d" / "f").write_text("1")
    await mirror.flush(target)
    real = Planner._plan

    def vanish(self: Planner, *args: Any) -> Plan:
        shutil.rmtree(host)
        return real(self, *args)

    (host / ".gitignore").write_text("")
    monkeypatch.setattr(Planner, "_plan", vanish)
    with pytest.raises(NotFound):
        await mirror.flush(target)
    assert (target.folder / "d" / "f").exists()


async def test_after_a_restart_only_differences(host: Path, target: DiskTarget) -> None:
    for name in ("kept", "changed", "deleted", "touched"):
        (host / name).write_text(name)
    old(host / "touched")
    first = make(host)
    await first.start()
    await first.flush(target)
    await first.stop()
    (host / "changed").write_text("anew")
    (host / "touched").touch()
    (host / "deleted").unlink()
    (host / "added").write_text("added")
    (target.folder / "kept").write_text("by the sandbox")
    second = make(host)
    await second.start()
    await second.flush(target)
    assert sorted(target.paths()) == ["added", "changed", "deleted"]
    assert (target.folder / "kept").read_text() == "by the sandbox"
    await second.stop()


async def test_a_killed_engine_loses_nothing_confirmed(host: Path, target: DiskTarget) -> None:
    (host / "f").write_text("1")
    first = make(host)
    await first.start()
    await first.flush(target)
    (host / "g").write_text("2")
    await first.flush(target)
    (host / "g").unlink()
    second = make(host)  # the first was never stopped
    await second.start()
    await second.flush(target)
    assert target.paths() == ["g"] and tree(target.folder) == tree(host)
    await second.stop()
    await first.stop()


async def test_a_damaged_state_means_a_full_push(host: Path, target: DiskTarget) -> None:
    (host / "f").write_text("1")
    (host.parent / "mirror.state").write_bytes(b"garbage")
    mirror = make(host)
    await mirror.start()
    assert (await mirror.flush(target)).files == 1
    await mirror.stop()


async def test_git_s_rules(exact: Mirror, host: Path, target: DiskTarget) -> None:
    git(host, "init", "-q")
    (host / ".gitignore").write_text("*.log\nbuild/\n")
    (host / "build").mkdir()
    (host / "build" / "out").write_text("o")
    (host / "build" / "tracked").write_text("t")
    (host / "a.log").write_text("l")
    (host / "b.py").write_text("b")
    git(host, "add", "-f", "build/tracked")
    await exact.flush(target)
    assert set(tree(target.folder)) == {".gitignore", "b.py", "build", "build/tracked"}
    (host / ".gitignore").write_text("*.py\n")
    await exact.flush(target)
    assert set(tree(target.folder)) == {".gitignore", "a.log", "build", "build/tracked", "build/out"}
    git(host, "add", "-f", "b.py")
    await exact.flush(target)
    assert "b.py" in tree(target.folder)
    (host / ".git" / "info" / "exclude").write_text("a.log\n")
    await exact.flush(target)
    assert "a.log" not in tree(target.folder)


async def test_own_rules_and_secrets(exact: Mirror, host: Path, target: DiskTarget) -> None:
    (host / ".continueexecignore").write_text("data/\n")
    (host / "data").mkdir()
    (host / "data" / "big").write_text("b")
    (host / ".env").write_text("TOKEN=1")
    (host / ".env.example").write_text("TOKEN=")
    (host / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    (host / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    result = await exact.flush(target)
    assert set(tree(target.folder)) == {".continueexecignore", ".env.example", "ca.pem"}
    assert result.left_out == (".env (secret)", "key.pem (secret)")
    (host / "ca.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    result = await exact.flush(target)
    assert "ca.pem" not in tree(target.folder) and "ca.pem (secret)" in result.left_out
    (host / ".env").unlink()
    assert ".env (secret)" not in (await exact.flush(target)).left_out


async def test_includes(host: Path, target: DiskTarget) -> None:
    (host / ".gitignore").write_text("build/\n*.log\n")
    (host / "build" / "deep").mkdir(parents=True)
    (host / "build" / "deep" / "out.bin").write_text("o")
    (host / "build" / "other").write_text("x")
    (host / "b.log").write_text("l")
    (host / ".env").write_text("e")
    (host / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    mirror = make(host, "build/deep/*.bin", "*.log", ".env", "key.pem")
    await mirror.start()
    result = await mirror.flush(target)
    assert {path for path, (kind, *_) in tree(target.folder).items() if kind == "file"} == {
        ".gitignore",
        "build/deep/out.bin",
        "b.log",
        ".env",
        "key.pem",
    }
    assert result.left_out == ()
    (host / "build" / "deep" / "two.bin").write_text("2")
    (host / "build" / "deep" / "out.bin").unlink()
    await mirror.flush(target)
    assert (target.folder / "build/deep/two.bin").exists() and not (target.folder / "build/deep/out.bin").exists()
    await mirror.stop()


async def test_special_and_unreadable_files_are_named(exact: Mirror, host: Path, target: DiskTarget) -> None:
    os.mkfifo(host / "pipe")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(host / "sock"))
    (host / "f").write_text("1")
    result = await exact.flush(target)
    listener.close()
    assert set(tree(target.folder)) == {"f"}
    assert result.left_out == ("pipe (a named pipe)", "sock (a socket)")


async def test_unreadable(exact: Mirror, host: Path, target: DiskTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    (host / "closed").write_text("1")
    (host / "folder").mkdir()
    (host / "folder" / "in").write_text("2")
    await exact.flush(target)
    real_open, real_scandir = os.open, os.scandir

    def refuse_open(path: str, *args: int, **kwargs: int) -> int:
        if str(path).endswith("/closed"):
            raise PermissionError(13, "Permission denied", path)
        return real_open(path, *args, **kwargs)

    def refuse_scandir(path: str) -> object:
        if str(path).endswith("/folder"):
            raise PermissionError(13, "Permission denied", path)
        return real_scandir(path)

    monkeypatch.setattr(os, "open", refuse_open)
    monkeypatch.setattr(os, "scandir", refuse_scandir)
    (host / "closed").write_text("3")
    (host / ".gitignore").write_text("")  # a reason to look at everything
    result = await exact.flush(target)
    assert result.left_out == ("closed (unreadable: Permission denied)", "folder (unreadable: Permission denied)")
    assert (target.folder / "closed").read_text() == "1" and (target.folder / "folder" / "in").exists()


async def test_unsaved_buffers(mirror: Mirror, host: Path, target: DiskTarget) -> None:
    (host / "a.py").write_text("saved")
    (host / "a.py").chmod(0o755)
    await mirror.flush(target)
    mirror.set_buffers("one", {str(host / "a.py"): "unsaved", "new/b.py": "never saved"})
    result = await mirror.flush(target)
    assert result.files == 2
    assert tree(target.folder)["a.py"] == ("file", 0o755, b"unsaved")
    assert (target.folder / "new/b.py").read_text() == "never saved"
    (host / "a.py").write_text("saved meanwhile")
    await mirror.flush(target)
    assert (target.folder / "a.py").read_text() == "unsaved"
    mirror.set_buffers("two", {"a.py": "of two"})
    await mirror.flush(target)
    assert (target.folder / "a.py").read_text() == "of two"
    mirror.drop_client("two")
    mirror.set_buffers("one", {"new/b.py": None})
    await mirror.flush(target)
    assert (target.folder / "a.py").read_text() == "unsaved"
    mirror.drop_client("one")
    await mirror.flush(target)
    assert tree(target.folder) == {**tree(host), "new": ("dir", 0o755, b"")}
    with pytest.raises(OutsideWorkspace):
        mirror.set_buffers("one", {"/etc/passwd": "x"})


async def test_a_buffer_of_a_secret_stays_out(exact: Mirror, host: Path, target: DiskTarget) -> None:
    exact.set_buffers("one", {".env": "TOKEN=1"})
    await exact.flush(target)
    assert tree(target.folder) == {}


async def test_a_large_file_is_streamed(exact: Mirror, host: Path, target: DiskTarget) -> None:
    (host / "large").write_bytes(os.urandom(LARGE + 10))
    assert (await exact.flush(target)).bytes == LARGE + 10
    assert tree(target.folder) == tree(host)
    (host / "large").write_bytes((target.folder / "large").read_bytes())
    assert (await exact.flush(target)).files == 0


async def test_a_file_that_grows_while_it_is_read(
    exact: Mirror, host: Path, target: DiskTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    (host / "f").write_bytes(b"12345")
    real_read = os.read
    grown: list[bool] = []

    def read(fd: int, size: int) -> bytes:
        if size == 6 and not grown:  # the file's size and one more
            grown.append(True)
            with open(host / "f", "ab") as file:
                file.write(b"6789")
        return real_read(fd, size)

    monkeypatch.setattr("continue_exec.mirror.batch.os.read", read)
    await exact.flush(target)
    assert grown and (target.folder / "f").read_bytes() == b"123456789"
    await exact.flush(target)
    assert tree(target.folder) == tree(host)


async def test_a_workspace_deleted_under_us(mirror: Mirror, host: Path, target: DiskTarget) -> None:
    (host / "f").write_text("1")
    await mirror.flush(target)
    shutil.rmtree(host)
    for _ in range(2):
        with pytest.raises(NotFound) as caught:
            await mirror.flush(target)
        assert caught.value.hint
    assert (target.folder / "f").read_text() == "1"
    host.mkdir()
    (host / "g").write_text("2")
    await mirror.flush(target)
    assert tree(target.folder) == tree(host)
    (host / "g").write_text("3")
    await mirror.flush(target)
    assert tree(target.folder) == tree(host)


async def test_what_was_not_confirmed_is_sent_again(exact: Mirror, host: Path, target: DiskTarget) -> None:
    (host / "f").write_text("1")
    (host / "g").write_text("1")
    target.raises = SandboxLost("it died")
    with pytest.raises(SandboxLost):
        await exact.flush(target)
    target.raises, target.fail = None, {"f": "internal"}
    result = await exact.flush(target)
    assert result.files == 1 and result.left_out == ("f (not written: internal)",)
    target.fail = {"f": "disk_full"}
    with pytest.raises(DiskFull):
        await exact.flush(target)
    target.fail = {}
    assert (await exact.flush(target)).files == 1
    assert target.paths() == ["f"] and tree(target.folder) == tree(host)
    assert (await exact.flush(target)).left_out == ()


async def test_not_started(host: Path, target: DiskTarget) -> None:
    with pytest.raises(Conflict):
        await make(host).flush(target)
    with pytest.raises(NotFound):
        await make(host / "missing").start()


async def test_a_repository_that_git_refuses(exact: Mirror, host: Path, target: DiskTarget) -> None:
    (host / ".git").mkdir()
    (host / ".git" / "HEAD").write_text("garbage")
    (host / ".git" / "index").write_text("garbage")
    (host / ".gitignore").write_text("*.log\n")
    (host / "a.log").write_text("l")
    (host / "a.py").write_text("p")
    result = await exact.flush(target)
    assert set(tree(target.folder)) == {".gitignore", "a.py"}
    assert len(result.notes) == 1 and str(host) in result.notes[0]


async def test_a_cancelled_flush_leaves_nothing_undone(exact: Mirror, host: Path, target: DiskTarget) -> None:
    for number in range(2000):
        (host / f"{number}").write_text(str(number))
    for delay in (0, 0.005, 0.02, 0.05):
        flush = asyncio.ensure_future(exact.flush(target))
        await asyncio.sleep(delay)
        flush.cancel()
        await asyncio.wait([flush])
    await exact.flush(target)
    assert tree(target.folder) == tree(host)


async def test_a_first_mirror_does_not_block_the_loop(exact: Mirror, host: Path) -> None:
    for number in range(3000):
        (host / f"d{number // 100}").mkdir(exist_ok=True)
        (host / f"d{number // 100}" / f"{number}").write_bytes(b"x" * 3000)

    class Nowhere:
        pushed = 0

        async def push(self, root: str, items: Iterable[PushItem]) -> PushResult:
            self.pushed += len(list(items))
            return PushResult(written=0)

    nowhere = Nowhere()
    with loopwatch.watch() as watch:
        result = await exact.flush(nowhere)
    assert result.files == 3000 and nowhere.pushed == 3030
    assert not watch.blocked
