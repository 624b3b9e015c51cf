"""The first mirror, written on the host by the real program."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from continue_exec.app import agent_binary
from continue_exec.errors import DiskFull, NotFound, SandboxFailed
from continue_exec.mirror import seed
from continue_exec.mirror.blobs import Blobs
from continue_exec.mirror.filter import IgnoreRules
from continue_exec.mirror.folder import SafeFolder
from continue_exec.mirror.mirror import LARGE, Mirror
from continue_exec.mirror.state import MirrorState, digest
from tests.support.mirror_target import WATCHERS, DiskTarget, make, tree

pytestmark = pytest.mark.may_block("the tests read and write the host's tree themselves")

KEY = b'{"private_key": "x", "type": "service_account"}'


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


@pytest.fixture
def small(target: DiskTarget) -> Iterator[None]:
    """The target's folder has 1 MiB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "cx-small", target.folder], check=True)
    yield
    subprocess.run(["umount", "--lazy", target.folder], check=True)


@pytest.fixture(params=["inotify", "none"])
async def mirror(request: pytest.FixtureRequest, host: Path) -> AsyncIterator[Mirror]:
    made = make(host, "named.json", watcher=WATCHERS[request.param])
    await made.start()
    yield made
    await made.stop()


def program(folder: Path, script: str) -> Path:
    """Something else than the agent's program."""
    made = folder / "program"
    made.write_text(f"#!/bin/sh\n{script}\n")
    made.chmod(0o755)
    return made


async def test_all_kinds_arrive_and_nothing_is_left_to_push(mirror: Mirror, host: Path, target: DiskTarget) -> None:
    (host / "d" / "deep").mkdir(parents=True)
    (host / "d" / "deep" / "f").write_bytes(b"f")
    (host / "d" / "deep").chmod(0o555)
    (host / "large").write_bytes(os.urandom(LARGE + 5))
    (host / "run").write_bytes(b"#!/bin/sh\n")
    (host / "run").chmod(0o4711)
    os.utime(host / "run", ns=(1, 1_234_567_891))
    (host / "hard").hardlink_to(host / "run")
    (host / "link").symlink_to("/etc/passwd")
    (host / os.fsdecode(b"\xff\nname")).write_bytes(b"bytes")
    os.mkfifo(host / "pipe")
    await mirror.seed(agent_binary(), target.folder)
    expected = {**tree(host), "run": ("file", 0o711, b"#!/bin/sh\n"), "hard": ("file", 0o711, b"#!/bin/sh\n")}
    assert tree(target.folder) == expected
    there = (target.folder / "run").stat()
    assert there.st_mtime_ns == 1_234_567_891 and there.st_nlink == 1
    result = await mirror.flush(target)
    assert target.pushes == []
    assert result.left_out == ("pipe (a named pipe)",)
    assert (result.files, result.bytes) == (6, LARGE + 5 + 1 + 2 * 10 + 5)
    assert (await mirror.flush(target)).files == 0, "they are told of once"


async def test_secrets_stay_out_by_name_and_by_content(mirror: Mirror, host: Path, target: DiskTarget) -> None:
    (host / ".env").write_text("K=1")
    (host / "account.json").write_bytes(KEY)
    (host / "named.json").write_bytes(KEY)
    (host / "plain.JSON").write_bytes(b"{}")
    (host / "data.json").write_bytes(b" " * LARGE + b"0")
    (host / "key.pem").write_text("-----BEGIN PRIVATE KEY-----")
    await mirror.seed(agent_binary(), target.folder)
    assert set(tree(target.folder)) == {"named.json", "plain.JSON", "data.json"}
    left_out = (await mirror.flush(target)).left_out
    assert left_out == (".env (secret)", "account.json (secret)", "key.pem (secret)")
    assert tree(target.folder).keys() == {"named.json", "plain.JSON", "data.json"}


async def test_an_editors_text_is_left_to_the_flush(mirror: Mirror, host: Path, target: DiskTarget) -> None:
    (host / "f").write_text("saved")
    (host / "g").write_text("saved")
    mirror.set_buffers("editor", {"f": "unsaved", "new/g": "never saved"})
    await mirror.seed(agent_binary(), target.folder)
    assert list(tree(target.folder)) == ["g"]
    await mirror.flush(target)
    assert (target.folder / "f").read_text() == "unsaved"
    assert (target.folder / "new" / "g").read_text() == "never saved"
    mirror.set_buffers("editor", {"f": None})
    await mirror.flush(target)
    assert (target.folder / "f").read_text() == "saved"


async def test_what_changes_afterwards_is_pushed(mirror: Mirror, host: Path, target: DiskTarget) -> None:
    for name in "abc":
        (host / name).write_text("1")
    await mirror.seed(agent_binary(), target.folder)
    (host / "a").write_text("2")  # at once: the times of the file may be as they were
    (host / "b").unlink()
    await mirror.flush(target)
    assert tree(target.folder) == tree(host)
    assert target.paths() == ["b", "a"]


async def test_what_cannot_be_written_is_left_to_the_flush(mirror: Mirror, host: Path, target: DiskTarget) -> None:
    (host / "d").mkdir()
    (host / "d" / "f").write_text("f")
    (host / "g").write_text("g")
    (target.folder / "d").write_text("in the way")
    await mirror.seed(agent_binary(), target.folder)
    assert (target.folder / "g").read_text() == "g"
    await mirror.flush(target)
    assert set(target.paths()) == {"d", "d/f"}
    # A folder that has never been used holds nothing; if it does, that is kept.
    assert (target.folder / "d").read_text() == "in the way"
    assert set(mirror.contested) == {"d", "d/f"}


async def test_its_digests_are_the_mirrors_own(mirror: Mirror, host: Path, target: DiskTarget, tmp_path: Path) -> None:
    (host / "f").write_bytes(b"content")
    await mirror.seed(agent_binary(), target.folder)
    state = MirrorState(tmp_path / "mirror.state")
    state.load()
    assert state.entries["f"].digest == digest(b"content")
    (host / "f").touch()
    await mirror.flush(target)
    assert target.pushes == [], "it was only touched"


async def test_it_begins_anew_after_an_earlier_try(mirror: Mirror, host: Path, target: DiskTarget) -> None:
    (host / "f").write_bytes(b"f")
    await mirror.seed(agent_binary(), target.folder)
    (target.folder / "f").unlink()  # as the driver does, for the sandbox has not run
    await mirror.seed(agent_binary(), target.folder)
    assert tree(target.folder) == tree(host)


async def test_where_the_program_cannot_be_run_the_flush_does_it(
    mirror: Mirror, host: Path, target: DiskTarget, tmp_path: Path
) -> None:
    (host / "f").write_bytes(b"f")
    not_a_program = program(tmp_path, "")
    not_a_program.chmod(0o644)
    await mirror.seed(not_a_program, target.folder)
    assert tree(target.folder) == {}
    await mirror.flush(target)
    assert tree(target.folder) == tree(host)


@pytest.mark.parametrize("script", ["exit 3", "cat > /dev/null; echo seed: broken >&2; exit 1", "cat > /dev/null"])
async def test_a_program_that_fails(
    mirror: Mirror, host: Path, target: DiskTarget, tmp_path: Path, script: str
) -> None:
    for number in range(2000):  # more than the pipe holds
        (host / f"{number:0100}").write_bytes(b"f")
    with pytest.raises(SandboxFailed, match="broken" if "broken" in script else "exit code"):
        await mirror.seed(program(tmp_path, script), target.folder)
    await mirror.flush(target)
    assert tree(target.folder) == tree(host), "nothing was taken for mirrored"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
@pytest.mark.usefixtures("small")
async def test_no_room(mirror: Mirror, host: Path, target: DiskTarget) -> None:
    (host / "small").write_bytes(b"s")
    (host / "large").write_bytes(os.urandom(3 << 20))
    with pytest.raises(DiskFull) as caught:
        await mirror.seed(agent_binary(), target.folder)
    assert os.strerror(errno.ENOSPC) in caught.value.message and caught.value.hint
    (host / "large").write_bytes(b"l")
    await mirror.flush(target)
    assert tree(target.folder) == tree(host)
    assert set(target.paths()) == {"small", "large"}, "nothing was taken for mirrored"


async def test_a_workspace_that_is_gone(mirror: Mirror, host: Path, target: DiskTarget) -> None:
    host.rmdir()
    with pytest.raises(NotFound):
        await mirror.seed(agent_binary(), target.folder)


async def test_cancelled_it_ends_its_program(mirror: Mirror, host: Path, target: DiskTarget, tmp_path: Path) -> None:
    (host / "f").write_bytes(b"f")
    started = tmp_path / "started"
    os.mkfifo(started)
    slow = program(tmp_path, f'echo $$ > "{started}"; exec sleep 600')
    async with asyncio.TaskGroup() as group:
        seeding = group.create_task(mirror.seed(slow, target.folder))
        pid = int(await asyncio.to_thread(started.read_text))
        seeding.cancel()
    assert not Path(f"/proc/{pid}").exists()
    await mirror.flush(target)
    assert tree(target.folder) == tree(host)


def test_answers_are_as_long_as_the_program_makes_them() -> None:
    assert (seed._RECORD.size, seed._ANSWER.size) == (24, 64)


async def test_its_texts_can_be_merged_from_the_first_moment_on(host: Path, target: DiskTarget, tmp_path: Path) -> None:
    (host / "text").write_text("1\n2\n3\n")
    (host / "empty").touch()
    (host / "data").write_bytes(b"a\0b")
    (host / "large").write_bytes(b"x" * (300 << 10))
    blobs = Blobs(tmp_path / "bases")
    assert blobs.put(digest(b"of an earlier sandbox"), b"of an earlier sandbox")
    state = MirrorState(tmp_path / "state")
    mirror = Mirror(host, IgnoreRules(), state, inside=SafeFolder(target.folder), blobs=blobs)
    await mirror.start()
    await mirror.seed(agent_binary(), target.folder)
    assert blobs.get(digest(b"1\n2\n3\n")) == b"1\n2\n3\n"
    assert digest(b"a\0b") not in blobs and digest(b"of an earlier sandbox") not in blobs
    (target.folder / "text").write_text("1\n2\nthree\n")
    (host / "text").write_text("one\n2\n3\n")
    await mirror.flush(target)
    assert (target.folder / "text").read_text() == "one\n2\nthree\n" and not mirror.contested
    await mirror.stop()
