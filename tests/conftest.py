"""What holds for every test, and the fixtures that every suite shares.

    workspace        a Git work tree with two files, one commit
    engine           the real engine, started once per run of the tests; its sandboxes go when the run ends
    ordinary_user    a user without rights, with a Python and a `continue-exec` of its own

For every test: state lives in folders of this run, never in the user's; a test whose event loop was blocked for
longer than loopwatch.LIMIT_SECONDS fails (`@pytest.mark.may_block("why")` where a test itself must block); the run
fails if a process or a mount of it is left at its end.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import engines, loopwatch, machine, users
from tests.support.homes import Home, clean_environ

HOME = pytest.StashKey[Home]()
WATCHED = pytest.StashKey[list[Path]]()

GIT_ENV = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "A Tester",
    "GIT_AUTHOR_EMAIL": "tester@example.com",
    "GIT_COMMITTER_NAME": "A Tester",
    "GIT_COMMITTER_EMAIL": "tester@example.com",
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "may_block(reason): the test blocks its own event loop, and may")
    for name in set(os.environ) - set(clean_environ()):
        del os.environ[name]
    home = Home.make()
    os.environ.update(home.variables)
    config.stash[HOME] = home
    config.stash[WATCHED] = [home.folder]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Nothing of the run may be left: not a process, not a mount."""
    left = machine.settle(session.config.stash[WATCHED])
    if left:
        machine.remove(left)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.section("left behind", red=True)
            for one in left:
                reporter.line(one.what, red=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    # After an interruption pytest may not have come as far as the check above: still, nothing stays.
    machine.remove(machine.left_behind(config.stash.get(WATCHED, [])))
    if (home := config.stash.get(HOME, None)) is not None:
        home.remove()


@pytest.fixture(autouse=True)
def unblocked_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test in which one step of an event loop took too long."""
    if request.node.get_closest_marker("may_block"):
        yield
        return
    with loopwatch.watch() as watch:
        yield
    assert not watch.blocked, "the event loop was blocked: " + "; ".join(watch.blocked)


@pytest.fixture(scope="session", autouse=True)
def run_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this run's own state; processes and mounts of tmp_path count as the run's, too."""
    request.config.stash[WATCHED].append(tmp_path_factory.getbasetemp())
    return request.config.stash[HOME].folder


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A Git work tree with `main.py` and `.gitignore`, one commit."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "main.py").write_text('print("hello from main")\n')
    (folder / ".gitignore").write_text("__pycache__/\n")
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "start"]):
        subprocess.run(["git", *words], cwd=folder, check=True, timeout=30, env={**os.environ, **GIT_ENV})
    return folder


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Iterator[engines.RealEngine]:
    """The real engine, with the real driver. Ended for certain: what its own end leaves fails the run."""
    home = request.config.stash[HOME]
    real = engines.start(home)
    yield real
    engines.stop()


@pytest.fixture(autouse=True)
def no_sandbox_stays(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test's sandboxes go with it: a hundred, adopted anew by every engine that a test kills, would keep the
    machine busy with nothing else."""
    real = request.getfixturevalue("engine") if "engine" in request.fixturenames else None
    yield
    if isinstance(real, engines.RealEngine):
        real.cli("rm", "--all", "--force", timeout=120)


@pytest.fixture(scope="session")
def ordinary_user(request: pytest.FixtureRequest) -> Iterator[users.OrdinaryUser]:
    """A user without rights. As root an account is made, and removed at the end; else it is whoever runs the tests."""
    user = users.make()
    request.config.stash[WATCHED].append(user.folder)
    yield user
    # Before its account goes: nothing may belong to a number that the next user gets.
    left = machine.settle([user.folder])
    machine.remove(left)
    users.remove(user)
    assert not left, "left behind by the ordinary user: " + "; ".join(one.what for one in left)
