"""The devices that `send-test-data --via mqtt` enrols for one test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from iotpipe.devices import endpoint
from iotpipe.errors import Interrupted
from iotpipe.readings.mqtt_test_data import connections
from tests.support.devices_world import DevicesWorld, client


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None


def test_ctrl_c_after_the_last_device_was_enrolled_sends_nothing_and_leaves_none(world: DevicesWorld) -> None:
    """The work on the devices is over, and looks for it no more; the signal is not yet one that ends the command."""
    registry, folder = world.registry, world.directory / "test-devices"

    @contextmanager
    def pressed_at_the_end() -> Iterator[None]:
        yield
        registry.run.stop.set()

    test: Any = connections(registry, ["a", "b"], folder, endpoint.endpoint(registry), progress, pressed_at_the_end)
    with pytest.raises(Interrupted, match="no reading was sent"):
        test.__enter__()
    assert client().list_things()["things"] == []
    assert client().list_certificates()["certificates"] == []
    assert not folder.exists()
