"""Which devices are enrolled for MQTT, and the certificates and the connection of one of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from iotpipe.errors import UsageError
from iotpipe.names import Names
from iotpipe.observer.snapshot import Enrolled, EnrolmentList
from iotpipe.observer.source import Sampled
from iotpipe.provision.run import Run


class Enrolment(Sampled):
    """Lists the enrolled devices with the state of their certificates: 80 calls for 10,000 devices."""

    def __init__(self, names: Names, local: bool) -> None:
        super().__init__("enrolment", "ListThings and ListCertificates", 10 if local else 60)
        self._names = names
        self.list = EnrolmentList(None)

    def read(self, run: Run, now: int) -> None:
        from iotpipe.devices import inventory
        from iotpipe.devices.registry import Registry

        items = (
            Enrolled(each.device.device_id, each.status, each.certificates, _milliseconds(each.created))
            for each in inventory.listing(Registry(run, self._names))
        )
        self.list = EnrolmentList(now, tuple(items))


def details(run: Run, names: Names, device_id: str) -> dict[str, Any]:
    """The certificates of one device and whether it is connected, with four calls or one more for each certificate.

    Raises ResourceError.
    """
    from iotpipe.devices import device_names, inventory
    from iotpipe.devices.registry import Registry

    device = device_names.device(names, device_id)
    not_enrolled = {"device_id": device_id, "enrolled": False, "unfinished": False, "certificates": []}
    if device_names.problem(names, device_id):
        return not_enrolled | {"connection": None}
    try:
        found = inventory.details(Registry(run, names), device)
    except UsageError:
        return not_enrolled | {"connection": None}
    return {
        "device_id": device_id,
        "enrolled": True,
        "unfinished": found.unfinished,
        "certificates": [
            {
                "id": each.certificate.certificate_id,
                "status": each.certificate.status,
                "created": _milliseconds(each.certificate.created),
                "expires": _milliseconds(each.expires),
            }
            for each in found.certificates
        ],
        "connection": {
            "connected": found.connection.connected,
            "since": found.connection.since,
            "reason": found.connection.reason,
            "unknown_because": found.connection.why,
        },
    }


def _milliseconds(moment: datetime | None) -> int | None:
    return int(moment.timestamp() * 1000) if moment else None
