"""What every driver promises (drivers/base.py), with the real agent inside."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from continue_exec.errors import HostUnready, SandboxFailed, WorkspaceRefused
from tests.support.driving import LIMITS, PLACES, REAL, Driving, Place, driving, of
from tests.support.users import OrdinaryUser

# What is tested runs in a process of its own; this loop only looks at the host.
pytestmark = pytest.mark.may_block("the driver's loop is in another process")

Where = tuple[Place, OrdinaryUser | None]


# The user is made in fixtures that are not coroutines: it takes longer than an event loop may stand still.
@pytest.fixture(params=PLACES, ids=lambda place: place.name)
def anywhere(request: pytest.FixtureRequest) -> Where:
    return of(request)


@pytest.fixture(params=REAL, ids=lambda place: place.name)
def isolated(request: pytest.FixtureRequest) -> Where:
    return of(request)


@pytest.fixture
async def driver(anywhere: Where) -> AsyncIterator[Driving]:
    async with driving(*anywhere) as found:
        yield found


@pytest.fixture
async def gvisor(isolated: Where) -> AsyncIterator[Driving]:
    async with driving(*isolated) as found:
        yield found


async def test_start_gives_a_machine_whose_agent_answers(driver: Driving) -> None:
    machine = await driver.do("start")

    result = await driver.run("sh", "-c", "echo out; echo err >&2; exit 3")

    assert (result.code, result.stdout, result.stderr) == (3, "out\n", "err\n")
    assert machine["sandbox_id"] == driver.spec["sandbox_id"]
    assert machine["isolation"] == ("none" if driver.place.driver == "fake" else "gvisor")
    assert Path(f"/proc/{machine['pid']}").exists()


async def test_stop_leaves_files_and_nothing_else(driver: Driving) -> None:
    await driver.do("start")
    await driver.sh(f"echo kept > {driver.spec['workspace']}/note")

    await driver.do("stop")

    assert await driver.left() == []
    assert await driver.do("connect") is None
    await driver.do("start")
    assert (await driver.sh(f"cat {driver.spec['workspace']}/note")).stdout == "kept\n"


async def test_stop_and_destroy_of_nothing_succeed(driver: Driving) -> None:
    await driver.do("stop")
    await driver.do("destroy")
    await driver.do("destroy")

    assert await driver.do("connect") is None


async def test_a_successor_finds_the_machine_after_kill_9(driver: Driving) -> None:
    machine = await driver.do("start")
    await driver.kill()

    await driver.open()
    assert await driver.do("connect") == machine

    assert (await driver.sh("echo again")).stdout == "again\n"


async def test_destroy_removes_every_file(driver: Driving) -> None:
    await driver.do("start")
    await driver.sh(f"mkdir -p {driver.spec['workspace']}/a/b && touch {driver.spec['workspace']}/a/b/c")

    await driver.do("destroy")

    folder = Path(driver.spec["folder"])
    assert not folder.exists() or os.listdir(folder) == []
    assert await driver.left() == []


async def test_without_the_capability_nothing_is_filled(driver: Driving) -> None:
    if driver.place.driver == "fake":
        assert "first-files" not in await driver.do("capabilities")
        started = await driver.do("start", fill={f"{driver.spec['workspace']}/first": "first"})
        assert started["filled"] == []
    else:
        assert "first-files" in await driver.do("capabilities")


async def test_no_check_fails_where_the_suite_passes(driver: Driving) -> None:
    checks = await driver.do("check")

    assert checks
    for check in checks:
        assert check["status"] != "failed", check
        assert check["remedy"] or check["status"] == "ok", check


# -- what only a driver with isolation can promise ---------------------------------------------------------------------


WORKSPACES = ["/opt/team/project", "/usr/local/src/project", "/root/project", "/srv/a b/c,d:e\\f", "/tmp/ünï/x"]


@pytest.mark.parametrize("workspace", ["", *WORKSPACES])
async def test_first_files_are_as_if_written_inside(gvisor: Driving, workspace: str) -> None:
    assert "first-files" in await gvisor.do("capabilities")
    workspace = gvisor.spec["workspace"] = workspace or gvisor.spec["workspace"]
    texts = {f"{workspace}/first": "first\n", "/etc/new/conf": "conf\n", "/usr/local/bin/x": "x", "/bin/x": "x"}

    started = await gvisor.do("start", fill=texts)
    assert (started["filled"], started["nowhere"]) == (
        [f"{workspace}/first", "/etc/new/conf"],
        ["/usr/local/bin/x", "/bin/x"],
    )
    result = await gvisor.sh(
        "cat first /etc/new/conf && stat -c '%a %u %g' . /etc/new /etc /root /tmp /srv && stat -c '%u %g' first"
        " && echo more >> first && mkdir sub && mv first sub && rm /etc/new/conf && touch /etc/new/other ../beside"
    )
    assert result.stdout.split("\n")[:2] == ["first", "conf"], result.stderr
    modes = ["755 0 0", "755 0 0", "755 0 0", "700 0 0", "1777 0 0", "755 0 0", "0 0"]
    assert (result.stdout.splitlines()[2:], result.code) == (modes, 0), result.stderr

    await gvisor.do("stop")
    again = await gvisor.do("start", fill=texts)
    assert again["filled"] == again["nowhere"] == [], "it has run: its files are its own"
    result = await gvisor.sh("cat sub/first; ls /etc/new; rm -r sub && ls -A")
    assert (result.stdout, result.code) == ("first\nmore\nother\n", 0), result.stderr


async def test_a_first_mirror_is_roots_inside_and_as_it_was(gvisor: Driving) -> None:
    host = Path(gvisor.spec["folder"]).parent / "host"
    for folder in (host, host / "closed", host / "plain"):
        folder.mkdir()
    (host / "closed" / "f").write_text("f")
    (host / "plain" / "run").write_text("#!/bin/sh\necho ran\n")
    (host / "plain" / "run").chmod(0o555)
    (host / "plain" / "g").write_text("g")
    (host / "plain" / "g").chmod(0o604)
    (host / "link").symlink_to("plain/g")
    (host / "closed").chmod(0o511)
    if gvisor.user is not None and os.geteuid() == 0:
        for path in (host, *host.rglob("*")):
            os.chown(path, gvisor.user.uid, gvisor.user.gid, follow_symlinks=False)

    await gvisor.do("start", mirror=str(host))

    result = await gvisor.sh("find . -mindepth 1 -printf '%p %y %m %U %G %l\n' | sort; plain/run; cat link closed/f")
    assert result.stdout.splitlines() == [
        "./closed d 511 0 0 ",
        "./closed/f f 644 0 0 ",
        "./link l 777 0 0 plain/g",
        "./plain d 755 0 0 ",
        "./plain/g f 604 0 0 ",
        "./plain/run f 555 0 0 ",
        "ran",
        "gf",
    ], result.stderr
    result = await gvisor.sh("rm -r closed && echo more >> plain/run && mv plain other && chown 0:0 other/g && ls -A")
    assert result.stdout.split() == ["link", "other"], result.stderr


async def test_first_files_that_were_interrupted_are_begun_anew(gvisor: Driving) -> None:
    workspace = gvisor.spec["workspace"]
    assert await gvisor.do("start", fill={f"{workspace}/half": "half", f"{workspace}/rest": None}) == "stalled"
    await gvisor.kill()

    await gvisor.open()
    started = await gvisor.do("start", fill={f"{workspace}/whole": "whole"})

    assert started["filled"] == [f"{workspace}/whole"]
    assert (await gvisor.run("ls", "-A")).stdout == "whole\n"


@pytest.mark.parametrize("victim", ["runsc-sandbox", "runsc-gofer"])
async def test_files_survive_a_killed_sandbox(gvisor: Driving, victim: str) -> None:
    await gvisor.do("start")
    await gvisor.sh("echo kept > /root/note; echo kept > /usr/local/note; sync")

    (pid,) = gvisor.host_processes(victim)
    os.kill(pid, signal.SIGKILL)

    await gvisor.do("stop")
    assert await gvisor.left() == []
    await gvisor.do("start")
    assert (await gvisor.sh("cat /root/note /usr/local/note")).stdout == "kept\nkept\n"


async def test_connect_does_not_mistake_a_killed_sandbox_for_a_live_one(gvisor: Driving) -> None:
    machine = await gvisor.do("start")
    descriptor = os.pidfd_open(machine["pid"])
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    os.kill(machine["pid"], signal.SIGKILL)
    await asyncio.wait_for(ended.wait(), 10)
    loop.remove_reader(descriptor)
    os.close(descriptor)

    assert await gvisor.do("connect") is None
    await gvisor.do("start")
    assert (await gvisor.sh("echo up")).stdout == "up\n"


@pytest.mark.parametrize("after", [0.0, 0.02, 0.06, 0.12, 0.2])
async def test_an_engine_killed_during_start_leaves_what_its_successor_can_mend(gvisor: Driving, after: float) -> None:
    gvisor.send("start")
    # Not a wait for something: the point in the start at which the engine dies is what varies.
    await asyncio.sleep(after)
    await gvisor.kill()

    await gvisor.open()
    await gvisor.do("start")

    assert (await gvisor.sh("echo up")).stdout == "up\n"
    await gvisor.do("stop")
    assert await gvisor.left() == []


async def test_the_state_of_another_boot_is_recognised_and_replaced(gvisor: Driving) -> None:
    await gvisor.do("start")
    await gvisor.sh("echo kept > /root/note")
    folder = Path(gvisor.spec["folder"])
    saved = folder.parent / "saved"
    shutil.copytree(folder / "state", saved, ignore=shutil.ignore_patterns("*.sock"))
    record = (folder / "machine.json").read_text()
    await gvisor.do("stop")
    # What a power cut leaves: the state and record of a boot that is no more.
    shutil.copytree(saved, folder / "state")
    os.chmod(folder / "state", 0o777)
    (folder / "machine.json").write_text(record.replace('"boot_id": "', '"boot_id": "other-'))

    assert await gvisor.do("connect") is None
    await gvisor.do("start")

    assert (await gvisor.sh("cat /root/note")).stdout == "kept\n"


async def test_a_start_that_fails_leaves_nothing_but_the_files(gvisor: Driving) -> None:
    await gvisor.do("start")
    await gvisor.sh("echo kept > /root/note")
    await gvisor.do("stop")
    agent = gvisor.spec["agent"]
    gvisor.spec["agent"] = "/etc/hostname"

    with pytest.raises((SandboxFailed, HostUnready)) as caught:
        await gvisor.do("start")

    assert caught.value.hint
    assert await gvisor.left() == []
    assert await gvisor.do("connect") is None
    gvisor.spec["agent"] = agent
    await gvisor.do("start")
    assert (await gvisor.sh("cat /root/note")).stdout == "kept\n"


async def test_a_missing_runsc_is_named_with_its_remedy(gvisor: Driving) -> None:
    await gvisor.close()
    gvisor.runsc = "/nonexistent/runsc"
    await gvisor.open()

    with pytest.raises(HostUnready) as caught:
        await gvisor.do("start")

    assert "/nonexistent/runsc" in caught.value.message
    assert "install-runsc" in caught.value.hint
    failed = {check["name"] for check in await gvisor.do("check") if check["status"] == "failed"}
    assert failed == {"runsc"}


async def test_the_host_stays_as_it_is(gvisor: Driving) -> None:
    await gvisor.do("start")

    result = await gvisor.sh(
        "echo mine > /usr/local/bin/cexec-probe && echo mine > /opt/cexec-probe && rm /usr/bin/env"
    )

    assert result.code == 0, result.stderr
    assert not Path("/usr/local/bin/cexec-probe").exists()
    assert not Path("/opt/cexec-probe").exists()
    assert Path("/usr/bin/env").exists()
    assert (await gvisor.run("cat", "/usr/local/bin/cexec-probe")).stdout == "mine\n"


async def test_a_program_finds_its_locale_in_one_file(gvisor: Driving) -> None:
    """From a folder it takes seventy system calls, a third of a short command (docs/reference/performance.md)."""
    await gvisor.do("start")

    result = await gvisor.sh("locale charmap; grep -o '/usr/lib/locale/.*' /proc/self/maps | sort -u")

    assert result.stdout == "UTF-8\n/usr/lib/locale/locale-archive\n"
    assert (await gvisor.sh("echo >> /usr/lib/locale/locale-archive && echo ok")).stdout == "ok\n"


@pytest.mark.parametrize("path", ["/", "/usr", "/etc", "/root", "/tmp", "/proc/x", "/dev/shm/x", "/run/continue-exec"])
async def test_a_workspace_in_the_machines_own_place_is_refused(gvisor: Driving, path: str) -> None:
    gvisor.spec["workspace"] = path

    with pytest.raises(WorkspaceRefused):
        await gvisor.do("start")

    assert await gvisor.left() == []


@pytest.mark.parametrize("workspace", WORKSPACES)
async def test_a_workspace_anywhere_else_has_its_own_path_and_is_empty(gvisor: Driving, workspace: str) -> None:
    gvisor.spec["workspace"] = workspace

    await gvisor.do("start")
    result = await gvisor.run("sh", "-c", "pwd; ls -A; echo kept > note")
    assert (result.stdout, result.code) == (workspace + "\n", 0), result.stderr

    await gvisor.do("stop")
    await gvisor.do("start")
    assert (await gvisor.run("cat", "note")).stdout == "kept\n"


async def test_hosts_copy_of_a_workspace_beneath_usr_is_covered(gvisor: Driving) -> None:
    """/usr/share is full of the host's files; as a workspace its folder is empty, as any other."""
    gvisor.spec["workspace"] = "/usr/share/doc"

    await gvisor.do("start")

    assert (await gvisor.run("ls", "-A")).stdout == ""


async def test_the_limit_on_processes_holds_and_the_agent_is_exempt(gvisor: Driving) -> None:
    gvisor.spec["limits"] = {**LIMITS, "processes": 80}
    await gvisor.do("start")

    result = await gvisor.run(
        "python3",
        "-c",
        "import os, time\n"
        "for n in range(200):\n"
        "    try:\n"
        "        if os.fork() == 0: time.sleep(600); os._exit(0)\n"
        "    except BlockingIOError: break\n"
        "print(n)",
    )

    assert 40 < int(result.stdout) <= 80
    assert (await gvisor.run("echo", "still here")).stdout == "still here\n"


async def test_memory_and_cpu_limits_where_they_are_offered(gvisor: Driving) -> None:
    offered = await gvisor.do("capabilities")
    gvisor.spec["limits"] = {**LIMITS, "memory_bytes": 512 << 20, "cpus": 1.0}

    await gvisor.do("start")

    total = await gvisor.sh("awk '/MemTotal/ {print $2}' /proc/meminfo")
    if "limit-memory" in offered:
        assert int(total.stdout) <= 512 << 10
    else:
        assert gvisor.place.user  # said by its absence from the capabilities, and by `check`
    assert "limit-processes" in offered


async def test_destroy_leaves_no_cgroup(gvisor: Driving) -> None:
    await gvisor.do("start")
    # The name ends with a hash of the folder: several engines may have a sandbox of the same number.
    digest = hashlib.sha256(gvisor.spec["folder"].encode()).hexdigest()[:8]
    found = list(Path("/sys/fs/cgroup").glob(f"**/continue-exec/sb_contract-{digest}"))
    assert found or gvisor.place.user

    await gvisor.do("destroy")

    assert not [path for path in found if path.exists()]


async def test_two_starts_at_once_are_one_after_the_other(gvisor: Driving) -> None:
    first = await gvisor.do("start")
    second = await gvisor.do("start")

    assert first["pid"] != second["pid"]
    assert len(gvisor.host_processes("runsc-sandbox")) == 1


def shown(gvisor: Driving) -> Path:
    """A folder of the host that the next start shows at /.continue-exec/host/it."""
    folder = gvisor.home.folder / "shown"
    (folder / "info").mkdir(parents=True)
    (folder / "file").write_text("as it was")
    (folder / "info/links").write_text("/home/elsewhere")
    for path in (folder, *folder.rglob("*")):
        if gvisor.user is not None and os.geteuid() == 0:
            os.chown(path, gvisor.user.uid, gvisor.user.gid)
    gvisor.spec["binds"] = [[str(folder), "it", ["info/links"]], ["/nowhere/at/all", "missing", []]]
    return folder


async def test_a_folder_of_the_host_is_shown_as_it_is_at_any_moment(gvisor: Driving) -> None:
    folder = shown(gvisor)
    await gvisor.do("start")
    look = "cd /.continue-exec/host; cat it/file it/new; wc -c < it/info/links; ls -A missing | wc -l"

    assert (await gvisor.sh(look)).stdout.split("\n") == ["as it was0", "0", ""]
    # What was missed before is seen now; a replaced file is the new one.
    (folder / "new").write_text(" and new")
    (folder / "other").write_text("changed")
    (folder / "other").rename(folder / "file")
    assert (await gvisor.sh(look)).stdout.split("\n") == ["changed and new0", "0", ""]

    gvisor.spec["binds"] = []
    await gvisor.do("start")
    assert (await gvisor.sh("ls -A /.continue-exec/host")).stdout == ""


async def test_a_shown_folder_cannot_be_written(gvisor: Driving) -> None:
    folder = shown(gvisor)
    os.chmod(folder, 0o777)
    os.chmod(folder / "file", 0o666)
    await gvisor.do("start")

    # As root with every right inside: append, empty (O_TRUNC), replace, delete, new, mode, times, links, devices.
    await gvisor.sh(
        "cd /.continue-exec/host/it; echo x >> file; : > file; echo x > other; mv other file; rm -rf file info;"
        " touch new file; mkdir folder; chmod 777 info; ln -s / link; ln file hard; mknod pipe p; cp /bin/sh file;"
        " truncate -s 0 file; dd if=/dev/zero of=file count=1; mount -o remount,rw /.continue-exec/host;"
        " unshare -Urm sh -c 'mount -o remount,rw,bind /.continue-exec/host/it; echo x > file; : > file'"
    )
    script = (
        "import os\n"
        "for flags in (os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_RDONLY | os.O_TRUNC, os.O_RDWR | os.O_CREAT):\n"
        "    try: os.write(os.open('/.continue-exec/host/it/file', flags), b'x')\n"
        "    except OSError: pass\n"
        "fd = os.open('/.continue-exec/host/it/file', os.O_RDONLY)\n"
        "try: os.write(os.open(f'/proc/self/fd/{fd}', os.O_RDWR | os.O_TRUNC), b'x')\n"
        "except OSError: pass\n"
        "try: os.ftruncate(fd, 0)\n"
        "except OSError: pass\n"
        "print('tried')\n"
    )
    assert (await gvisor.run("python3", "-c", script)).stdout == "tried\n"

    assert (folder / "file").read_text() == "as it was"
    assert sorted(os.listdir(folder)) == ["file", "info"]
    assert os.listdir(folder / "info") == ["links"]
    assert (folder / "file").stat().st_mode & 0o777 == 0o666


async def test_a_shown_folder_cannot_be_left_upwards(gvisor: Driving) -> None:
    folder = shown(gvisor)
    (folder.parent / "secret").write_text("secret")
    (folder / "link").symlink_to("../secret")
    await gvisor.do("start")

    result = await gvisor.sh("cd /.continue-exec/host/it; cat ../secret link ../../secret; ls ..")

    assert result.stdout.split() == ["it", "missing"]
