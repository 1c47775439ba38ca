"""Enrolled devices as a table, and one of them with everything that is known about it, as text and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from iotpipe.devices.inventory import Connection, Details, Listed
from iotpipe.render.devices import ago
from iotpipe.render.query import aligned
from iotpipe.times import iso


def listed(devices: Sequence[Listed], seen: Mapping[str, int]) -> dict[str, Any]:
    """The devices for JSON. `seen` are the times of last readings in epoch milliseconds."""
    items = [
        {
            "device_id": each.device.device_id,
            "thing": each.device.thing,
            "status": each.status,
            "certificates": each.certificates,
            "created": _iso(each.created),
            "last_reading": _time(seen.get(each.device.device_id)),
        }
        for each in devices
    ]
    return {"count": len(items), "devices": items}


def listed_table(devices: Sequence[Listed], seen: Mapping[str, int], now: int) -> Iterator[str]:
    """A header and a line per device. `now` is in epoch milliseconds."""
    lines = [["device_id", "status", "certificate", "last reading"]]
    for each in devices:
        more = f" ({each.certificates})" if each.certificates > 1 else ""
        age = f"{ago(now - _milliseconds(each.created))}{more}" if each.created else ""
        last = seen.get(each.device.device_id)
        lines.append([each.device.device_id, each.status, age, ago(now - last) if last is not None else ""])
    yield from aligned(lines, texts=4)


def shown(details: Details, seen: int | None) -> dict[str, Any]:
    """A device for JSON."""
    connection = details.connection
    return {
        "device_id": details.device.device_id,
        "thing": details.device.thing,
        "unfinished": details.unfinished,
        "certificates": [
            {
                "id": each.certificate.certificate_id,
                "status": each.certificate.status,
                "created": _iso(each.certificate.created),
                "expires": _iso(each.expires),
            }
            for each in details.certificates
        ],
        "connection": {
            "connected": connection.connected,
            "since": _time(connection.since),
            "reason": connection.reason,
            "unknown_because": connection.why,
        },
        "last_reading": _time(seen),
    }


def shown_text(details: Details, seen: int | None, now: int) -> Iterator[str]:
    """A device in lines, and what to know about its connections. `now` is in epoch milliseconds."""
    device = details.device
    yield f"{device.device_id}: thing and MQTT client id {device.thing}"
    for each in details.certificates:
        issued = (
            f"{iso(_milliseconds(each.certificate.created))} ({ago(now - _milliseconds(each.certificate.created))})"
        )
        yield f"  certificate   {each.certificate.certificate_id}  {each.certificate.status}"
        yield f"                issued {issued}, expires {iso(_milliseconds(each.expires))}"
    if not details.certificates:
        yield "  certificate   none"
    if details.unfinished:
        yield "  unfinished    a certificate is being made, or that was interrupted: run the same command again"
    yield f"  connection    {_connection(details.connection, now)}"
    yield f"  last reading  {f'{iso(seen)} ({ago(now - seen)})' if seen is not None else 'none'}"
    yield "A device whose certificate is not active sees its connection close without a reason."
    yield f"Two clients with the id {device.thing} end each other's connection, again and again: let only one use it."


def _connection(found: Connection, now: int) -> str:
    since = f" since {iso(found.since)} ({ago(now - found.since)})" if found.since is not None else ""
    if found.connected is None:
        return f"unknown: {found.why}"
    if found.connected:
        return f"connected{since}"
    return f"not connected{since}{f': {found.reason}' if found.reason else ''}"


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _iso(moment: datetime | None) -> str | None:
    return iso(_milliseconds(moment.astimezone(UTC))) if moment else None


def _time(milliseconds: int | None) -> str | None:
    return iso(milliseconds) if milliseconds is not None else None
