"""State tables and their drawings say the same."""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

import gateway
from gateway.activation import models as activation
from gateway.approvals import models as approvals
from gateway.devices import models as devices
from gateway.pin import models as pin
from gateway.push import models as push
from gateway.webhooks import models as webhooks

ROOT = Path(gateway.__file__).parent
_LINE = re.compile(r"^\s+([a-z]+) --> ([a-z]+): ([a-z-]+)$", re.MULTILINE)

TABLES: dict[str, tuple[Mapping[tuple[Any, Any], Any], type[StrEnum], type[StrEnum]]] = {
    "activation": (activation.TRANSITIONS, activation.ActivationState, activation.ActivationEvent),
    "approvals": (approvals.TRANSITIONS, approvals.ApprovalState, approvals.ApprovalEvent),
    "devices": (devices.TRANSITIONS, devices.BindingState, devices.BindingEvent),
    "pin": (pin.TRANSITIONS, pin.PinState, pin.PinEvent),
    "push": (push.TRANSITIONS, push.WakeState, push.WakeEvent),
    "webhooks": (webhooks.TRANSITIONS, webhooks.DeliveryState, webhooks.DeliveryEvent),
}


@pytest.mark.parametrize("folder", TABLES)
def test_drawing_shows_the_table(folder: str) -> None:
    table, _, _ = TABLES[folder]
    drawn = _LINE.findall((ROOT / folder / "README.md").read_text())
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == {(start.value, end.value, event.value) for (start, event), end in table.items()}


@pytest.mark.parametrize("folder", TABLES)
def test_every_state_and_event_is_used(folder: str) -> None:
    table, states, events = TABLES[folder]
    assert {event for _, event in table} == set(events)
    assert {start for start, _ in table} | set(table.values()) == set(states)


def test_nothing_leaves_an_ended_activation() -> None:
    assert not {start for start, _ in activation.TRANSITIONS} & activation.OVER
    assert set(activation.ActivationState) - {start for start, _ in activation.TRANSITIONS} == activation.OVER
