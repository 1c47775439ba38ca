"""`iotpipe device test`: one reading of an enrolled device, for its whole way."""

from __future__ import annotations

import uuid

from iotpipe.provision.run import Run
from iotpipe.readings.generate import Reading
from iotpipe.readings.send_test_data import Load

PATIENCE = 15
"""Seconds that the device may take to connect and to publish."""


def load(device_id: str, run: Run) -> Load:
    """The reading to publish. Its id tells it from the device's own readings."""
    now = int(run.clock.now() * 1000)
    return Load([Reading(device_id, now, {"test": 1}, f"iotpipe-test-{uuid.uuid4().hex[:12]}")])
