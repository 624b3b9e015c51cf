"""What comes out of a repository inside, and what a workspace's own repository names, never runs or writes on the host.

Each test makes the attack; where git has a switch that would let it through, it is set the attacker's way.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.engines import RealEngine
from tests.support.repositories import Project, commit, git, repository

pytestmark = pytest.mark.may_block("the tests run the host's git")

PROGRAMS = (
    "core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "core.askPass", "core.alternateRefsCommand",
    "filter.x.clean", "filter.x.smudge", "filter.x.process", "diff.external", "gpg.program", "credential.helper",
    "uploadpack.packObjectsHook", "sequence.editor", "core.gitProxy", "gc.recentObjectsHook", "alias.update-ref",
    "alias.for-each-ref", "remote.origin.uploadpack", "remote.origin.vcs", "submodule.x.update", "merge.x.driver",
)  # fmt: skip
HOOKS = (
    "applypatch-msg", "post-checkout", "post-commit", "post-index-change", "post-merge", "post-receive", "post-rewrite",
    "post-update", "pre-auto-gc", "pre-commit", "pre-merge-commit", "pre-push", "pre-receive", "prepare-commit-msg",
    "proc-receive", "push-to-checkout", "reference-transaction", "sendemail-validate", "update", "fsmonitor-watchman",
)  # fmt: skip


@pytest.fixture
async def project(engine: RealEngine, tmp_path: Path) -> AsyncIterator[Project]:
    folder = repository(tmp_path / "project", commits=2)
    async with engine.client() as client:
        yield Project(folder, client)


def state(folder: Path) -> dict[str, str]:
    """Every file below a folder, by hash."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


async def refused(project: Project, *words: str) -> None:
    """Nothing comes home, with these words, and the host's repository is as it was."""
    before, refs = state(project.folder / ".git"), project.git("for-each-ref")

    answer = await project.fetch()

    assert answer["refs"] == []
    assert answer["notes"] and any(word in note for word in words for note in answer["notes"]), answer
    assert project.git("for-each-ref") == refs
    assert state(project.folder / ".git") == before


async def test_hooks_and_settings_from_inside_do_not_run_on_the_host(project: Project, tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    script = f"#!/bin/sh\ntouch {proof}\nexit 0\n"
    await project.sh(f"mkdir -p .git/hooks /tmp/hooks; cat > /tmp/hook << 'END'\n{script}END\nchmod 755 /tmp/hook")
    await project.sh(f"for h in {' '.join(HOOKS)}; do cp /tmp/hook .git/hooks/$h; cp /tmp/hook /tmp/hooks/$h; done")
    # Here too, so that a path which is the same inside and outside would be found on the host.
    for name in HOOKS:
        (project.folder / name).write_text(script)
        (project.folder / name).chmod(0o755)
    made = await project.commit_inside()
    assert await project.sh(f"test -e {proof} && echo yes; rm -f {proof}") == "yes", "the hooks do run inside"
    for name in (*PROGRAMS, "core.hooksPath"):
        await project.sh(f"git config {name} {project.folder}/post-checkout || true")

    (ref,) = (await project.fetch())["refs"]
    project.commit("more", "more\n")
    await project.any("true")
    await project.fetch()

    assert ref["commit"] == made
    assert not proof.exists()
    project.git("merge", "-q", "-m", "merged", ref["host_name"])
    assert not proof.exists()
    settings = project.git("config", "--local", "--list")
    assert "hookspath" not in settings and "fsmonitor" not in settings


async def test_a_hostile_workspace_starts_nothing_when_it_is_brought_in(project: Project, tmp_path: Path) -> None:
    """The host's own `.git` may come from an archive: its settings, hooks and filters must not run by mirroring it."""
    proof = tmp_path / "ran"
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {proof}\ncat\n")
    evil.chmod(0o755)
    (project.folder / ".gitattributes").write_text("* filter=x diff=x merge=x\n")
    (project.folder / ".env").write_text("A=1\n")
    project.git("add", "-f", ".")
    project.git("commit", "-q", "-m", "with a secret, so that the index is written anew for the sandbox")
    for name in HOOKS:
        (project.folder / ".git/hooks").mkdir(exist_ok=True)
        (project.folder / ".git/hooks" / name).write_text(evil.read_text())
        (project.folder / ".git/hooks" / name).chmod(0o755)
    for name in PROGRAMS:
        project.git("config", name, str(evil))
    project.git("config", "core.hooksPath", ".git/hooks")
    project.git("config", "core.splitIndex", "true")
    project.git("config", "index.version", "4")
    # As young as the index, so that git would have to look into it; and changed.
    (project.folder / "main.py").write_text("print(7)\n")
    index = (project.folder / ".git/index").stat().st_mtime_ns
    os.utime(project.folder / "main.py", ns=(index, index))

    assert "main.py" in await project.sh("git status --porcelain=v1")
    await project.commit_inside()
    assert len((await project.fetch())["refs"]) == 1

    assert not proof.exists()


HOSTILE_NAMES = (
    "refs/heads/../../../../escaped", "refs/heads/x/../../../HEAD", "refs/heads/.hidden", "refs/heads/a.lock",
    "refs/heads/-rf", "refs/heads/HEAD", "refs/heads/tags/v1", "refs/heads/sp ace", "refs/heads/tab\tbed",
    "refs/heads/esc\x1b[2Jape", "refs/heads/\u202egnp.exe", "refs/heads/$(touch x)", "refs/heads/a;reboot",
    "refs/heads/at@{1}", "refs/heads/co:lon", "refs/heads/st*r", "refs/heads/" + "long" * 80, "refs/heads/\udcff\udcfe",
    "refs/heads/dot.", "refs/heads//double", "refs/heads/", "refs/heads", "HEAD", "refs/continue-exec/other/main",
)  # fmt: skip


async def test_hostile_names_of_refs_do_not_come_home(project: Project) -> None:
    made = await project.commit_inside()
    lines = "".join(f"{made} {name}\n" for name in (*HOSTILE_NAMES, "refs/heads/good"))
    text = lines.encode(errors="surrogateescape").hex()
    write = f"import sys; open('.git/packed-refs', 'ab').write(bytes.fromhex('{text}'))"
    await project.sh(f'python3 -c "{write}"')
    before = project.git("for-each-ref", "--format=%(refname)").splitlines()

    answer = await project.fetch()

    box = await project.sandbox()
    after = project.git("for-each-ref", "--format=%(refname)").splitlines()
    assert sorted(set(after) - set(before)) == [f"refs/continue-exec/{box}/good", f"refs/continue-exec/{box}/main"]
    assert len(answer["notes"]) >= 15
    assert all(note.isprintable() for note in answer["notes"])
    assert not list(project.folder.parent.rglob("escaped*"))


async def test_a_flood_of_refs_is_bounded(project: Project) -> None:
    made = await project.commit_inside()
    await project.sh(f"for n in $(seq 20000); do echo {made} refs/heads/n$n; done >> .git/packed-refs")

    answer = await project.fetch()

    assert len(answer["refs"]) == 1000
    assert len(answer["notes"]) <= 20 and "1000" in answer["notes"][0]


async def test_refs_that_lead_elsewhere_are_not_followed(project: Project, tmp_path: Path) -> None:
    """Links and symbolic refs inside are the sandbox's; on the host, nothing is read or written through one."""
    (tmp_path / "secret").write_text("0" * 40)
    made = await project.commit_inside()
    await project.sh(
        f"cd .git/refs/heads; ln -s {tmp_path}/secret link; ln -s / root; echo 'ref: ../../../../etc/passwd' > sym;"
        f" echo 'ref: refs/heads/main' > fine; mkfifo pipe; echo {'f' * 40} > missing; head -c 100000 /dev/zero > big"
    )
    await refused(project, "made no pack")

    await project.sh("rm .git/refs/heads/missing")
    answer = await project.fetch()

    assert [(ref["name"], ref["commit"]) for ref in answer["refs"]] == [("refs/heads/main", made)]


async def test_the_host_s_own_refs_are_never_set(project: Project) -> None:
    box_refs = "refs/continue-exec"
    before = project.git("for-each-ref", "--format=%(refname) %(objectname)")
    await project.sh("git commit -q --allow-empty -m 1; git branch -f side; git tag t")
    await project.sh(
        "for r in notes/x remotes/origin/main stash replace/$(git rev-parse HEAD~1); do"
        " git update-ref refs/$r HEAD; done"
    )
    await project.fetch()

    after = project.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    assert [line for line in after if not line.startswith(box_refs)] == before.splitlines()


MAKER = """
import os, subprocess, sys
def git(*words, data=b""):
    return subprocess.run(["git", *words], input=data, check=True, capture_output=True).stdout.strip().decode()
def made(kind, data):
    return git("hash-object", "-t", kind, "-w", "--literally", "--stdin", data=data)
def tree(*rows):
    return made("tree", b"".join(b"%s %s\\0" % (mode, name) + bytes.fromhex(oid) for mode, name, oid in rows))
def swapped():
    one, other = made("blob", b"one"), made("blob", b"other")
    paths = [f".git/objects/{oid[:2]}/{oid[2:]}" for oid in (one, other)]
    os.chmod(paths[1], 0o644)
    open(paths[1], "wb").write(open(paths[0], "rb").read())
    return other
FILE, FOLDER, LINK = b"100644", b"40000", b"120000"
blob = made("blob", b"x")
found = eval(sys.argv[1])
git("update-ref", "refs/heads/evil", git("commit-tree", "-p", "HEAD", "-m", "evil", found))
"""

MODULES = 'tree((FILE, b".gitmodules", made("blob", b"[submodule \\"%s\\"]\\npath = %s\\nurl = %s\\n")))'
OBJECTS = {
    "a tree with .git in it": ("hasDotgit", 'tree((FOLDER, b".git", tree((FILE, b"config", blob))))'),
    "a tree with .GIT in it": ("hasDotgit", 'tree((FOLDER, b".GIT", tree((FILE, b"config", blob))))'),
    "a name that HFS+ takes for .git": (
        "hasDotgit",
        'tree((FOLDER, ".g\\u200cit".encode(), tree((FILE, b"config", blob))))',
    ),
    "a name that NTFS takes for .git": ("hasDotgit", 'tree((FOLDER, b"git~1", tree((FILE, b"config", blob))))'),
    "a tree with .. in it": ("hasDotdot", 'tree((FILE, b"..", blob))'),
    "a name with a slash": ("fullPathname", 'tree((FILE, b"a/b", blob))'),
    "a name twice": ("duplicateEntries", 'tree((FILE, b"a", blob), (FILE, b"a", blob))'),
    "a submodule whose address is an option": ("gitmodulesUrl", MODULES % ("x", "x", "--upload-pack=touch")),
    "a submodule whose place is an option": ("gitmodulesPath", MODULES % ("x", "-x", "https://e.example/x")),
    "a submodule whose name leads out": ("gitmodulesName", MODULES % ("../../x", "x", "https://e.example/x")),
    "a .gitmodules that is a link": ("gitmodulesSymlink", 'tree((LINK, b".gitmodules", made("blob", b"/etc/passwd")))'),
    "a tree whose blob is missing": ("made no pack", 'tree((FILE, b"x", "a" * 40))'),
    "a blob that says it is another": ("did not receive expected object", 'tree((FILE, b"x", swapped()))'),
}


@pytest.mark.parametrize("what", OBJECTS)
async def test_hostile_objects_are_refused(project: Project, what: str) -> None:
    await project.commit_inside()
    word, expression = OBJECTS[what]
    await project.sh(f"cat > /tmp/make.py << 'END'\n{MAKER}END\npython3 /tmp/make.py '{expression}'")

    await refused(project, word)


async def test_a_broken_branch_is_no_commit(project: Project) -> None:
    await project.sh("git rev-parse HEAD^{tree} > .git/refs/heads/tree")
    await refused(project, "leads to no commit", "no commit")


GITS = {
    "garbage": "head -c 100000 /dev/urandom",
    "a pack's head and no more": "printf 'PACK\\0\\0\\0\\2\\0\\0\\0\\1'",
    "more objects than there may be": "printf 'PACK\\0\\0\\0\\2\\377\\377\\377\\377'",
    "a commit without its tree": "/usr/bin/realgit rev-parse HEAD | /usr/bin/realgit pack-objects --stdout -q",
    "too much": "cat /dev/zero",
    "nothing": "true",
    "a failure": "printf '\\033[2Jevil\\n' >&2; exit 1",
}


@pytest.mark.parametrize("what", GITS)
async def test_a_git_that_lies_is_not_believed(project: Project, what: str) -> None:
    await project.commit_inside()
    await project.sh("cp /usr/bin/git /usr/bin/realgit; cat > /usr/bin/git-new << 'END'\n#!/bin/bash\n"
                     f'case "$*" in *pack-objects*) {GITS[what]} ;; *) exec /usr/bin/realgit "$@" ;; esac\n'
                     "END\nchmod 755 /usr/bin/git-new; mv /usr/bin/git-new /usr/bin/git")  # fmt: skip

    await refused(project, "nothing came home")


async def test_the_host_s_objects_cannot_be_written_from_inside(project: Project) -> None:
    project.git("gc", "-q")
    commit(project.folder, "loose", "loose\n")
    for path in (project.folder / ".git/objects").rglob("*"):
        path.chmod(0o777)  # no permission protects them: only the mount does
    before = state(project.folder / ".git")

    await project.any(
        "cd $(tail -1 .git/objects/info/alternates); for f in pack/* ??/*; do : > $f; echo x >> $f; truncate -s 0 $f;"
        " dd if=/dev/zero of=$f count=1; rm -f $f; mv $f $f.x; done; mkdir zz; touch pack/pack-evil.pack; ln -sf / x;"
        " chmod -R 000 .; python3 -c \"import os, glob\nfor f in glob.glob('*/*'):\n"
        "    for flags in (os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_RDONLY | os.O_TRUNC):\n"
        '        try: os.open(f, flags)\n        except OSError: pass"'
    )
    await project.any("git prune --expire=now; git gc -q --prune=now; git repack -a -d -q; git prune-packed")

    assert state(project.folder / ".git") == before
    project.git("fsck", "--strict")
    assert await project.sh("git log --format=%s -1") == "a commit"


async def test_nothing_of_git_is_seen_but_objects(project: Project) -> None:
    project.git("config", "remote.origin.url", "https://x:hunter2@example.com/x")
    (project.folder / ".git/hooks/secret").parent.mkdir(exist_ok=True)
    (project.folder / ".git/hooks/secret").write_text("hunter2")
    (project.folder / ".git/info/alternates").write_text("hunter2")
    (project.folder / ".git/COMMIT_EDITMSG").write_text("hunter2")
    (project.folder / ".git/FETCH_HEAD").write_text("hunter2")
    # Links in what is shown, or read for it, are not followed on the host.
    (project.folder.parent / "secret").write_text("hunter2")
    (project.folder / ".git/info/exclude").unlink(missing_ok=True)
    (project.folder / ".git/info/exclude").symlink_to(project.folder.parent / "secret")
    (project.folder / ".git/objects/pack/pack-link.pack").symlink_to(project.folder.parent / "secret")

    code, said = await project.any(
        "cd $(tail -1 .git/objects/info/alternates); cat ../../config ../config ../../../.git/config"
        " pack/pack-link.pack;"
        f" cd {project.folder}; ls -A .git; grep -r hunter2 .git/*; ls -A /.continue-exec/host"
    )

    assert "hunter2" not in said and "hooks" not in said, said
    assert len(git(project.folder, "rev-parse", "HEAD")) == 40 and code == 0
