"""Git inside: history is there without a copy, `git status` is clean, commits come home. Real engine, real sandbox."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from continue_exec.client import Client
from continue_exec.errors import NotFound
from tests.support.engines import RealEngine
from tests.support.repositories import Project, commit, git, repository
from tests.support.users import OrdinaryUser

pytestmark = pytest.mark.may_block("the tests run the host's git")

CLEAN = "git status --porcelain=v1 --branch"


@pytest.fixture
async def project(engine: RealEngine, tmp_path: Path) -> AsyncIterator[Project]:
    """`main` with three commits."""
    folder = repository(tmp_path / "project", commits=3)
    async with engine.client() as client:
        yield Project(folder, client)


async def test_history_is_visible_and_status_is_clean(project: Project) -> None:
    project.git("tag", "-m", "a tag", "v1")
    project.git("update-ref", "refs/remotes/origin/main", "HEAD~1")
    project.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")

    assert await project.sh("git log --format=%s") == "commit 2\ncommit 1\ncommit 0"
    assert await project.sh(CLEAN) == "## main"
    assert await project.sh("git show HEAD~1:main.py; git describe") == "print(1)\nv1"
    assert await project.sh("git for-each-ref --format='%(objectname) %(refname)'") == project.git(
        "for-each-ref", "--format=%(objectname) %(refname)"
    )
    assert await project.sh("git fsck --no-dangling 2>&1") == ""
    assert await project.notes() == []


async def test_objects_are_not_copied(project: Project) -> None:
    (project.folder / "big").write_bytes(os.urandom(8 << 20))
    project.git("add", ".")
    project.git("commit", "-q", "-m", "big")
    (project.folder / "big").unlink()
    project.git("commit", "-q", "-a", "-m", "gone again")

    assert await project.sh("git cat-file -s HEAD~1:big") == str(8 << 20)
    home = Path(os.environ["CONTINUE_EXEC_HOME"])
    box = home / "sandboxes" / await project.sandbox()
    sizes = [path.lstat().st_size for path in box.rglob("*") if str(project.folder) in str(path)]
    assert sizes and sum(sizes) < 1 << 20
    assert int(await project.sh("du -s --block-size=1 .git | cut -f1")) < 1 << 18


async def test_status_after_the_first_mirror_reads_no_file(project: Project) -> None:
    """Times in the index are as true inside as outside: what is read then are only folders and the files' status."""
    for number in range(300):
        (project.folder / f"f{number}").write_text(f"{number}\n")
        os.utime(project.folder / f"f{number}", (1_600_000_000, 1_600_000_000))
    project.git("add", ".")
    project.git("commit", "-q", "-m", "many")
    # git counts by itself what it had to read because its status did not tell.
    script = "GIT_TRACE2_PERF=/tmp/perf git status --porcelain=v1 >&2; grep -o 'refresh/sum_[a-z]*:[0-9]*' /tmp/perf"

    assert "refresh/sum_scan:0" in (await project.sh(script)).split()


async def test_commits_come_home_and_merge(project: Project) -> None:
    made = await project.commit_inside()
    await project.sh("git branch side HEAD~1; git tag -a -m 'inside tag' t1; git tag light")

    answer = await project.fetch()

    box = await project.sandbox()
    names = {ref["name"]: ref["host_name"] for ref in answer["refs"]}
    assert names == {
        "refs/heads/main": f"refs/continue-exec/{box}/main",
        "refs/heads/side": f"refs/continue-exec/{box}/side",
        "refs/tags/t1": f"refs/continue-exec/{box}/tags/t1",
        "refs/tags/light": f"refs/continue-exec/{box}/tags/light",
    }
    assert answer["notes"] == []
    main = answer["refs"][0]
    assert (main["commit"], main["old_commit"], main["subject"]) == (made, "", "made inside")
    assert project.git("rev-parse", f"refs/continue-exec/{box}/main") == made
    assert not (project.folder / "inside").exists(), "nothing of the host's own moved"
    project.git("merge", "-q", names["refs/heads/main"])
    assert (project.folder / "inside").read_text() == "inside\n"
    project.git("fsck", "--strict")
    # Now both have the same again.
    assert await project.sh(CLEAN) == "## main"
    assert await project.notes() == []
    assert [ref["name"] for ref in (await project.fetch())["refs"]] == [
        "refs/heads/side", "refs/tags/light", "refs/tags/t1"
    ]  # fmt: skip


async def test_the_host_s_real_merge_is_followed(project: Project) -> None:
    await project.commit_inside()
    await project.fetch()
    project.commit("host", "host\n", "made outside")
    assert await project.sh("git log -1 --format=%s main; git log -1 --format=%s host/main") == (
        "made inside\nmade outside"
    )
    assert "both sides moved main" in (await project.notes())[0]

    project.git("merge", "-q", "-m", "merged", f"refs/continue-exec/{await project.sandbox()}/main")

    assert await project.sh("git log -1 --format=%s; git branch -r") == "merged"
    assert await project.sh(CLEAN) == "## main"
    assert await project.notes() == []


async def test_many_commits_come_home_as_one_pack(project: Project) -> None:
    script = "for n in $(seq 40); do echo $n > n; git add n; git commit -q -m $n; done; git rev-parse HEAD"
    made = await project.sh(script)
    before = len(list((project.folder / ".git/objects/pack").glob("*.pack")))

    await project.fetch()

    assert project.git("rev-parse", f"refs/continue-exec/{await project.sandbox()}/main") == made
    assert len(list((project.folder / ".git/objects/pack").glob("*.pack"))) == before + 1
    assert project.git("rev-list", "--count", f"main..{made}") == "40"


async def test_an_amended_commit_replaces_and_is_in_the_reflog(project: Project) -> None:
    first = await project.commit_inside()
    await project.fetch()
    second = await project.sh("git commit -q --amend -m amended; git rev-parse HEAD")

    (ref,) = (await project.fetch())["refs"]

    assert (ref["old_commit"], ref["commit"], ref["subject"]) == (first, second, "amended")
    assert project.git("rev-parse", f"{ref['host_name']}@{{1}}") == first


async def test_what_the_host_commits_and_switches_shows_inside(project: Project) -> None:
    await project.sh("true")
    project.commit("later", "later\n", "later")
    assert await project.sh(f"git log -1 --format=%s; {CLEAN}") == "later\n## main"

    project.git("switch", "-q", "-c", "feature")
    for number in range(30):
        (project.folder / f"f{number}").write_text("x")
    project.commit("g", "g\n", "on feature")
    assert await project.sh(f"{CLEAN}; git log -1 --format=%s; ls | wc -l") == "## feature\non feature\n33"

    project.git("switch", "-q", "--detach", "main~1")
    assert await project.sh(f"{CLEAN}; ls") == "## HEAD (no branch)\nmain.py"
    project.git("switch", "-q", "main")
    (project.folder / "staged").write_text("staged")
    project.git("add", "staged")
    project.git("branch", "-D", "feature")
    assert await project.sh(f"{CLEAN}; git branch") == "## main\nA  staged\n* main"
    assert await project.notes() == []


async def test_the_sandbox_goes_to_another_branch_with_the_host_and_keeps_its_commits(project: Project) -> None:
    made = await project.commit_inside()
    project.git("switch", "-q", "-c", "feature")
    project.commit("h", "h\n", "on feature")

    assert await project.sh(f"{CLEAN}; git rev-parse main") == f"## feature\n?? inside\n{made}"
    assert await project.notes() == []


async def test_what_is_staged_inside_is_not_overwritten(project: Project) -> None:
    await project.sh("echo staged > s; git add s")
    project.commit("later", "later\n", "later")

    assert await project.sh("git diff --cached --name-only; git log -1 --format=%s") == "s\ncommit 2"
    assert await project.sh("git log -1 --format=%s host/main") == "later"
    assert "both sides moved" in (await project.notes())[0]
    await project.sh("git commit -q -m staged")
    project.git("merge", "-q", "-m", "both", (await project.fetch())["refs"][0]["host_name"])
    assert await project.sh(f"{CLEAN}; git log --format=%s -1; ls") == "## main\nboth\nlater\nmain.py\ns"
    assert await project.notes() == []


async def test_a_detached_head_comes_home(project: Project) -> None:
    made = await project.sh("git checkout -q --detach; git commit -q --allow-empty -m alone; git rev-parse HEAD")

    (ref,) = (await project.fetch())["refs"]

    assert (ref["name"], ref["commit"]) == ("HEAD", made)
    assert project.git("rev-parse", f"refs/continue-exec/{await project.sandbox()}/HEAD") == made


async def test_the_same_after_the_sandbox_and_the_engine_were_restarted(project: Project, engine: RealEngine) -> None:
    made = await project.commit_inside()
    await project.client.sandbox_stop(workspace={"path": str(project.folder)})
    project.git("switch", "-q", "-c", "other")
    project.commit("o", "o\n", "other")
    assert await project.sh(f"git rev-parse main; {CLEAN}; git log -1 --format=%s") == (
        f"{made}\n## other\n?? inside\nother"
    )
    assert engine.cli("engine", "restart", "--force").returncode == 0
    project.commit("p", "p\n", "after the restart")
    assert await project.sh(f"git log -1 --format=%s; {CLEAN}") == "after the restart\n## other\n?? inside"
    assert (await project.fetch())["refs"][0]["commit"] == made


async def test_lost_memory_loses_nothing(project: Project) -> None:
    made = await project.commit_inside()
    await project.client.sandbox_stop(workspace={"path": str(project.folder)})
    (Path(os.environ["CONTINUE_EXEC_HOME"]) / "mirror" / f"{await project.sandbox()}.git").write_text("{")
    project.commit("h", "h\n", "on the host")

    assert await project.sh("git rev-parse main; git log -1 --format=%s host/main") == f"{made}\non the host"
    assert (await project.fetch())["refs"][0]["commit"] == made


async def test_what_the_host_repacks_is_there_all_the_same(project: Project) -> None:
    await project.sh("git log -p > /dev/null; git branch topic HEAD~1")
    project.git("gc", "-q", "--prune=now")
    project.git("repack", "-q", "-a", "-d", "-F")

    assert await project.sh(f"git log -p --format=%s | grep -c commit; git fsck --no-dangling; {CLEAN}") == "3\n## main"
    made = await project.sh("git switch -q topic; git commit -q --allow-empty -m more; git rev-parse HEAD")
    assert (await project.fetch())["refs"][0]["commit"] == made


async def test_a_linked_work_tree(engine: RealEngine, tmp_path: Path) -> None:
    top = repository(tmp_path / "top")
    git(top, "worktree", "add", "-q", "-b", "linked", str(tmp_path / "tree"))
    async with engine.client() as client:
        project = Project(tmp_path / "tree", client)

        assert await project.sh(f"{CLEAN}; git log --format=%s; git branch") == "## linked\ncommit 0\n* linked\n  main"
        made = await project.commit_inside()
        (ref,) = (await project.fetch())["refs"]

        assert git(top, "rev-parse", ref["host_name"]) == made
        project.git("merge", "-q", ref["host_name"])
        assert git(top, "rev-parse", "linked") == made
        assert await project.sh(CLEAN) == "## linked"


async def test_a_submodule_and_a_repository_in_the_repository(project: Project, tmp_path: Path) -> None:
    library = repository(tmp_path / "library", commits=2)
    project.git("submodule", "--quiet", "add", str(library), "libs/one")
    project.git("commit", "-q", "-m", "with a submodule")
    (project.folder / ".git/info/exclude").write_text("/libs/own\n")
    repository(project.folder / "libs/own")
    (project.folder / ".git/info/exclude").write_text("")

    assert await project.sh(f"{CLEAN}; git submodule status") == (
        f"## main\n?? libs/own/\n {git(library, 'rev-parse', 'HEAD')} libs/one (heads/main)"
    )
    one, own = project.folder / "libs/one", project.folder / "libs/own"
    assert await project.sh("git log --format=%s", cwd=one) == "commit 1\ncommit 0"
    # Not known before the start, so its objects were copied; from the next start on they are shown.
    assert await project.sh("git log --format=%s; grep -v ^# .git/objects/info/alternates || true", cwd=own) == (
        "commit 0"
    )
    made = await project.sh(f"cd {one}; echo 1 > new; git add new; git commit -q -m in; git rev-parse HEAD")
    theirs = await project.sh(f"cd {own}; echo 1 > new; git add new; git commit -q -m in; git rev-parse HEAD")

    refs = {ref["repository"]: ref for ref in (await project.fetch())["refs"]}

    assert (refs["libs/one"]["commit"], refs["libs/own"]["commit"]) == (made, theirs)
    assert git(one, "rev-parse", refs["libs/one"]["host_name"]) == made
    assert git(own, "rev-parse", refs["libs/own"]["host_name"]) == theirs
    await project.client.sandbox_stop(workspace={"path": str(project.folder)})
    shown = await project.sh("git fsck; grep -v ^# .git/objects/info/alternates", cwd=own)
    assert re.fullmatch(r"/\.continue-exec/host/[0-9a-f]{12}", shown)


async def test_a_repository_that_appears_later(engine: RealEngine, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "a").write_text("a")
    async with engine.client() as client:
        project = Project(folder, client)
        code, _ = await project.any("git status")
        assert code == 128 and await project.notes() == []
        assert (await project.fetch()) == {"refs": [], "notes": []}

        repository(folder, commits=2)
        assert await project.sh(f"{CLEAN}; git log --format=%s; git fsck --no-dangling 2>&1") == (
            "## main\ncommit 1\ncommit 0"
        )
        project.commit("b", "b\n", "more objects")
        made = await project.commit_inside()
        assert (await project.fetch())["refs"][0]["commit"] == made
        assert await project.sh("git log --format=%s") == "made inside\nmore objects\ncommit 1\ncommit 0"


async def test_pointers_of_lfs_and_secrets_leave_status_clean(project: Project) -> None:
    (project.folder / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    (project.folder / "model.bin").write_text(pointer)
    (project.folder / ".env").write_text("TOKEN=secret\n")
    project.git("add", "-f", ".")
    project.git("commit", "-q", "-m", "pointers, and a secret")
    project.git("config", "filter.lfs.clean", "false")

    assert await project.sh(f"{CLEAN}; cat model.bin; ls .env 2>/dev/null || true") == f"## main\n{pointer}".strip()
    # A secret that is tracked and stays out is not deleted by a commit of everything.
    await project.sh("echo 1 > new; git add -A; git commit -q -a -m all")
    (ref,) = (await project.fetch())["refs"]
    assert project.git("diff", "--name-status", "main", ref["host_name"]) == "A\tnew"


async def test_a_shallow_clone(engine: RealEngine, tmp_path: Path) -> None:
    origin = repository(tmp_path / "origin", commits=5)
    git(tmp_path, "clone", "-q", "--depth", "2", f"file://{origin}", "clone")
    async with engine.client() as client:
        project = Project(tmp_path / "clone", client)
        assert await project.sh(f"git log --format=%s; {CLEAN}") == "commit 4\ncommit 3\n## main...origin/main"
        made = await project.commit_inside()
        assert (await project.fetch())["refs"][0]["commit"] == made


async def test_only_what_the_workspace_proves_to_be_its_own_is_shown(engine: RealEngine, tmp_path: Path) -> None:
    private = repository(tmp_path / "private")
    commit(private, "secret", "hunter2\n")
    for number, make in enumerate(
        (
            lambda folder: (folder / ".git").write_text(f"gitdir: {private}/.git"),
            lambda folder: (folder / ".git").symlink_to(private / ".git"),
            lambda folder: git(tmp_path, "clone", "-q", "--shared", str(private), str(folder)),
        )
    ):
        folder = tmp_path / f"hostile{number}"
        folder.mkdir()
        make(folder)
        async with engine.client() as client:
            project = Project(folder, client)
            _, said = await project.any("git log; ls -A /.continue-exec/host")
            assert said.startswith("fatal: not a git repository") and said.count("\n") == 1, said
            notes = await project.notes()
            assert len(notes) == 1 and "git_folders" in notes[0] and str(private) in notes[0], notes


async def test_what_is_no_credential_goes_inside(project: Project) -> None:
    project.git("remote", "add", "origin", "https://user:hunter2@example.com/x.git?private_token=hunter2")
    project.git("config", "http.extraHeader", "Authorization: hunter2")
    project.git("config", "credential.helper", "!echo hunter2")
    project.person.clear()
    project.git("config", "user.name", "The Host's User")
    project.git("config", "user.email", "user@example.com")

    _, said = await project.any("grep -rs hunter2 .git ~/.gitconfig; git remote -v; git config user.name")
    assert "hunter2" not in said and "https://example.com/x.git" in said
    await project.commit_inside()
    assert await project.sh("git log -1 --format='%an %ae'") == "The Host's User user@example.com"


async def test_the_command_line(project: Project, engine: RealEngine) -> None:
    done = engine.cli("fetch", cwd=project.folder)
    assert done.returncode == 125 and "no sandbox" in done.stderr
    await project.commit_inside()
    box = await project.sandbox()

    done = engine.cli("fetch", cwd=project.folder)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert re.fullmatch(rf"refs/continue-exec/{box}/main  [0-9a-f]{{10}} \(new\)  made inside", lines[0])
    assert lines[2] == f"To look at it:  git log -p HEAD..refs/continue-exec/{box}/main"
    assert lines[3] == f"To take it:     git merge refs/continue-exec/{box}/main"
    assert "as before" in engine.cli("fetch", cwd=project.folder).stdout
    with pytest.raises(NotFound):
        await project.client.call("git.fetch", {"path": "/tmp/nothing/there"})


def test_as_an_ordinary_user(ordinary_user: OrdinaryUser) -> None:
    """History, clean status, a commit that comes home and merges."""
    user = ordinary_user
    folder = Path(user.run(["mktemp", "-d"]).stdout.strip()) / "project"

    def do(*words: str) -> str:
        done = user.run(["env", "-C", str(folder), *words])
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout.strip()

    assert user.run(["mkdir", "-p", str(folder)]).returncode == 0
    try:
        for words in ("init -q -b main", "config user.name Me", "config user.email me@example.com"):
            do("git", *words.split())
        do("sh", "-c", "echo 1 > a; git add a; git commit -q -m first")
        inside = (user.cli, "run", "--", "sh", "-ec")
        assert do(*inside, "git log --format=%s; git status --porcelain=v1 --branch") == "first\n## main"
        do(*inside, "echo 2 > b; git add b; git commit -q -m second; ! touch $(tail -1 .git/objects/info/alternates)/x")
        name = do(user.cli, "fetch").split()[0]
        do("git", "merge", "-q", name)
        assert do("git", "log", "--format=%s %an") == "second Me\nfirst Me"
        assert do(*inside, "git status --porcelain=v1 --branch") == "## main"
    finally:
        user.run([user.cli, "rm", "--all", "--force"])
        user.run([user.cli, "engine", "stop", "--force"])
        shutil.rmtree(folder.parent)


@contextlib.asynccontextmanager
async def engine_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **settings: str) -> AsyncIterator[Client]:
    """An engine of its own, with other settings."""
    for name in ("HOME", "RUNTIME_DIR"):
        monkeypatch.setenv(f"CONTINUE_EXEC_{name}", str(tmp_path / name))
    for name, value in settings.items():
        monkeypatch.setenv(f"CONTINUE_EXEC_{name.upper()}", value)
    async with Client() as client:
        try:
            yield client
        finally:
            for sandbox in (await client.sandbox_list()).sandboxes:
                await client.sandbox_remove(sandbox_id=sandbox.id)
            await client.engine_stop(force=True)


async def test_objects_that_are_borrowed_are_shown_if_the_user_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = repository(tmp_path / "origin", commits=3)
    git(tmp_path, "clone", "-q", "--shared", str(origin), "clone")
    async with engine_with(monkeypatch, tmp_path, git_folders=json.dumps([str(origin)])) as client:
        project = Project(tmp_path / "clone", client)
        assert await project.sh(f"git log --format=%s; {CLEAN}") == (
            "commit 2\ncommit 1\ncommit 0\n## main...origin/main"
        )
        made = await project.commit_inside()
        assert (await project.fetch())["refs"][0]["commit"] == made


async def test_git_can_be_kept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = repository(tmp_path / "project")
    async with engine_with(monkeypatch, tmp_path, git="none") as client:
        project = Project(folder, client)
        _, said = await project.any("ls -A . /.continue-exec/host; git log")
        assert said.startswith(".:\nmain.py\n\n/.continue-exec/host:\nfatal: not a git repository")
        with pytest.raises(Exception, match="not inside"):
            await project.fetch()
