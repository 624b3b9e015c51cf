from __future__ import annotations

import asyncio
from typing import Any

from continue_exec.doors.lsp.follow import JOIN_SECONDS, Followers
from continue_exec.doors.lsp.joiner import JOIN_BYTES, PRIME_EVENTS
from continue_exec.errors import EngineUnavailable
from tests.support.fake_client import FakeClient, FakeStream, exited, out


class Taker:
    """Takes only while it is allowed to."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.allowed = asyncio.Event()
        self.allowed.set()
        self.arrived = asyncio.Condition()
        self.gone = False

    async def take(self, params: dict[str, Any]) -> None:
        await self.allowed.wait()
        if self.gone:
            raise ConnectionResetError
        self.taken.append(params)
        async with self.arrived:
            self.arrived.notify_all()

    async def until(self, count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(10), self.arrived:
            await self.arrived.wait_for(lambda: len(self.taken) >= count)
        return self.taken

    @property
    def text(self) -> str:
        return "".join(one["event"].get("text", "") for one in self.taken)


async def test_the_first_piece_goes_at_once_and_the_next_are_joined() -> None:
    followers, stream, taker = Followers(FakeClient()), FakeStream(), Taker()  # type: ignore[arg-type]
    followers.adopt(stream, taker)  # type: ignore[arg-type]
    began = asyncio.get_running_loop().time()
    stream.put(out(1, b"a"))
    await taker.until(1)
    stream.put(*(out(seq, b"b") for seq in range(2, 20)), exited(20))
    taken = await taker.until(3)
    assert [one["event"]["seq"] for one in taken] == [1, 19, 20]
    assert asyncio.get_running_loop().time() - began < 5
    await followers.close()


async def test_output_is_not_held_longer_than_said_without_more_to_come() -> None:
    followers, stream, taker = Followers(FakeClient()), FakeStream(), Taker()  # type: ignore[arg-type]
    followers.adopt(stream, taker)  # type: ignore[arg-type]
    stream.put(out(1, b"a"))
    await taker.until(1)
    stream.put(out(2, b"b"))
    async with asyncio.timeout(JOIN_SECONDS + 5):
        assert (await taker.until(2))[1]["event"]["text"] == "b"
    await followers.close()


async def test_a_slow_taker_stops_the_reading() -> None:
    followers, stream, taker = Followers(FakeClient()), FakeStream(), Taker()  # type: ignore[arg-type]
    taker.allowed.clear()
    followers.adopt(stream, taker)  # type: ignore[arg-type]
    for seq in range(1, 101):
        stream.put(out(seq, b"x" * (JOIN_BYTES // 2)))
    stream.put(exited(101))
    for _ in range(200):
        await asyncio.sleep(0)
    assert stream.read <= 4, "the rest waits in the engine"
    taker.allowed.set()
    async with asyncio.timeout(10):
        while taker.taken == [] or taker.taken[-1]["event"]["type"] != "exited":
            await taker.until(len(taker.taken) + 1)
    assert len(taker.text) == 100 * (JOIN_BYTES // 2)
    await followers.close()


async def test_nothing_is_handed_out_before_it_is_time() -> None:
    followers, stream, taker, ready = Followers(FakeClient()), FakeStream(), Taker(), asyncio.Event()  # type: ignore[arg-type]
    followers.adopt(stream, taker, ready.wait)  # type: ignore[arg-type]
    stream.put(out(1, b"a"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert taker.taken == []
    ready.set()
    await taker.until(1)
    await followers.close()


async def test_attach_reads_a_little_before_and_hands_out_only_what_follows() -> None:
    client, taker = FakeClient(), Taker()
    stream = FakeStream()
    client.streams.append(stream)
    followers = Followers(client)  # type: ignore[arg-type]
    await followers.follow("run_1", 20, taker)
    assert client.asked("run.follow") == [{"run_id": "run_1", "after": 20 - PRIME_EVENTS}]
    smile = "😀".encode()
    stream.put(out(20, smile[:1]), out(21, smile[1:]), exited(22))
    taken = await taker.until(2)
    assert [(one["firstSeq"], one["event"].get("text")) for one in taken] == [(21, "😀"), (22, None)]
    await followers.close()


async def test_following_again_replaces_and_detaching_ends() -> None:
    followers, first, second, taker = Followers(FakeClient()), FakeStream(), FakeStream(), Taker()  # type: ignore[arg-type]
    followers.adopt(first, taker)  # type: ignore[arg-type]
    followers.adopt(second, taker)  # type: ignore[arg-type]
    second.put(out(1, b"only once"))
    await taker.until(1)
    assert first.closed and followers.run_ids == ("run_1",)
    followers.detach("run_1")
    followers.detach("run_1")
    await followers.close()
    assert second.closed and followers.run_ids == ()


async def test_when_the_engine_is_gone_the_editor_is_told() -> None:
    followers, stream, taker = Followers(FakeClient()), FakeStream(), Taker()  # type: ignore[arg-type]
    followers.adopt(stream, taker)  # type: ignore[arg-type]
    stream.put(out(1, b"a"))
    stream.queue.put_nowait(EngineUnavailable("It broke off.", hint="Attach again."))
    notice = (await taker.until(2))[1]
    assert notice["event"] == {
        "type": "notice",
        "seq": 1,
        "code": "engine_unavailable",
        "message": "It broke off. Attach again.",
    }
    await followers.close()


async def test_an_editor_that_has_gone_ends_the_pump_quietly() -> None:
    followers, stream, taker = Followers(FakeClient()), FakeStream(), Taker()  # type: ignore[arg-type]
    taker.gone = True
    followers.adopt(stream, taker)  # type: ignore[arg-type]
    stream.put(out(1, b"a"))
    async with asyncio.timeout(10):
        await stream.ended.wait()
    assert stream.closed
    await followers.close()
