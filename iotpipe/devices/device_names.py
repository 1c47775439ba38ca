"""Which device ids can be enrolled, and the thing that a device id stands for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from iotpipe.errors import UsageError
from iotpipe.names import Names

_LEGAL = re.compile(r"[A-Za-z0-9:_-]+")
_LONGEST_THING = 128


@dataclass(frozen=True)
class Device:
    """A device of an environment. `thing` is its thing, and its MQTT client id."""

    device_id: str
    thing: str

    @property
    def address(self) -> str:
        return f"device/{self.device_id}"


def device(names: Names, device_id: str) -> Device:
    return Device(device_id, names.thing(device_id))


def device_of_thing(names: Names, thing: str) -> Device | None:
    """The device of a thing; None if the thing's name is not of this environment."""
    prefix = names.thing("")
    return Device(thing.removeprefix(prefix), thing) if thing.startswith(prefix) else None


def problem(names: Names, device_id: str) -> str:
    """Why AWS IoT takes no device of this id; empty if it does."""
    if not _LEGAL.fullmatch(device_id):
        return f"{device_id!r} is no id for a device over MQTT: letters, digits and : _ - are allowed"
    longest = _LONGEST_THING - len(names.thing(""))
    if len(device_id) > longest:
        return f"{device_id!r} is too long for a device over MQTT: {len(device_id)} characters, at most {longest}"
    return ""


def checked(names: Names, device_ids: Iterable[str]) -> list[Device]:
    """The devices, each once. Raises UsageError with every id that cannot be enrolled."""
    device_ids = list(dict.fromkeys(device_ids))
    if problems := [found for each in device_ids if (found := problem(names, each))]:
        raise UsageError("\n".join(["device ids that cannot be enrolled:", *(f"  {each}" for each in problems)]), RULE)
    return [device(names, each) for each in device_ids]


RULE = (
    "AWS IoT takes letters, digits and : _ - in the name of a thing. A device whose id has a . / or # can send over "
    "HTTP, with POST /ingest"
)
