"""The devices that have sent readings, from GET /devices."""

from __future__ import annotations

from dataclasses import dataclass

from iotpipe.readings import api_pages, stored_rows
from iotpipe.readings.api_client import Api
from iotpipe.readings.stored_rows import Row

MAX_DEVICES = 200
"""The most devices that one GET returns."""


@dataclass(frozen=True)
class Device:
    """A device and its latest row, by the time of the reading."""

    device_id: str
    latest: Row

    @property
    def last_seen(self) -> int:
        """The time of the latest row in epoch milliseconds."""
        return stored_rows.timestamp(self.latest)


def devices(api: Api) -> list[Device]:
    """All devices by name. Raises what `stored_rows.pages` raises."""
    pages = api_pages.documents(api, "/devices", {"limit": str(MAX_DEVICES)})
    found = [Device(item["device_id"], item["latest"]) for page in pages for item in page["items"]]
    return sorted(found, key=lambda device: device.device_id)
