"""The helper that becomes `runsc run`: namespaces, mounts, then exec. Standard library only, run as a script.

It is a process of its own because namespaces belong to a process, and one Python start (14 ms, measured) is
cheaper than a dozen `unshare` and `mount` commands; mount(2) itself takes microseconds.

    stdin   the plan: `marshal` of a dict (see `run`); the same interpreter wrote it
    stdout  nothing, or one line saying what failed: `step TAB subject TAB errno`; closed when runsc takes over
    stderr  the sandbox's log

Everything the sandbox may have written is walked without following links: a link that was left in the
sandbox's files would otherwise make us create or cover folders of the host.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` takes 5 ms to import, on every start of a sandbox
    from typing import Any

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_SLAVE = 1 << 19

_libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """A step failed: (step, subject, errno)."""


def _call(step: str, subject: str, function: Any, *args: Any) -> None:
    if function(*args) != 0:
        raise Failed(step, subject, ctypes.get_errno())


def _mount(step: str, source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    _call(
        step,
        source,
        _libc.mount,
        os.fsencode(source),
        os.fsencode(target),
        os.fsencode(kind),
        ctypes.c_ulong(flags),
        os.fsencode(data),
    )


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def enter_namespaces(user: bool) -> None:
    """A mount namespace of our own, in which mounts vanish with the last process; `user`: root in a user namespace."""
    uid, gid = os.geteuid(), os.getegid()
    _call("unshare", "user" if user else "mount", _libc.unshare, CLONE_NEWNS | (CLONE_NEWUSER if user else 0))
    if user:
        try:
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"0 {uid} 1")
            _write("/proc/self/gid_map", f"0 {gid} 1")
        except OSError as error:
            raise Failed("unshare", "uid_map", error.errno) from error
    # Slave, not private: when the host unmounts a disk, our copy of that mount must go too.
    _mount("propagation", "none", "/", "", MS_REC | MS_SLAVE)


def walk(root_fd: int, path: str, make: bool = True, mode: int = 0o755) -> int:
    """A descriptor of the folder `path` beneath `root_fd`; makes what is missing and follows no link.

    Raises:
        OSError: ELOOP or ENOTDIR where something else than a folder stands in the way.
    """
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root_fd)
    for name in path.strip("/").split("/"):
        if not name:
            continue
        flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            following = os.open(name, flags, dir_fd=here)
        except FileNotFoundError:
            if not make:
                raise
            os.mkdir(name, mode, dir_fd=here)
            following = os.open(name, flags, dir_fd=here)
        os.close(here)
        here = following
    return here


def _file_target(root_fd: int, path: str) -> int:
    """A descriptor of the file `path` beneath `root_fd`, made empty if it is missing; follows no link."""
    folder, name = os.path.split(path)
    here = walk(root_fd, folder)
    try:
        try:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o755, dir_fd=here))
        except FileExistsError:
            pass
        found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
    finally:
        os.close(here)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        raise NotADirectoryError(20, "not a file", path)
    return found


def bind(source: str, target: str, read_only: bool) -> None:
    """Bind `source` over `target`; the flags that a user namespace locks are kept."""
    _mount("bind", source, target, "", MS_BIND | MS_REC)
    if read_only:
        # `target` may be a descriptor of what lies beneath; the new mount on top is reached by its path.
        path = os.readlink(target) if target.startswith("/proc/self/fd/") else target
        flags = os.statvfs(path).f_flag & (MS_RDONLY | MS_NOSUID | MS_NODEV | 8 | 1024 | 2048 | 4096)
        keep = flags & (MS_NOSUID | MS_NODEV | 8)
        atime = (flags & 1024) | (flags & 2048) | ((flags & 4096) << 9)  # ST_RELATIME is 4096, MS_RELATIME 1 << 21
        _mount("read-only", source, path, "", MS_BIND | MS_REMOUNT | MS_RDONLY | keep | atime)


def mount_beneath(root_fd: int, entry: dict[str, Any]) -> None:
    """One entry of the plan, at `entry["target"]` beneath the root."""
    find = _file_target if entry["kind"] == "file" else walk
    fd = find(root_fd, entry["target"])
    target = f"/proc/self/fd/{fd}"
    try:
        if entry["kind"] == "overlay":
            try:
                _mount("overlay", entry["source"], target, "overlay", MS_NOSUID | MS_NODEV, entry["options"])
            except Failed:
                if not entry["optional"]:
                    raise
                # The file system beneath cannot be an overlay's layer (some network and FUSE ones): read-only then.
                bind(entry["source"], target, read_only=True)
        else:
            bind(entry["source"], target, entry["read_only"])
    finally:
        os.close(fd)


def show(source: str, target: str, hidden: list[str], empty: str) -> None:
    """Bind a folder of the host, read-only, and an empty file over each of its `hidden` files."""
    bind(source, target, read_only=True)
    for name in hidden:
        top = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        folder = walk(top, os.path.dirname(name), make=False)
        file = os.open(os.path.basename(name), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        bind(empty, f"/proc/self/fd/{file}", read_only=True)
        for opened in (file, folder, top):
            os.close(opened)


def run(plan: dict[str, Any]) -> None:
    """Do all of `plan`; returns only by raising.

    Keys: `user` (bool), `cgroup` (cgroup.procs to join, or ""), `root` (mount point), `root_options` (overlay
    options), `sockets` (source and target of a read-only bind), `binds` (list of `show`'s arguments), `mounts` (list
    of entries), `folders` (list of (path, mode, required) to have inside), `doorbell`, `argv`, `env`.
    """
    if plan["cgroup"]:
        try:
            _write(plan["cgroup"], str(os.getpid()))
        except OSError as error:
            raise Failed("cgroup", plan["cgroup"], error.errno) from error
    enter_namespaces(plan["user"])
    _mount("overlay", plan["root"], plan["root"], "overlay", MS_NOSUID | MS_NODEV, plan["root_options"])
    # Read-only by the kernel, not only by runsc: opening a file with O_TRUNC on a read-only mount of runsc's fails, but
    # empties the file all the same (seen with release 20240729 as root).
    source, target = plan["sockets"]
    bind(source, target, read_only=True)
    for entry in plan["binds"]:
        try:
            show(*entry)
        except (Failed, OSError) as error:
            print(f"continue-exec: not shown inside: {entry[0]}: {error}", file=sys.stderr, flush=True)
    root_fd = os.open(plan["root"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.umask(0)
    for path, mode, required in plan["folders"]:
        try:
            os.close(walk(root_fd, path, mode=mode))
        except OSError as error:
            if required:
                raise Failed("folder", path, error.errno) from error
    for entry in plan["mounts"]:
        try:
            mount_beneath(root_fd, entry)
        except (Failed, OSError) as error:
            if not entry["optional"]:
                if isinstance(error, Failed):
                    raise
                raise Failed("mount", entry["target"], error.errno) from error
            print(f"continue-exec: left out {entry['target']}: {error}", file=sys.stderr, flush=True)
    os.umask(0o022)
    # Read and write, so that it has a writer always and the agent never reads end of file.
    doorbell = os.open(plan["doorbell"], os.O_RDWR | os.O_CLOEXEC)
    os.dup2(doorbell, 0)
    report = os.dup(1)
    os.set_inheritable(report, False)
    os.dup2(2, 1)
    try:
        os.execve(plan["argv"][0], plan["argv"], plan["env"])
    except OSError as error:
        os.dup2(report, 1)
        raise Failed("exec", plan["argv"][0], error.errno) from error


def main() -> None:
    """Read the plan, carry it out, report what failed."""
    try:
        run(marshal.load(sys.stdin.buffer))
    except Failed as failed:
        step, subject, errno = failed.args
        os.write(1, f"{step}\t{subject}\t{errno}\n".encode(errors="surrogateescape"))
        os._exit(1)


if __name__ == "__main__":
    main()
