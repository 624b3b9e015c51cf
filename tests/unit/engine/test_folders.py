from __future__ import annotations

from pathlib import Path

from continue_exec.engine.folders import Folders


def test_everything_of_a_sandbox_has_a_place_of_its_own() -> None:
    folders = Folders(home=Path("/h"), runtime=Path("/r"), agent=Path("/a"))
    places = [folders.sandbox("sb_1"), folders.mirror_state("sb_1"), folders.sockets("sb_1"), folders.run("run_1")]
    assert len({*places, folders.state}) == 5
    assert folders.sockets("sb_1").is_relative_to("/r"), "a socket's path is short"
    assert folders.sandbox("sb_1") not in folders.mirror_state("sb_1").parents, "the driver may empty its folder"
