"""A sandbox's memory in a folder: everything that runs in it, to go on from there.

An image fits one build of runsc and the machine's own files as they were (open files of /usr are in it by name); a note
beside it says which. An image that was written half has no note, and is not used.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from ...errors import DiskFull, SandboxFailed

NOTE = "note.json"
"""In the image's folder; written last."""

SAVE_TIMEOUT_S = 120.0
"""For an image of gigabytes on a slow disk; half a gigabyte takes one or two seconds."""


def build_of(runsc: Path) -> str:
    """Which build it is: its file, as asking it takes 30 ms."""
    found = os.stat(runsc)
    return f"{runsc} {found.st_size} {found.st_mtime_ns}"


PROGRAMS = (
    "/usr/bin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/local/bin",
    "/usr/local/lib",
    "/var/lib/dpkg/status",
    "/var/lib/rpm",
    "/var/lib/pacman/local",
)
"""Their times change when a package manager replaces a program or a library that a process in an image has mapped."""


def programs() -> str:
    """Changes when the host's programs do. Ten `stat`s."""
    found = []
    for path in PROGRAMS:
        try:
            found.append(str(os.stat(path).st_mtime_ns))
        except OSError:
            found.append("-")
    return " ".join(found)


async def save(runsc: Path, flags: list[str], container: str, image: Path, template: str) -> None:
    """Write the image into `image`, an empty folder. What ran has ended when this returns.

    Args:
        runsc: the binary.
        flags: its global flags, as the sandbox was started with.
        container: its id.
        image: where to.
        template: what the machine's own files were made of when the sandbox was started.

    Raises:
        DiskFull, SandboxFailed: there is no image. Whether the sandbox still runs is unknown.
    """
    argv = [str(runsc), *flags, "checkpoint", "--compression=none", f"--image-path={image}", container]
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(SAVE_TIMEOUT_S):
            _, said = await process.communicate()
    except BaseException as error:
        process.kill()
        await process.wait()
        if isinstance(error, TimeoutError):
            raise SandboxFailed(f"The sandbox's memory was not saved within {SAVE_TIMEOUT_S:.0f} s") from None
        raise
    words = said.decode(errors="replace").strip()
    if process.returncode != 0:
        if "no space left" in words.lower() or "disk quota" in words.lower():
            raise DiskFull(f"No room for the sandbox's memory in {image}")
        raise SandboxFailed(f"The sandbox's memory could not be saved: {(words.splitlines() or ['runsc failed'])[-1]}")
    await asyncio.to_thread(_note, image, {"runsc": build_of(runsc), "template": template})


def _note(image: Path, note: dict[str, str]) -> None:
    """Only what is on the disk counts."""
    for path in image.iterdir():
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)
    temporary = image / f"{NOTE}.new"
    temporary.write_text(json.dumps(note))
    os.replace(temporary, image / NOTE)


def unfit(image: Path, runsc: Path, template: str) -> str:
    """Why an image cannot be used, in words; empty: it can."""
    try:
        note = json.loads((image / NOTE).read_text())
    except (OSError, ValueError):
        return "it was not saved completely"
    if note.get("runsc") != build_of(runsc):
        return "runsc is another build by now"
    if note.get("template") != template:
        return "the machine's own programs have changed since"
    return ""


def size(image: Path) -> int:
    """Bytes on disk."""
    try:
        return sum(entry.stat().st_blocks * 512 for entry in image.iterdir())
    except OSError:
        return 0
