from __future__ import annotations

from typing import Any

from continue_exec.doors.lsp.takers import LOG_BYTES, TAIL_BYTES, EventTaker, PlainTaker


def event(**fields: Any) -> dict[str, Any]:
    return {"runId": "run_1", "firstSeq": 1, "event": {"seq": 1, **fields}}


def output(text: str) -> dict[str, Any]:
    return event(type="output", stream="stdout", text=text)


def ended(code: int = 0, reason: str = "") -> dict[str, Any]:
    return event(type="exited", exit_code=code, reason=reason, duration_ms=2345)


async def test_events_are_sent_as_they_are(talk: Any) -> None:
    await EventTaker(talk.wire).take(output("grüße 😀\u2028"))
    assert talk.wire.sent == [{"jsonrpc": "2.0", "method": "continueExec/event", "params": output("grüße 😀\u2028")}]


async def test_lines_are_logged_whole_and_the_end_is_shown(talk: Any) -> None:
    taker = PlainTaker(talk.sidecar, talk.wire, "run_1", "a.py")
    for item in (event(type="started"), output("on"), output("e\ntwo\r\nthr"), ended(3, "timeout")):
        await taker.take(item)
    logged = [one["message"] for one in talk.of("window/logMessage")]
    assert logged == ["a.py: started as run_1", "one\ntwo\r", "thr"]
    (shown,) = talk.of("window/showMessage")
    assert shown["type"] == 2
    assert shown["message"] == (
        "one\ntwo\nthr\na.py: exit code 3 (timeout) in 2.3 s. All of it: continue-exec logs run_1"
    )


async def test_a_flood_is_logged_up_to_a_limit_and_no_line_is_held_without_end(talk: Any) -> None:
    taker = PlainTaker(talk.sidecar, talk.wire, "run_1", "a.py")
    for _ in range(100):
        await taker.take(output("x" * 10_000 + "\n"))
    for _ in range(100):
        await taker.take(output("y" * 10_000))
    await taker.take(ended())
    logged = [one["message"] for one in talk.of("window/logMessage")]
    assert sum(len(one) for one in logged) < LOG_BYTES + 10_000
    assert "there is more output: continue-exec logs run_1" in logged[-1]
    assert len(talk.of("window/showMessage")[0]["message"]) < TAIL_BYTES + 200
    assert len(taker._rest) <= LOG_BYTES


async def test_notices_and_failures_are_said(talk: Any) -> None:
    taker = PlainTaker(talk.sidecar, talk.wire, "run_1", "a.py")
    await taker.take(event(type="notice", code="x", message="A limit."))
    await taker.take(event(type="failed", code="sandbox_lost", message="It died.", hint="Again."))
    assert [one["message"] for one in talk.of("window/logMessage")] == ["a.py: A limit."]
    assert [one["message"] for one in talk.of("window/showMessage")] == ["a.py: It died. Again."]
