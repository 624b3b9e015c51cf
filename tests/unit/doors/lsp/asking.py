"""Answers of the sidecar in tests."""

from __future__ import annotations

from typing import Any


async def answered(talk: Any, number: int) -> dict[str, Any]:
    """The answer to a request, once it is there."""
    await talk.wire.until(lambda: any(one.get("id") == number and "method" not in one for one in talk.wire.sent))
    found: dict[str, Any] = talk.answer(number)
    return found


async def asked(talk: Any, method: str, times: int = 1) -> dict[str, Any]:
    """A request that the sidecar makes of the editor."""

    def found() -> list[dict[str, Any]]:
        return [one for one in talk.wire.sent if one.get("method") == method and "id" in one]

    await talk.wire.until(lambda: len(found()) >= times)
    return found()[times - 1]
