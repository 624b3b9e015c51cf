"""What else could have run the command: runsc itself, and Docker with runc and with runsc. A library.

All of them run programs of this host in a root folder made of copies of them, so nothing is downloaded and the
program has the same content everywhere. Docker is a daemon of our own, in a temporary folder and mount namespace
of its own: it disturbs no other, and its mounts end with it.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import signal
import socket as unix
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from continue_exec.drivers.runsc import locate

PROGRAMS = ("echo", "sleep", "dd", "sh")
"""What the root folder holds."""

FLAGS = ("--network=none", "--overlay2=none", "--host-uds=open", "--file-access-mounts=shared")
"""Of the runsc driver (drivers/runsc/driver.py)."""

START_S = 60.0
"""For a daemon to answer; it takes 1 to 3 s."""


class Missing(Exception):
    """An alternative cannot be measured here; the message says why, in words."""


def tiny_rootfs(folder: Path) -> Path:
    """`folder`, filled with PROGRAMS, their shared libraries, and what an OCI runtime wants to mount on."""
    for name in ("proc", "dev", "sys", "tmp", "etc", "bin"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for program in PROGRAMS:
        found = shutil.which(program, path="/bin:/usr/bin")
        if found is None:
            raise Missing(f"this host has no {program}")
        shutil.copy(found, folder / "bin" / program)
        linked = subprocess.run(["ldd", found], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(/\S+) \(0x", linked):
            place = folder / library.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, place)
    return folder


def bundle(folder: Path, argv: Sequence[str], cgroup: str | None = None) -> Path:
    """An OCI bundle that runs `argv` in the root folder `folder`/rootfs, with as little as runsc needs."""
    linux: dict[str, object] = {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")]}
    if cgroup is not None:
        linux |= {"cgroupsPath": cgroup, "resources": {"pids": {"limit": 16384}}}
    (folder / "config.json").write_text(
        json.dumps(
            {
                "ociVersion": "1.0.0",
                "process": {
                    "user": {"uid": 0, "gid": 0},
                    "args": list(argv),
                    "cwd": "/",
                    "env": ["PATH=/bin"],
                    "capabilities": {},
                },
                "root": {"path": str(folder / "rootfs")},
                "hostname": "bare",
                "mounts": [
                    {"destination": "/proc", "type": "proc", "source": "proc"},
                    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
                ],
                "linux": linux,
            }
        )
    )
    return folder


def first_byte(argv: Sequence[str]) -> float:
    """Milliseconds from starting a program on the host to the first byte that it writes. Waits for its end.

    Raises:
        Missing: it wrote nothing; the message has what it said on stderr.
    """
    began = time.perf_counter()
    with tempfile.TemporaryFile() as errors, subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors) as process:
        assert process.stdout is not None
        byte = os.read(process.stdout.fileno(), 1)
        took = (time.perf_counter() - began) * 1e3
        process.stdout.read()
        process.wait()
        errors.seek(0)
        if not byte:
            said = errors.read().decode(errors="replace").strip().splitlines()
            raise Missing(f"{argv[0]} ended with {process.returncode}: {said[-1] if said else 'no word'}")
    return took


class BareRunsc:
    """`runsc` with a bundle, without engine, agent and driver."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = [str(locate.require(None)), f"--root={folder / 'state'}", *FLAGS]
        if os.geteuid() != 0:
            raise Missing("a bare runsc is measured as root only: without, it needs namespaces made for it")
        self._count = 0
        tiny_rootfs(folder / "rootfs")

    def run(self, argv: Sequence[str], *, cgroup: bool = False) -> list[str]:
        """The command line of a new sandbox that runs `argv`; `cgroup`: in a cgroup of its own, as the driver's."""
        self._count += 1
        name = f"{self.folder.name}-{self._count}"
        made = bundle(self.folder, argv, f"/{name}" if cgroup else None)
        return [*self.command, *([] if cgroup else ["--ignore-cgroups"]), "run", f"--bundle={made}", name]

    @contextmanager
    def up(self) -> Iterator[list[str]]:
        """A sandbox that sleeps; yields the beginning of a command line that runs something in it."""
        made = bundle(self.folder, ["/bin/sleep", "1000000"])
        with (self.folder / "log").open("wb") as log:
            subprocess.run(
                [*self.command, "--ignore-cgroups", "run", "--detach", f"--bundle={made}", "warm"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=True,
            )
        try:
            yield [*self.command, "exec", "warm"]
        finally:
            for words in (["kill", "warm", "KILL"], ["delete", "--force", "warm"]):
                subprocess.run([*self.command, *words], capture_output=True, check=False)


@contextmanager
def bare_runsc() -> Iterator[BareRunsc]:
    """A folder for it, gone afterwards. Raises Missing."""
    folder = Path(tempfile.mkdtemp(prefix="cx-bare-", dir="/var/tmp"))
    try:
        yield BareRunsc(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Docker:
    """A daemon that is up, with the image `tiny`."""

    socket: Path
    client: tuple[str, ...]
    version: str

    def call(self, *words: str) -> str:
        """One command of the client; its output."""
        done = subprocess.run([*self.client, *words], capture_output=True, text=True, check=False, timeout=120)
        if done.returncode != 0:
            raise Missing(f"docker {words[0]}: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
        return done.stdout.strip()

    def run(self, runtime: str, argv: Sequence[str]) -> list[str]:
        """The command line of a new sandbox that runs `argv`."""
        return [*self.client, "run", "--rm", "--network=none", f"--runtime={runtime}", "tiny", *argv]

    @contextmanager
    def up(self, runtime: str) -> Iterator[list[str]]:
        """One that sleeps; yields the beginning of a command line that runs something in it."""
        found = self.call("run", "-d", "--network=none", f"--runtime={runtime}", "tiny", "/bin/sleep", "1000000")
        try:
            yield [*self.client, "exec", found]
        finally:
            self.call("rm", "-f", found)

    def asked(self, found: str, argv: Sequence[str]) -> float:
        """Milliseconds of an exec by the daemon's own protocol, without its client, to the first byte of output."""
        began = time.perf_counter()
        wanted = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(argv)}
        with self._post(f"/containers/{found}/exec", wanted) as answer:
            made = json.loads(answer.read().partition(b"\r\n\r\n")[2])["Id"]
        with self._post(f"/exec/{made}/start", {"Detach": False, "Tty": False}) as answer:
            while answer.readline().strip():
                pass
            header = answer.read(8)  # kind and length of what follows
            answer.read(1)
            took = (time.perf_counter() - began) * 1e3
            if len(header) != 8:
                raise Missing("the daemon answered an exec with nothing")
            answer.read()
        return took

    def _post(self, path: str, body: object) -> BinaryIO:
        with unix.socket(unix.AF_UNIX) as sock:
            sock.connect(str(self.socket))
            text = json.dumps(body)
            head = f"POST {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
            sock.sendall(head.encode() + text.encode())
            return sock.makefile("rb")


@contextmanager
def docker() -> Iterator[Docker]:
    """A private daemon, ended with all it started.

    Raises:
        Missing: there is none to start, or it does not come up here.
    """
    if os.geteuid() != 0:
        raise Missing("a private Docker daemon needs root")
    for program in ("dockerd", "docker", "containerd", "runc"):
        if shutil.which(program) is None:
            raise Missing(f"{program} is not installed; scripts/bench fetches it on Debian and Ubuntu")
    folder = Path(tempfile.mkdtemp(prefix="cxd", dir="/var/tmp"))
    runtimes = {"runsc": {"path": str(locate.require(None)), "runtimeArgs": ["--network=none"]}}
    (folder / "daemon.json").write_text(json.dumps({"runtimes": runtimes}))
    socket = folder / "d.sock"
    log = folder / "log"
    with log.open("wb") as said:
        daemon = subprocess.Popen(
            [
                *("unshare", "--mount", "--propagation=slave", "dockerd", "--host", f"unix://{socket}"),
                *("--config-file", str(folder / "daemon.json"), "--data-root", str(folder / "data")),
                *("--exec-root", str(folder / "run"), "--pidfile", str(folder / "pid")),
                *("--iptables=false", "--ip6tables=false", "--bridge=none", "--group=root"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    client = ("docker", "--host", f"unix://{socket}", "--config", str(folder / "client"))
    try:
        version = _wait(daemon, client, log)
        made = Docker(socket, client, version)
        rootfs = tiny_rootfs(folder / "rootfs")
        subprocess.run(["tar", "-C", rootfs, "-cf", folder / "tiny.tar", "."], check=True)
        made.call("import", str(folder / "tiny.tar"), "tiny")
        yield made
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(30)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(daemon: subprocess.Popen[bytes], client: Sequence[str], log: Path) -> str:
    """Until it answers; its version."""
    asking = [*client, "version", "--format", "{{.Server.Version}}"]
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and daemon.poll() is None:
        asked = subprocess.run(asking, capture_output=True, text=True, check=False)
        if asked.returncode == 0:
            return asked.stdout.strip()
        time.sleep(0.1)  # there is no handshake to wait on: a daemon without systemd says nothing when it is up
    words = re.findall(r'msg="((?:[^"\\]|\\.)*)"|^(failed .*)', log.read_text(errors="replace"), re.MULTILINE)
    last = next((a or b for a, b in reversed(words)), "it said nothing")
    raise Missing(f"dockerd does not come up on this {platform.machine()} machine: {last}")
