"""What every driver promises of copies and of saved memory (drivers/base.py), with the real agent inside."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from continue_exec.errors import SandboxFailed
from tests.support.driving import REAL, Driving, driving, of

pytestmark = pytest.mark.may_block("the driver's loop is in another process")


@pytest.fixture(params=REAL, ids=lambda place: place.name)
async def gvisor(request: pytest.FixtureRequest) -> AsyncIterator[Driving]:
    async with driving(*of(request)) as found:
        yield found


def beside(driver: Driving, name: str) -> dict[str, Any]:
    """The spec of another sandbox of the same workspace."""
    folder = driver.home.folder
    return {
        **driver.spec,
        "sandbox_id": f"sb_{name}",
        "folder": str(folder / name),
        "sockets": str(folder / "run" / name),
    }


async def test_a_copy_has_the_files_and_goes_its_own_way(gvisor: Driving) -> None:
    workspace = gvisor.spec["workspace"]
    await gvisor.do("start")
    # Deleted, replaced, renamed and closed off: what overlayfs keeps in attributes and odd modes.
    await gvisor.sh(
        f"echo one > {workspace}/note; echo x > /usr/local/bin/tool; rm -r /usr/share/doc/bash; rm /usr/bin/yes;"
        " mkdir /opt/closed; echo s > /opt/closed/s; chmod 000 /opt/closed; sleep 1000 & echo $! > /tmp/pid"
    )
    first, other = dict(gvisor.spec), beside(gvisor, "copy")

    await gvisor.do("copy", other=other)

    assert (await gvisor.sh("kill -0 $(cat /tmp/pid) && echo it goes on")).stdout == "it goes on\n"
    gvisor.spec = other
    await gvisor.do("start")
    said = await gvisor.sh(
        "cat note /usr/local/bin/tool; ls -d /usr/share/doc/bash /usr/bin/yes;"
        " chmod 700 /opt/closed; cat /opt/closed/s;"
        " echo two > note; rm /usr/local/bin/tool"
    )
    assert said.stdout == "one\nx\ns\n"
    changed = await gvisor.do("files")
    assert f"{workspace}/note" in changed and "/usr/bin/yes" in changed

    await gvisor.do("stop")
    gvisor.spec = first
    assert (await gvisor.sh("cat note /usr/local/bin/tool")).stdout == "one\nx\n"

    await gvisor.do("stop")
    gvisor.spec = other
    await gvisor.do("move", other=first)
    gvisor.spec = first
    await gvisor.do("start")
    assert (await gvisor.sh("cat note; cat /usr/local/bin/tool || echo none")).stdout == "two\nnone\n"
    assert not os.path.exists(f"{first['folder']}.old")
    gvisor.spec = other
    await gvisor.do("destroy")
    gvisor.spec = first


async def test_a_move_that_was_cut_off_loses_neither(gvisor: Driving) -> None:
    await gvisor.do("start")
    await gvisor.sh("echo mine > note")
    await gvisor.do("stop")
    folder = Path(gvisor.spec["folder"])
    folder.rename(f"{folder}.old")  # the first half of it

    await gvisor.do("start")

    assert (await gvisor.sh("cat note")).stdout == "mine\n"


async def test_saved_memory_goes_on_where_it_was(gvisor: Driving) -> None:
    image = str(gvisor.home.folder / "image")
    await gvisor.do("start")
    script = (
        "import itertools, socket, time\n"
        "listener = socket.create_server(('127.0.0.1', 8123))\n"
        "for n in itertools.count():\n"
        "    open('/tmp/count.new', 'w').write(str(n)); __import__('os').rename('/tmp/count.new', '/tmp/count')\n"
        "    time.sleep(0.02)\n"
    )
    await gvisor.run("sh", "-c", 'setsid python3 -c "$1" >/dev/null 2>&1 & echo $! > /tmp/pid', "sh", script)
    await gvisor.sh("until test $(cat /tmp/count || echo 0) -ge 10; do :; done")

    await gvisor.do("save_memory", image=image)

    assert await gvisor.left() == [] and await gvisor.do("connect") is None
    await gvisor.do("start", memory=image)
    said = await gvisor.sh(
        "kill -0 $(cat /tmp/pid) && a=$(cat /tmp/count); until test $(cat /tmp/count) -gt $a; do :; done;"
        " test $a -ge 10 && echo it goes on;"
        " python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 8123))'"
    )
    assert (said.stdout, said.code) == ("it goes on\n", 0), said.stderr

    # A second time, from the second image: what was woken can be saved again.
    await gvisor.do("save_memory", image=image)
    await gvisor.do("start", memory=image)
    assert (await gvisor.sh("kill -0 $(cat /tmp/pid) && echo it goes on")).stdout == "it goes on\n"


async def test_memory_that_does_not_fit_is_refused_and_harms_nothing(gvisor: Driving) -> None:
    image = gvisor.home.folder / "image"
    await gvisor.do("start")
    await gvisor.sh("echo kept > note")
    await gvisor.do("save_memory", image=str(image))
    (image / "note.json").unlink()

    with pytest.raises(SandboxFailed, match="not saved completely"):
        await gvisor.do("start", memory=str(image))

    assert await gvisor.left() == []
    await gvisor.do("start")
    assert (await gvisor.sh("cat note")).stdout == "kept\n"
