from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.command_line import cli
from tests.support.local_engine import LocalEngine


def ref(name: str, home: str, old: str = "", **more: Any) -> dict[str, Any]:
    base = {"name": name, "host_name": f"refs/continue-exec/sb_1/{home}", "commit": "c" * 40, "old_commit": old}
    return {**base, "subject": "Speed up", "repository": "", **more}


async def test_fetch(engine: LocalEngine, tmp_path: Path) -> None:
    refs = [ref("refs/heads/main", "main"), ref("refs/heads/x", "x", "a" * 40), ref("refs/tags/t", "tags/t", "c" * 40)]
    engine.answers["git.fetch"] = {"refs": refs, "notes": []}

    done = await cli("fetch", cwd=tmp_path)

    assert await engine.called("git.fetch") == {"path": str(tmp_path)}
    assert (done.code, done.words) == (0, "")
    assert done.text == (
        "refs/continue-exec/sb_1/main  cccccccccc (new)  Speed up\n"
        "refs/continue-exec/sb_1/x  cccccccccc (was aaaaaaaaaa)  Speed up\n"
        "refs/continue-exec/sb_1/tags/t  cccccccccc (as before)  Speed up\n"
        "\n"
        "To look at it:  git log -p HEAD..refs/continue-exec/sb_1/main\n"
        "To take it:     git merge refs/continue-exec/sb_1/main\n"
    )
    assert json.loads((await cli("fetch", "--json")).out)["refs"] == refs


async def test_fetch_of_nothing_and_of_what_was_refused(engine: LocalEngine) -> None:
    engine.answers["git.fetch"] = {"refs": [], "notes": []}
    done = await cli("fetch")
    assert (done.code, done.text) == (0, "Nothing was committed in the sandbox.\n")

    engine.answers["git.fetch"] = {"refs": [], "notes": ["The workspace: nothing came home: it has .git in it"]}
    done = await cli("fetch")
    assert (done.code, done.text) == (1, "")
    assert done.words == "continue-exec: The workspace: nothing came home: it has .git in it\n"


async def test_fetch_from_a_submodule_names_its_folder(engine: LocalEngine) -> None:
    engine.answers["git.fetch"] = {"refs": [ref("refs/heads/main", "main", repository="libs/a b")], "notes": []}

    done = await cli("fetch")

    assert done.text.startswith("libs/a b: refs/continue-exec/sb_1/main")
    assert "git -C 'libs/a b' merge refs/continue-exec/sb_1/main\n" in done.text
