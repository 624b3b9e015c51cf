"""Dangerous homecomings: hostile code inside chose the names, the bytes, the modes and the moment. Real gVisor, as root
and as an ordinary user; each test tries it, and looks at the host afterwards.

What lies outside the workspace is planted by the test, readable for the engine, so that a link that were followed once
would show.
"""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from continue_exec.errors import Conflict
from tests.support.engines import RealEngine
from tests.support.reviewing import Reviewing, reviewing

# The engine is another process; this loop only asks it, and looks at the host.
pytestmark = pytest.mark.may_block("the tests read and write the host's tree themselves")

WHO = ["user", *(["root"] if os.geteuid() == 0 else [])]
SECRET = "hunter2-outside-the-workspace\n"


@pytest.fixture(params=WHO)
async def place(request: pytest.FixtureRequest, engine: RealEngine) -> AsyncIterator[Reviewing]:
    user = request.getfixturevalue("ordinary_user") if request.param == "user" else None
    async with reviewing(engine, user) as found:
        outside = found.outside
        (outside / "sub").mkdir(parents=True)
        for name in ("secret", "f", "sub/f"):
            (outside / name).write_text(SECRET)
        (found.workspace / "main.py").write_text("print(1)\n")
        found.own()
        yield found
        assert {path.read_text() for path in outside.rglob("*") if path.is_file()} == {SECRET}
        assert sorted(path.name for path in outside.rglob("*")) == ["f", "f", "secret", "sub"]


def tree(folder: Path) -> dict[str, str]:
    """Path → what is there, of everything but Git's folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.partition("/")[0] != ".git":
            found[name] = f"→ {os.readlink(path)}" if path.is_symlink() else "" if path.is_dir() else path.read_text()
    return found


REFUSED_LINKS = {
    "absolute": "/etc/passwd",
    "root": "/",
    "up": "../secret",
    "sub/up2": "../../secret",
    "down-and-up": "sub/../../secret",
    "down-and-up-within": "sub/../main.py",
    "through": "data/secret",
    "through-twice": "second/secret",
    "git": ".git/config",
    "git-hidden": ".g\u200cit/hooks",
}

REFUSED_NAMES = (
    ".GIT/config", ".Git/hooks/post-checkout", "sub/.giT/config", "git~1/config", ".git /config", ".git./config",
    ".git::$INDEX_ALLOCATION/config", ".g\u200cit/config", ".\uff27it/config", "sub\\..\\..\\x", ".git\\config",
    "red\x1b[31m", "two\nlines", "turned\u202egnp.exe", "MAIN.py", "main.py.", "caf\u00e9", "cafe\u0301", "Sub2/x",
    "sub2/y",
)  # fmt: skip


async def test_what_never_comes_home(place: Reviewing) -> None:
    """Not by `all`, not by name, not with a yes, not as a version that was looked at."""
    host = place.workspace
    place.git("init", "-q")
    (host / "data").symlink_to(place.outside)
    (host / "second").symlink_to("data")
    (host / "sub").mkdir()
    place.own()
    before = tree(host)
    await place.python(
        f"""
import os, socket
for name, target in {REFUSED_LINKS!r}.items():
    os.symlink(target, name)
for name in {REFUSED_NAMES!r}:
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    open(name, "w").write("hostile")
for name, mode in (("setuid", 0o4755), ("setgid", 0o2755)):
    open(name, "w").write("hostile")
    os.chmod(name, mode)
socket.socket(socket.AF_UNIX).bind("socket")
"""
    )

    found = await place.changes()

    expected = {*REFUSED_LINKS, *REFUSED_NAMES, "setuid", "setgid"}
    assert expected <= found.keys()
    assert {path for path in expected if not found[path]["refused"]} == set()
    for path, change in found.items():
        for more in ({}, {"yes": [path]}):
            pick = {"path": path, "version": change["version"]}
            done = await place.call("changes.apply", picks=[pick], **more)
            assert done["applied"] == [], path
    assert (await place.apply())[0] == set()
    assert tree(host) == before
    assert not (host / ".git/hooks/post-checkout").exists()


EXECUTED = (".vimrc", "tools/entered.sh",
            ".vscode/tasks.json", "deep/.VSCODE/x", ".idea/x.xml", ".continue/c.yaml", "deep/.husky/pre-commit",
            "a.code-workspace", "sub/.npmrc", "sub/.v\u017fcode/tasks.json", ".mcp.json", "eslint.config.mjs",
            "tools/env.sh", "checks/pre-commit", "checks/lib/more", "scripts/lint")  # fmt: skip


async def test_what_the_host_executes_needs_its_own_yes(place: Reviewing) -> None:
    """Also where it has another name: behind the host's links, and where Git's settings say that hooks are."""
    host = place.workspace
    place.git("init", "-q")
    place.git("config", "core.hooksPath", "checks")
    for folder in ("tools", "checks", "scripts", ".zed-real"):
        (host / folder).mkdir()
    (host / ".vimrc").symlink_to("tools/env")
    (host / ".envrc").symlink_to("tools/entered.sh")
    (host / "tools/env").symlink_to("env.sh")
    (host / ".git/hooks").mkdir(exist_ok=True)
    (host / ".git/hooks/pre-push").symlink_to("../../scripts/lint")
    for name in ("tools/env.sh", "tools/entered.sh", "scripts/lint"):
        (host / name).write_text("echo mine\n")
    place.own()
    before = tree(host)
    await place.python(
        f"""
import os
os.unlink(".vimrc")
for name in {EXECUTED!r}:
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    open(name, "w").write("hostile")
os.symlink("scripts", ".zed")
open("plain.txt", "w").write("plain")
open("open.txt", "w").write("open")
os.chmod("open.txt", 0o666)
os.chmod("plain.txt", 0o644)
"""
    )

    found = await place.changes()
    came, left = await place.apply()

    assert {path for path in {*EXECUTED, ".zed", "open.txt"} if not found[path]["needs_yes"]} == set()
    assert came == {"plain.txt"}
    assert all(why.startswith("refused: ") and "needs a yes of its own" in why for why in left.values())
    assert tree(host) == {**before, "plain.txt": "plain"}
    # A yes to one is none to another.
    came, left = await place.apply(yes=[".vimrc"])
    assert came == {".vimrc"}
    assert (host / ".vimrc").read_text() == "hostile" and not (host / ".vimrc").is_symlink()
    assert (host / "tools/env.sh").read_text() == "echo mine\n"


async def test_nothing_is_written_through_a_link_of_the_host(place: Reviewing) -> None:
    """A folder inside, where the host has a link."""
    host = place.workspace
    (host / "data").symlink_to(place.outside)
    place.own()
    await place.sh("rm data && mkdir -p data/sub && echo new > data/f && echo new > data/sub/f && echo new > data/new")

    came, left = await place.apply("data/f", "data/sub/f", "data/new")

    assert came == set() and all("is a link on the host" in why for why in left.values()), left
    assert os.readlink(host / "data") == str(place.outside)
    # An editor would follow it: it is not even proposed.
    proposed = await place.call("changes.propose", picks=[{"path": "data/f"}, {"path": "data/new"}])
    assert proposed["proposals"] == [] and {one["code"] for one in proposed["left"]} == {"refused"}
    # Of itself it is a change like any other, shown as what it is.
    assert (await place.changes())["data"]["old_type"] == "symlink"
    await place.apply()
    assert not (host / "data").is_symlink() and (host / "data/f").read_text() == "new\n"


async def test_a_folder_becomes_a_link_and_files_below_it_at_once(place: Reviewing) -> None:
    host = place.workspace
    (host / "a").mkdir()
    (host / "a/x").write_text("x\n")
    place.own()
    await place.sh("mkdir b && mv a/x b/y && rmdir a && ln -s b a && echo new > a/z")

    await place.apply()

    assert tree(host) == {"a": "→ b", "b": "", "b/y": "x\n", "b/z": "new\n", "main.py": "print(1)\n"}
    assert await place.changes() == {}


_SWAP = """
import os, sys
outside, count = sys.argv[1], 0
os.makedirs("real", exist_ok=True)
open("real/f", "w").write("inside\\n")
for each in range(20):
    os.mkdir(f"aside{each}"); open(f"aside{each}/f", "w").write("inside\\n")
    os.symlink(outside, f"folder{each}")
open("/tmp/ready", "w").close()
while True:
    count += 1
    for each in range(20):
        # A file for a moment, a link out for long: whoever looks twice sees both. The same with a folder.
        new, link, file = f".new{each}", f".link{each}", f"file{each}"
        open(new, "w").write(f"version {count}\\n")
        os.symlink(outside + "/secret", link)
        os.rename(new, file)
        if (count + each) % 10:
            os.rename(link, file)
        else:
            os.unlink(link)
        folder, aside = f"folder{each}", f"aside{each}"
        os.unlink(folder)
        os.rename(aside, folder); os.rename(folder, aside)
        os.symlink(outside if count % 3 else "real", folder)
    open("kept.txt", "w").write("short\\n" if count % 2 else "long " * 50000)
"""


async def test_files_replaced_by_links_while_they_are_brought_home(place: Reviewing) -> None:
    """A race of many rounds: whatever comes is something that was in the sandbox, and lies in the workspace."""
    host = place.workspace
    (host / "kept.txt").write_text("mine\n")
    place.own()
    (host.parent / "swap.py").write_text(_SWAP)
    await place.python(f"open('/tmp/swap.py', 'w').write({_SWAP!r})")
    await place.sh(
        f"setsid python3 /tmp/swap.py {place.outside} > /tmp/log 2>&1 & "
        "while ! test -e /tmp/ready; do read -t 0.05 x < /dev/zero || :; done"
    )
    came: dict[str, int] = {}
    rounds, until = 0, time.monotonic() + 8
    while time.monotonic() < until:
        applied, _ = await place.apply()
        listed = await place.changes()
        for path in applied:
            came[path] = came.get(path, 0) + 1
        for path, change in listed.items():
            assert SECRET not in "".join(hunk["new_text"] for hunk in change["hunks"]), path
        for path in list(listed)[rounds % 7 :: 7]:
            with suppress(Conflict):
                content = await place.call("changes.content", path=path, side="sandbox")
                assert content["text"] != SECRET, path
        rounds += 1
        for path, text in tree(host).items():
            assert SECRET not in text and str(place.outside) not in text, path
        for path in host.rglob("*"):
            assert not path.is_symlink() or os.readlink(path) == "real"
    assert came, "nothing ever came: the race was none"
    assert await place.sh("cat /tmp/log; pgrep -f swap.py | wc -l") != "0\n"
    assert not [name for name in os.listdir(host) if name.startswith(".continue-exec-")]


_TREE = """
import os
# Deeper than any path can name, and wider than any table of open files.
os.makedirs("wide"); os.makedirs("deep")
for each in range(3000):
    os.mkdir(f"wide/{each}")
home = os.getcwd()
os.chdir("deep")
for _ in range(1500):
    os.mkdir("d" * 40); os.chdir("d" * 40)
open("bottom", "w").write("bottom")
os.chdir(home)
os.truncate(os.open("sparse", os.O_CREAT | os.O_WRONLY), 1 << 40)
open("plain.txt", "w").write("plain")
if os.fork() == 0:
    os.setsid()
    for fd in range(3): os.close(fd)
    grows = os.open("grows", os.O_CREAT | os.O_WRONLY)
    for _ in range(100_000): os.write(grows, bytes(1 << 12))
    os._exit(0)
"""


async def test_a_tree_made_to_exhaust_whoever_reads_it(place: Reviewing) -> None:
    """Deep, wide, sparse and ever growing: in bounded time the rest is shown, and what was not is said."""
    started = time.monotonic()
    await place.python(_TREE)

    found = await asyncio.wait_for(place.listed(), 60)

    paths = {change["path"] for change in found["changes"]}
    assert "plain.txt" in paths and "wide/2999" in paths and "sparse" not in paths
    assert not [change for change in found["changes"] if change["kind"] == "deleted"]
    said = "\n".join(found["left_out"])
    assert "sparse (unreadable: larger than 4 GiB)" in said and "folders deep)" in said
    assert (await place.apply("plain.txt"))[0] == {"plain.txt"}
    assert time.monotonic() - started < 90


async def test_what_cannot_be_read_is_not_called_deleted(place: Reviewing) -> None:
    """Folders without permissions, and the workspace's own folder moved away."""
    host = place.workspace
    (host / "closed").mkdir()
    (host / "closed/f").write_text("mine\n")
    (host / "closed/g").write_text("mine\n")
    place.own()
    await place.sh("rm closed/g; chmod 000 closed")

    came, _ = await place.apply("closed/f", "closed/g")

    assert (host / "closed/f").read_text() == "mine\n"
    assert place.user is None or came == set()
    await place.sh("chmod 755 closed; mv $PWD /moved; ln -s / $PWD || :")
    found = await place.listed()
    assert not [change for change in found["changes"] if change["path"] == "main.py"], found
    await place.apply()
    assert (host / "main.py").exists() and (host / "closed/f").exists()


async def test_names_that_are_no_text_come_home_byte_for_byte(place: Reviewing) -> None:
    name = os.fsdecode(b"caf\xe9 \xff.txt")
    await place.python(f"open({os.fsencode(name)!r}, 'w').write('x'); open('other', 'w').write('y')")

    found = await place.changes()
    came, left = await place.apply(name)

    assert found.keys() == {name, "other"}
    assert (came, left) == ({name}, {})
    assert (os.fsencode(place.workspace) + b"/" + os.fsencode(name)) in [
        os.fsencode(path) for path in place.workspace.iterdir()
    ]
    result = await place.call("changes.content", path=name, side="host")
    assert result["text"] == "x"


async def test_owners_and_bits_at_home(place: Reviewing) -> None:
    """What comes home belongs to whom the workspace belongs to; a shared folder's bits stay."""
    host = place.workspace
    (host / "shared").mkdir()
    place.own()
    os.chmod(host / "shared", 0o2775)
    if place.user is None:
        os.chown(host / "shared", 12345, 23456)
        os.chown(host / "main.py", 12345, 23456)
    owner = (host / "main.py").stat().st_uid
    await place.sh("umask 022; mkdir shared/new; echo x > shared/new/f; echo 2 > main.py; chmod 1755 shared")

    await place.apply()

    assert (host / "main.py").read_text() == "2\n"
    assert (host / "main.py").stat().st_uid == owner
    assert (host / "shared/new/f").stat().st_uid == (host / "shared").stat().st_uid
    assert stat.S_IMODE((host / "shared").stat().st_mode) & 0o7000 == 0o2000
    assert (host / "shared/new").stat().st_gid == (host / "shared").stat().st_gid
    assert await place.changes() == {}
