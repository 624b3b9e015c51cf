"""What code inside a sandbox cannot see or do. Real gVisor, as root and as an ordinary user; every test tries it.

Each secret is planted by the test where a real one would be, so a test that finds nothing has looked at something.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.driving import REAL, Driving, Place, driving, of
from tests.support.users import OrdinaryUser

# What is tested runs in a process of its own; this loop only looks at the host.
pytestmark = pytest.mark.may_block("the driver's loop is in another process")

Where = tuple[Place, OrdinaryUser | None]

SECRET = "hunter2-planted-by-a-test"


@pytest.fixture(params=REAL, ids=lambda place: place.name)
def isolated(request: pytest.FixtureRequest) -> Where:
    return of(request)


def plant(home: Path, user: OrdinaryUser | None) -> None:
    """A home with what a developer's home has."""
    files = (".ssh/id_ed25519", ".aws/credentials", ".config/gh/hosts.yml", ".npmrc", ".cargo/credentials.toml",
             ".netrc", ".git-credentials", ".docker/config.json", ".bash_history", ".pypirc", "notes.txt")  # fmt: skip
    for name in files:
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"//registry.example/:_authToken={SECRET}\n" if name == ".npmrc" else SECRET)
    # Toolchains beside the secrets: their folders are mounted, and nothing next to what is needed.
    for name in (".cargo/bin/tool", ".rustup/toolchains/t/bin/rustc", ".pyenv/versions/3.99.1/bin/python3.99"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("#!/bin/sh\necho a tool\n")
        (home / name).chmod(0o755)
    if user is not None and os.geteuid() == 0:
        for path in (home, *home.rglob("*")):
            os.chown(path, user.uid, user.gid)


@pytest.fixture
async def inside(isolated: Where) -> AsyncIterator[Driving]:
    place, user = isolated
    async with driving(place, user) as found:
        await found.close()
        home = found.home.folder / "user"
        home.mkdir()
        plant(home, user)
        path = f"{home}/.cargo/bin:{home}/.pyenv/shims:{os.environ['PATH']}"
        secrets = {"AWS_SECRET_ACCESS_KEY": SECRET, "GITHUB_TOKEN": SECRET, "SSH_AUTH_SOCK": f"{home}/agent"}
        tools = {"PYENV_ROOT": f"{home}/.pyenv", "RUSTUP_HOME": f"{home}/.rustup", "CARGO_HOME": f"{home}/.cargo"}
        found.environ = {"HOME": str(home), "PATH": path, **tools, **secrets}
        await found.open()
        await found.do("start")
        yield found


async def test_nothing_of_the_hosts_home_but_toolchains(inside: Driving) -> None:
    home = inside.environ["HOME"]

    result = await inside.sh(f"find {home} -type f | sort")

    expected = {f"{home}/.cargo/bin/tool", f"{home}/.rustup/toolchains/t/bin/rustc"}
    expected.add(f"{home}/.pyenv/versions/3.99.1/bin/python3.99")
    assert set(result.stdout.split()) == expected
    assert (await inside.run("tool")).stdout == "a tool\n"


async def test_no_planted_secret_is_anywhere(inside: Driving) -> None:
    """Where one could have been copied to: every file outside the system folders, and every variable."""
    places = "/etc /root /home /run /tmp /var/tmp /srv /mnt /dev /proc/1/environ /proc/self/environ"

    result = await inside.sh(f"env | grep {SECRET}; grep -rlsa {SECRET} {places} {inside.home.folder}")

    assert result.stdout == ""
    assert (await inside.sh("test -e /root/.ssh")).code != 0


async def test_the_hosts_accounts_and_keys_are_not_inside(inside: Driving) -> None:
    result = await inside.sh("cat /etc/passwd /etc/shadow /etc/group; ls /etc /etc/ssl")

    names = {line.split(":")[0] for line in Path("/etc/passwd").read_text().splitlines()}
    own = {"root", "daemon", "bin", "sys", "man", "mail", "www-data", "_apt", "nobody"}
    for name in names - own:
        assert f"\n{name}:" not in result.stdout
    assert "private" not in result.stdout.split()
    hashes = [line.split(":")[1] for line in result.stdout.splitlines() if line.count(":") == 8]
    assert set(hashes) <= {"*"}
    assert "ssh_host" not in (await inside.sh("ls -R /etc")).stdout


async def test_no_socket_of_the_host_but_its_own(inside: Driving) -> None:
    """Other sandboxes' sockets lie beside this one's; a daemon's socket in /run."""
    beside = Path(inside.spec["sockets"]).parent / "other"
    beside.mkdir()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(beside / "agent.sock"))
        other.listen()

        found = await inside.sh("find / -xdev -type s 2>/dev/null; find /run -type s")

        assert set(found.stdout.split()) <= {"/run/continue-exec/agent.sock", "/run/continue-exec/egress.sock"}
        daemons = ("/run/docker.sock", "/var/run/docker.sock", "/run/systemd/private", "/run/dbus/system_bus_socket")
        reached = await inside.run("python3", "-c", _CONNECT_UNIX, str(beside / "agent.sock"), *daemons)
        assert reached.stdout == ""


_CONNECT_UNIX = """
import socket, sys
for path in sys.argv[1:]:
    try:
        socket.socket(socket.AF_UNIX).connect(path)
        print("connected to", path)
    except OSError:
        pass
"""

_CONNECT = """
import socket, sys
for word in sys.argv[1:]:
    host, port = word.rsplit(":", 1)
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.settimeout(2)
    try:
        sock.connect((host, int(port)))
        print("connected to", word)
    except OSError as error:
        print(type(error).__name__, file=sys.stderr)
"""


async def test_no_network_but_its_own_loopback(inside: Driving) -> None:
    addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        # It can be reached from the host, so a refusal inside means something.
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass

        targets = [f"127.0.0.1:{port}", *(f"{address}:{port}" for address in sorted(map(str, addresses)))]
        result = await inside.run(
            "python3", "-c", _CONNECT, *targets, "169.254.169.254:80", "8.8.8.8:53", "1.1.1.1:443"
        )

        assert result.stdout == ""
        assert result.stderr.count("\n") == len(targets) + 3
    devices = await inside.sh("tail -n +3 /proc/net/dev | cut -d: -f1")
    assert devices.stdout.split() == ["lo"]


async def test_abstract_sockets_of_the_host_cannot_be_reached(inside: Driving) -> None:
    name = f"continue-exec-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0" + name)
        server.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("\0" + name)

        code = f"import socket; socket.socket(socket.AF_UNIX).connect('\\0{name}')"
        result = await inside.run("python3", "-c", code)

    assert result.code == 1
    assert "ConnectionRefusedError" in result.stderr


async def test_the_hosts_kernel_cannot_be_tuned(inside: Driving) -> None:
    before = Path("/proc/sys/kernel/panic").read_text(), Path("/proc/sys/vm/overcommit_memory").read_text()

    await inside.sh(
        "echo 7 > /proc/sys/kernel/panic; echo 1 > /proc/sys/vm/overcommit_memory; echo c > /proc/sysrq-trigger"
    )

    assert before == (Path("/proc/sys/kernel/panic").read_text(), Path("/proc/sys/vm/overcommit_memory").read_text())
    assert (await inside.sh("dmesg")).stdout.count("gVisor") == 1


async def test_host_devices_cannot_be_made_or_mounted(inside: Driving) -> None:
    numbers = [os.stat(f"/dev/{name}") for name in os.listdir("/dev")]
    blocks = {(os.major(found.st_rdev), os.minor(found.st_rdev)) for found in numbers if stat.S_ISBLK(found.st_mode)}
    for major, minor in sorted(blocks | {(1, 1), (8, 0)})[:4]:
        script = (
            f"mknod /tmp/d b {major} {minor}; head -c 512 /tmp/d | wc -c; mount -t ext4 /tmp/d /mnt && echo mounted"
        )
        result = await inside.sh(script)
        assert result.stdout.split() in (["0"], []), result.stdout
    assert (await inside.sh("head -c 16 /dev/mem /dev/kmem /dev/port /proc/kcore | wc -c")).stdout.strip() == "0"


async def test_host_processes_are_invisible(inside: Driving) -> None:
    listed = await inside.sh("ls /proc | grep -E '^[0-9]+$'")

    assert len(listed.stdout.split()) < 10
    assert (await inside.sh(f"kill -0 {os.getpid()}")).code != 0
    assert (await inside.sh(f"cat /proc/{os.getpid()}/environ")).code != 0


async def test_a_debugger_works_inside_and_only_there(inside: Driving) -> None:
    """PTRACE_ATTACH (16) to a process of the host's number, and to one of its own."""
    code = (
        "import ctypes, os, sys, time\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "own = os.fork()\n"
        "if own == 0: time.sleep(60)\n"
        "print(libc.ptrace(16, int(sys.argv[1]), 0, 0), libc.ptrace(16, own, 0, 0))\n"
        "os.kill(own, 9)\n"
    )

    result = await inside.run("python3", "-c", code, str(os.getpid()))

    assert result.stdout == "-1 0\n"


async def test_links_that_point_to_the_host_do_not_lead_there(inside: Driving) -> None:
    """The sandbox's files are plain files on the host; a link in them must never be followed by anyone there."""
    outside = inside.home.folder / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    if inside.user is not None and os.geteuid() == 0:
        os.chown(outside, inside.user.uid, inside.user.gid)
        os.chown(outside / "precious", inside.user.uid, inside.user.gid)
    workspace = inside.spec["workspace"]

    result = await inside.sh(
        f"cd {workspace} && ln -s {outside} link && ln -s {outside}/precious file && ln -s / root;"
        " cat link/precious file;"
        # What the next start makes or mounts, replaced by links to the host:
        f" mv {inside.environ['HOME']}/.cargo /moved; ln -s {outside} {inside.environ['HOME']}/.cargo;"
        f" rm -rf /tmp/.continue-exec; ln -s {outside} /tmp/.continue-exec; rm -rf /run/lock; ln -s {outside} /run/lock"
    )
    assert "precious" not in result.stdout

    await inside.do("stop")
    await inside.do("start")
    assert (await inside.run("echo", "up")).stdout == "up\n"
    await inside.do("destroy")

    assert os.listdir(outside) == ["precious"]
    assert (outside / "precious").read_text() == "precious"
    assert Path("/usr/bin/env").exists()


async def test_a_link_in_the_workspaces_own_path_does_not_lead_out(inside: Driving) -> None:
    outside = inside.home.folder / "outside"
    outside.mkdir(mode=0o777)
    parent = os.path.dirname(inside.spec["workspace"])
    await inside.sh(f"cd /; mv {parent} /moved; ln -s {outside} {parent}")
    await inside.do("stop")

    try:
        await inside.do("start")
    except Exception as error:  # refusing is as good as starting; which of the two is the driver's choice
        assert "errno" not in str(error).lower()

    assert os.listdir(outside) == []


async def test_setuid_programs_of_the_sandbox_are_out_of_reach_of_other_users(inside: Driving) -> None:
    result = await inside.sh("cp /bin/sh /root/sh && chmod 4755 /root/sh && stat -c %a /root/sh")
    assert result.stdout == "4755\n", result.stderr

    folder = Path(inside.spec["folder"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    found = next((folder / "upper").rglob("sh"))
    assert found.exists()
    mounts = await asyncio.to_thread(Path("/proc/self/mounts").read_text)
    assert str(folder) not in mounts


async def test_the_agent_cannot_be_replaced(inside: Driving) -> None:
    await inside.sh("echo evil > /.continue-exec/agent; rm -f /.continue-exec/agent; mv /.continue-exec /elsewhere")

    await inside.do("stop")
    await inside.do("start")

    assert (await inside.run("echo", "the agent answers")).stdout == "the agent answers\n"
    assert Path(inside.spec["agent"]).stat().st_size > 100_000


async def test_the_sockets_folder_cannot_be_written(inside: Driving) -> None:
    sockets = Path(inside.spec["sockets"])
    (sockets / "mark").write_text("mark")

    result = await inside.sh("cd /run/continue-exec; touch new; rm -f mark; echo over > mark; cat mark")

    assert result.stdout == "mark"
    assert os.listdir(sockets) == ["mark"]


async def test_capabilities_end_at_the_sandbox(inside: Driving) -> None:
    """Neither the resource limits nor the sentry's own folder can be undone, and no module can be loaded."""
    result = await inside.sh("grep CapEff /proc/self/status")

    effective = int(result.stdout.split()[1], 16)
    for bit in (16, 17, 21, 22, 24):  # SYS_MODULE, SYS_RAWIO, SYS_ADMIN, SYS_BOOT, SYS_RESOURCE (capability.h)
        assert not effective & 1 << bit
    raised = await inside.run("python3", "-c", "import resource as r; r.setrlimit(r.RLIMIT_NPROC, (9999, 9999))")
    assert raised.code == 1
