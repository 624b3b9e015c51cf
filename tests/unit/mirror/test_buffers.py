from __future__ import annotations

from pathlib import Path

import pytest

from continue_exec.errors import OutsideWorkspace
from continue_exec.mirror.buffers import Buffers


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "w").mkdir()
    return tmp_path / "w"


def texts(buffers: Buffers) -> dict[str, bytes]:
    return {path: data for path, (data, _) in buffers.current().items()}


def test_the_later_text_counts_until_it_is_cleared(root: Path) -> None:
    buffers = Buffers(str(root))
    assert buffers.set("one", {str(root / "a"): "1", "d/b": "b"}) == {"a", "d/b"}
    assert buffers.set("two", {"a": "2"}) == {"a"}
    assert texts(buffers) == {"a": b"2", "d/b": b"b"}
    buffers.set("one", {"a": "3"})
    assert texts(buffers)["a"] == b"3"
    assert buffers.set("one", {"a": None}) == {"a"}
    assert texts(buffers)["a"] == b"2"
    assert buffers.drop("one") == {"d/b"} and buffers.drop("one") == set()
    assert buffers.drop("two") == {"a"} and texts(buffers) == {}


def test_outside_and_through_links(root: Path) -> None:
    (root / "real").write_text("")
    (root / "link").symlink_to("real")
    (root / "out").symlink_to("/etc/hostname")
    (root.parent / "alias").symlink_to("w")
    buffers = Buffers(str(root))
    set_ = {"link": "text", "out": "never", str(root.parent / "alias" / "x"): "x"}
    assert buffers.set("one", set_) == {"link", "real", "out", "x"}
    assert texts(buffers) == {"real": b"text", "x": b"x"}
    for path in ("../other", "/etc/passwd", str(root)):
        with pytest.raises(OutsideWorkspace):
            buffers.set("one", {"good": "g", path: "bad"})
    assert "good" not in texts(buffers)


def test_a_file_that_became_a_link_can_be_cleared(root: Path) -> None:
    buffers = Buffers(str(root))
    buffers.set("one", {"f": "text"})
    (root / "real").write_text("")
    (root / "f").symlink_to("real")
    assert buffers.set("one", {"f": None}) == {"f", "real"}
    assert texts(buffers) == {}


def test_a_half_character_does_not_break_it(root: Path) -> None:
    buffers = Buffers(str(root))
    buffers.set("one", {"a": "x\ud800y é"})
    assert texts(buffers) == {"a": "x?y é".encode()}


def test_a_text_where_another_ones_folder_would_be(root: Path) -> None:
    buffers = Buffers(str(root))
    buffers.set("one", {"a/b": "below"})
    assert buffers.set("one", {"a": "above"}) == {"a", "a/b"}
    assert texts(buffers) == {"a": b"above"}
    assert buffers.set("one", {"a": None}) == {"a", "a/b"}
    assert texts(buffers) == {"a/b": b"below"}
