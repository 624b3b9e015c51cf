from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from continue_exec.errors import CommandNotFound

if TYPE_CHECKING:
    from .conftest import World


async def test_a_command_answers(world: World, tmp_path: Path) -> None:
    live = await world.ensure(tmp_path)

    said = await live.command(("sh", "-c", "cat; echo words >&2; echo more >&2; exit 3"), "/", input=b"in\0put")

    assert (said.code, said.out, said.err, said.cut) == (3, b"in\0put", "words", False)
    assert (await live.command(("cat",), "/")).out == b"", "without input it reads nothing"
    assert not live.runs


async def test_output_goes_into_a_file(world: World, tmp_path: Path) -> None:
    live, into = await world.ensure(tmp_path), io.BytesIO()

    said = await live.command(("head", "-c", "3000000", "/dev/zero"), "/", into=into, limit=3_000_000)

    assert (said.code, said.out, len(into.getvalue())) == (0, b"", 3_000_000)


async def test_one_that_says_too_much_or_takes_too_long_is_ended(world: World, tmp_path: Path) -> None:
    live = await world.ensure(tmp_path)

    much = await live.command(("cat", "/dev/zero"), "/", limit=1000)
    long = await live.command(("sleep", "1000"), "/", timeout_s=0.1)
    deaf = await live.command(("sleep", "1000"), "/", input=bytes(5 << 20), timeout_s=0.1)

    assert [said.cut for said in (much, long, deaf)] == [True, True, True]
    assert len(much.out) <= 1000
    assert [said.code for said in (much, long, deaf)] == [137, 137, 137]
    assert (await live.command(("echo", "well"), "/")).out == b"well\n"


async def test_a_program_that_is_not_there(world: World, tmp_path: Path) -> None:
    live = await world.ensure(tmp_path)

    with pytest.raises(CommandNotFound):
        await live.command(("no-such-program",), "/")
