from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from continue_exec import errors
from continue_exec.client import Client
from continue_exec.client.client import FRAMES_TYPE
from continue_exec.protocol import events, methods
from continue_exec.protocol.frames import Kind
from tests.support.local_engine import LocalEngine


def test_constants_agree() -> None:
    assert FRAMES_TYPE == methods.FRAMES_TYPE


async def test_typed_and_raw(client: Client) -> None:
    status = await client.engine_status()
    assert isinstance(status, methods.EngineStatus)
    assert (await client.call("engine.status"))["pid"] == status.pid


@pytest.mark.parametrize("cls", errors.all_errors())
async def test_every_error_comes_back_as_itself(
    client: Client, engine: LocalEngine, cls: type[errors.ContinueExecError]
) -> None:
    engine.answers["run.get"] = cls("what went wrong", hint="what to do", data={"a": 1})
    with pytest.raises(errors.ContinueExecError) as caught:
        await client.call("run.get", {"run_id": "x"})
    assert type(caught.value) is cls
    assert (caught.value.message, caught.value.hint, caught.value.data) == ("what went wrong", "what to do", {"a": 1})


async def test_execute(client: Client, tmp_path: Path) -> None:
    script = "cat; pwd; echo $A >&2; exit 3"
    result = await client.execute(["sh", "-c", script], input=b"\xff\0in", workspace=tmp_path, env={"A": "b"})
    assert (result.exit_code, result.stdout, result.stderr) == (3, b"\xff\0in" + f"{tmp_path}\n".encode(), b"b\n")
    assert result.run.state == "exited"
    assert result.missing_bytes == 0


async def test_execute_what_is_not_there(client: Client) -> None:
    with pytest.raises(errors.CommandNotFound):
        await client.execute(["no-such-program"])


async def test_a_cancelled_execute_ends_its_command(client: Client, engine: LocalEngine) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await client.execute(["sleep", "1000"])
    (run,) = engine.runs.values()
    assert run.reason == "cancelled"
    assert run.final["exit_code"] == 143


async def test_input_that_nobody_reads(client: Client) -> None:
    result = await client.execute(["true"], input=b"x" * 10_000_000)
    assert result.exit_code == 0


async def test_run_gives_events(client: Client, tmp_path: Path) -> None:
    found = [event async for event in client.run(["printf", "\\377ab"], workspace=tmp_path)]
    assert [event.type for event in found] == ["started", "output", "exited"]
    assert [event.seq for event in found] == [1, 2, 3]
    assert isinstance(found[1], events.RunOutput) and found[1].data == b"\xffab"


async def test_start_then_follow(client: Client, tmp_path: Path) -> None:
    run = await client.start(["sh", "-c", "echo hi"], workspace=tmp_path)
    kinds = [event.type async for event in client.run_follow(run.id, after=1)]
    assert kinds == ["output", "exited"]


async def test_frames(client: Client) -> None:
    params = client.run_params(["echo", "hi"])
    found = [frame async for frame in client.frames("run.stream", params)]
    assert found[1] == (Kind.STDOUT, 2, b"hi\n")


async def test_connections_are_reused(client: Client, engine: LocalEngine) -> None:
    await client.call("engine.status")
    first = client._pool._idle[-1]
    await client.call("engine.status")
    assert client._pool._idle == [first]


async def test_many_at_once(client: Client) -> None:
    results = await asyncio.gather(*(client.execute(["echo", str(n)]) for n in range(20)))
    assert [result.stdout for result in results] == [b"%d\n" % n for n in range(20)]


async def test_an_engine_that_is_not_there(place: Path) -> None:
    async with Client(start_engine=False) as client:
        with pytest.raises(errors.EngineUnavailable):
            await client.call("engine.status")


async def test_a_pooled_connection_that_died_is_replaced(client: Client, engine: LocalEngine) -> None:
    await client.call("engine.status")
    await engine.stop_listening()
    await engine.start()
    await client.call("engine.status")


async def test_an_engine_of_another_protocol(client: Client, engine: LocalEngine) -> None:
    engine.protocol = 9
    with pytest.raises(errors.VersionMismatch):
        await client.call("engine.status")


async def test_an_engine_of_another_version_with_the_same_protocol_will_do(client: Client, engine: LocalEngine) -> None:
    engine.version = "9.9"
    await client.call("engine.status")
    assert client.engine_version == "9.9"


async def test_an_old_idle_engine_makes_room(client: Client, engine: LocalEngine) -> None:
    mismatch = errors.VersionMismatch("I am older and idle.", data={"replaced": True})
    engine.answers["engine.status"] = mismatch
    call = asyncio.ensure_future(client.call("engine.status"))
    await engine.called("engine.status", 2)
    del engine.answers["engine.status"]
    assert (await call)["protocol"] == 1


async def test_params_hold_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "a.py").symlink_to("b.py")
    (tmp_path / "link").symlink_to(real)
    monkeypatch.chdir(tmp_path)
    params = Client(name="t").run_params(workspace="link", file="link/a.py", cwd="link", tty=(3, 4))
    parsed = methods.RunStart.model_validate(params)
    assert parsed.workspace.path == parsed.cwd == os.fspath(real)
    assert parsed.file == os.fspath(real / "a.py")
    assert (parsed.tty.rows, parsed.tty.cols) == (3, 4)  # type: ignore[union-attr]
    assert parsed.client == "t"
