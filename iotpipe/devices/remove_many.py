"""Remove any number of devices."""

from __future__ import annotations

from collections.abc import Mapping

from iotpipe.devices import device_names, many, removal
from iotpipe.devices.device_names import Device
from iotpipe.devices.many import Tell, Worked
from iotpipe.devices.registry import Registry, Thing
from iotpipe.devices.removal import Removed


def remove_all(registry: Registry, listed: Mapping[str, Thing], tell: Tell = lambda *_: None) -> Worked[Removed]:
    """Remove the devices of these things, which are given by device id. Repeated, it continues with the others.

    Raises CredentialsError.
    """

    def remove(device: Device) -> Removed:
        return removal.remove(registry, device, listed[device.device_id])

    devices = [device_names.device(registry.names, device_id) for device_id in listed]
    return many.work(registry.run, devices, remove, tell)
