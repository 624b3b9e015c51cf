"""The golden vectors, read by Python here and by Go in sandbox_images/agent/wire/vectors_test.go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from continue_exec.errors import ProtocolError
from continue_exec.model import Model
from continue_exec.protocol import agent
from continue_exec.protocol.frames import Kind, Parser, encode

VECTORS = Path(__file__).parent / "vectors"
FRAMES = json.loads((VECTORS / "frames.json").read_text())
MESSAGES = json.loads((VECTORS / "messages.json").read_text())


def _name(vector: dict[str, Any]) -> str:
    return str(vector.get("name") or vector["json"])


@pytest.mark.parametrize("vector", FRAMES["frames"], ids=_name)
def test_frame(vector: dict[str, Any]) -> None:
    payload = bytes.fromhex(vector["payload"])
    assert encode(vector["kind"], vector["stream"], payload).hex() == vector["frame"]
    parser = Parser()
    assert list(parser.feed(bytes.fromhex(vector["frame"]))) == [(vector["kind"], vector["stream"], payload)]
    assert parser.pending == 0


@pytest.mark.parametrize("vector", FRAMES["invalid"], ids=_name)
def test_invalid_frame(vector: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        list(Parser().feed(bytes.fromhex(vector["bytes"])))


def test_every_kind_has_a_vector() -> None:
    assert {vector["kind"] for vector in FRAMES["frames"]} == set(Kind)


@pytest.mark.parametrize("vector", MESSAGES["messages"], ids=_name)
def test_message(vector: dict[str, Any]) -> None:
    model: type[Model] = getattr(agent, vector["model"])
    read = model.model_validate(vector["message"])
    written = read.model_dump(mode="json", exclude_none=True)
    assert vector["message"].items() <= written.items()
    assert model.model_validate(written) == read


def test_every_message_has_a_vector() -> None:
    wanted = {model.__name__ for pair in agent.METHODS.values() for model in pair}
    wanted |= {model.__name__ for model in agent.NOTIFICATIONS.values()} | {"PushEntry"}
    assert {vector["model"] for vector in MESSAGES["messages"]} == wanted


@pytest.mark.parametrize("vector", MESSAGES["texts"], ids=_name)
def test_names_that_are_not_text(vector: dict[str, Any]) -> None:
    text = json.loads(vector["json"])
    assert text.encode("utf-8", "surrogateescape").hex() == vector["bytes"]
    assert json.loads(json.dumps(text)) == text
