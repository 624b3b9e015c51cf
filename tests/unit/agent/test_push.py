"""Records of a push, put together again as the agent does it."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from continue_exec.agent.push import chunks
from continue_exec.agent.streams import CHUNK
from continue_exec.protocol.agent import PushEntry, PushItem


def records(stream: bytes) -> list[tuple[dict[str, Any], bytes]]:
    found = []
    while stream:
        end = 4 + int.from_bytes(stream[:4], "big")
        header = json.loads(stream[4:end])
        size = header["size"] if header["kind"] == "file" else 0
        found.append((header, stream[end : end + size]))
        stream = stream[end + size :]
    return found


def file(path: str, data: bytes | Path | None, size: int) -> PushItem:
    return PushItem(PushEntry(path=path, kind="file", size=size), data)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.text(max_size=9), st.integers(0, 3 * CHUNK), st.integers(0, 3 * CHUNK), st.booleans()), max_size=6
    )
)
def test_a_stream_is_never_torn(files: list[tuple[str, int, int, bool]]) -> None:
    """Whatever a file's size is by now, its record has the size announced, and the rest stands where it should."""
    with tempfile.TemporaryDirectory() as folder:
        items, expected = [], []
        for number, (path, size, announced, on_disk) in enumerate(files):
            data = bytes([number + 1]) * size
            place = Path(folder) / str(number)
            place.write_bytes(data)
            items.append(file(path, place if on_disk else data, announced))
            expected.append((path, data[:announced].ljust(announced, b"\0")))
        changed: list[str] = []
        stream = b"".join(chunks(items, changed))
    assert [(header["path"], data) for header, data in records(stream)] == expected
    assert changed == [path for path, size, announced, _ in files if size != announced]


def test_other_kinds_have_no_bytes() -> None:
    items = [
        PushItem(PushEntry(path="d", kind="dir", mode=0o700)),
        PushItem(PushEntry(path="l", kind="symlink", target="../x", size=9)),
        PushItem(PushEntry(path="a\udcff", kind="delete")),
    ]
    found = records(b"".join(chunks(items, [])))
    assert [(header["kind"], header["path"]) for header, _ in found] == [
        ("dir", "d"),
        ("symlink", "l"),
        ("delete", "a\udcff"),
    ]
    assert found[1][0]["target"] == "../x"


def test_what_is_no_file_any_more_is_reported(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")  # opening it must not hang
    (tmp_path / "link").symlink_to("/etc/passwd")
    names = ["folder", "pipe", "link", "gone"]
    changed: list[str] = []
    found = records(b"".join(chunks([file(name, tmp_path / name, 3) for name in names], changed)))
    assert changed == names
    assert [data for _, data in found] == [bytes(3)] * 4


def test_small_files_share_a_chunk_and_large_ones_are_cut() -> None:
    small = list(chunks([file(str(n), b"x" * 10, 10) for n in range(1000)], []))
    assert len(small) <= 2
    large = list(chunks([file("x", bytes(10 * CHUNK), 10 * CHUNK)], []))
    assert b"".join(large)[-10 * CHUNK :] == bytes(10 * CHUNK)
