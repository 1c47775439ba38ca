"""Which devices are enrolled, in few calls."""

from __future__ import annotations

from collections.abc import Callable

from iotpipe.devices import device_names
from iotpipe.devices.device_names import Device
from iotpipe.devices.registry import Registry, Thing


def things(registry: Registry, tell: Callable[[int], None] = lambda _: None) -> dict[str, Thing]:
    """The things of the environment's devices by device id, by name; `tell` is told how many were listed so far."""
    found: dict[str, Thing] = {}
    for page in registry.things():
        for thing in page:
            if device := device_names.device_of_thing(registry.names, thing.name):
                found[device.device_id] = thing
        tell(len(found))
    return dict(sorted(found.items()))


def devices(registry: Registry) -> list[Device]:
    """The enrolled devices by name."""
    return [device_names.device(registry.names, each) for each in things(registry)]
