"""A pipeline to look at without AWS: what the page's server asks, answered from memory and changed by tests."""

from __future__ import annotations

import json
import math
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from iotpipe.errors import IotpipeError
from iotpipe.observer.snapshot import (
    Alarms,
    Device,
    DeviceList,
    Devices,
    Edge,
    Enrolled,
    EnrolmentList,
    Missing,
    Node,
    Part,
    Reason,
    Series,
    Snapshot,
    Source,
)
from iotpipe.pipeline.flow import Flow, flow
from iotpipe.view.server import Server
from tests.support.engine_world import declared

NOW = 1_795_528_606_000
HOSTILE = '<img src=x onerror="document.title=1">'
EMOJI = "🌡️ <b>outside</b>"
STEP = 10_000

KINDS = {
    "rest-api": "api",
    "function": "function",
    "table": "table",
    "topic-rule": "rule",
    "queue": "queue",
    "topic": "topic",
}
NUMBERS = {
    "devices": ("13", "known", "1 silent", "warn", "devices"),
    "topic-rule/iotpipe": ("12.5", "msg/s", "3 refused", "", ""),
    "queue/iot-device-queue": ("1", "waiting", "10 in flight", "", ""),
    "rest-api/iot-api": ("4.0", "requests/s", "3,373 answered, 16 refused", "", ""),
    "function/data-ingestion": ("16.0", "readings/s", "14,208 accepted", "", ""),
    "function/data-processor": ("16.0", "readings/s", "14,208 stored, 15 given back", "", ""),
    "function/data-query": ("69", "answered", "95 % within 17 ms", "", ""),
    "table/raw-sensor-data": ("+14,208", "rows", "in 15 minutes", "", "devices"),
    "table/processed-data": ("+14,208", "rows", "newest 1 s ago", "", "devices"),
    "queue/iot-ingestion-queue": ("0", "waiting", "0 in flight", "", ""),
    "queue/iot-dlq": ("3", "dead letters", "newest 5 min ago", "bad", "dead-letters"),
    "topic/iot-alerts": ("0", "alerts", "nobody gets them", "", ""),
}


@dataclass
class Pipeline:
    """Answers what the server asks. Tests change the attributes and call `changed`."""

    snapshot_now: Snapshot
    devices_now: DeviceList
    letters: list[dict[str, Any]]
    enrolment_now: EnrolmentList
    failure: Exception | None = None
    """What every method raises."""
    asked: list[str] = field(default_factory=list)
    hold: threading.Event | None = None
    """What `series` waits for."""
    gone: Callable[[], bool] = lambda: False
    """Whether nobody waits any more for what `series` was asked last."""

    def changed(self, **parts: Any) -> None:
        """The snapshot with other parts and the next revision."""
        self.snapshot_now = replace(self.snapshot_now, revision=self.snapshot_now.revision + 1, **parts)

    def snapshot(self, range_seconds: int) -> Snapshot:
        self._note(f"snapshot {range_seconds}")
        return replace(self.snapshot_now, range=range_seconds)

    def devices(self) -> DeviceList:
        self._note("devices")
        return self.devices_now

    def enrolment(self) -> EnrolmentList:
        self._note("enrolment")
        return self.enrolment_now

    def device(self, device_id: str) -> Mapping[str, Any]:
        self._note(f"device {device_id}")
        found = next((each for each in self.enrolment_now.items if each.device_id == device_id), None)
        told = {"device_id": device_id, "enrolled": found is not None, "unfinished": False, "certificates": []}
        if found is None or found.created is None:
            return told | {"connection": None if found is None else NEVER_CONNECTED}
        expires = NOW + 9000 * 86_400_000
        issued = {"id": "3f2a9c0d41be" * 5, "status": found.status, "created": found.created, "expires": expires}
        return told | {"certificates": [issued], "connection": CONNECTED if found.status == "ACTIVE" else HUNG_UP}

    def series(
        self,
        devices: Sequence[str],
        metrics: Sequence[str],
        every: str,
        start: int,
        end: int,
        gone: Callable[[], bool],
    ) -> Mapping[str, Any]:
        self.gone = gone
        self._note(f"series {' '.join(devices)} {every} {end - start}")
        if self.hold:
            assert self.hold.wait(20)
        seconds = int(every[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[every[-1]]
        named = [each for each in self.devices_now.items if each.device_id in devices]
        found = [
            _buckets(device, metric, seconds * 1000, max(start, NOW - 40 * 86_400_000), min(end, NOW))
            for device in named
            for metric in (metrics or [name for name, text in device.latest.items() if _is_number(text)])
            if metric in device.latest
        ]
        return {"every": every, "series": found}

    def rows(self, device: str, table: str, limit: int) -> list[str]:
        self._note(f"rows {device} {table} {limit}")
        found = [each for each in self.devices_now.items if each.device_id == device]
        return [_row(each, number) for each in found for number in range(min(limit, 20))]

    def dead_letters(self) -> Mapping[str, Any]:
        self._note("dead letters")
        return {"looked_at": NOW, "total": len(self.letters), "items": self.letters}

    def _note(self, what: str) -> None:
        self.asked.append(what)
        if self.failure:
            raise self.failure


NEVER_CONNECTED = {"connected": False, "since": None, "reason": "", "unknown_because": ""}
CONNECTED = NEVER_CONNECTED | {"connected": True, "since": NOW - 600_000}
HUNG_UP = NEVER_CONNECTED | {"since": NOW - 600_000, "reason": "AUTH_ERROR"}


def some_enrolled() -> tuple[Enrolled, ...]:
    day = 86_400_000
    return (
        Enrolled("attic", "no certificate", 0, None),
        Enrolled("cellar", "ACTIVE", 1, NOW - day),
        Enrolled("sensor-001", "ACTIVE", 1, NOW - 12 * day),
        Enrolled("sensor-002", "INACTIVE", 1, NOW - 40 * day),
    )


def _is_number(text: str) -> bool:
    return not text.startswith(('"', "[", "{", "t", "f", "n"))


def _buckets(device: Device, metric: str, every: int, start: int, end: int) -> dict[str, Any]:
    """Curves with a gap of two hours, eleven hours ago."""
    starts = [
        at
        for at in range(start - start % every, end, every)
        if at <= device.seen and not NOW - 13 * 3_600_000 < at < NOW - 11 * 3_600_000
    ]
    middle = float(device.latest[metric])
    mean = [middle + 4 * math.sin(at / 13_750_987 + len(metric)) + (at // every * 7 % 11) / 20 for at in starts]
    return {
        "device_id": device.device_id,
        "metric": metric,
        "start": starts,
        "count": [12] * len(starts),
        "min": [each - 0.6 for each in mean],
        "max": [each + 0.8 for each in mean],
        "mean": mean,
        "last": mean,
    }


def _row(device: Device, number: int) -> str:
    values = ", ".join(f"{json.dumps(name)}: {text}" for name, text in device.latest.items())
    return (
        f'{{"device_id": {json.dumps(device.device_id)}, "event_date": "2026-11-24T13:{55 - number:02}:33.393Z#0001", '
        f'"received_at": "2026-11-24T13:{55 - number:02}:33.393Z", '
        f'"processed_at": "2026-11-24T13:{55 - number:02}:33.412Z", "sensor_data": {{{values}}}}}'
    )


def device(name: str, *, ago: float = 1, silent: bool = False, **latest: str) -> Device:
    return Device(name, NOW - int(ago * 1000), 60.0, silent, latest, 20)


def some_devices() -> tuple[Device, ...]:
    ordinary = (
        device(
            f"sensor-{n:03}",
            ago=n % 4,
            temperature=f"{18 + n * 1.37:.2f}",
            humidity=f"{48 - n}.0",
            pressure="1013.250",
            **({"battery": "97.7"} if n % 2 else {}),
        )
        for n in range(1, 11)
    )
    odd = Device("greenhouse-2", NOW - 33_000, 300.0, False, {"temperature": "25.05", "co2": "439", EMOJI: "3.10"}, 20)
    return (
        device("sensor-012", ago=440, silent=True, temperature="23.76", humidity="46.5", pressure="1015.66"),
        odd,
        device(HOSTILE, temperature="1.0", note=json.dumps(HOSTILE)),
        *ordinary,
    )


def some_letters() -> list[dict[str, Any]]:
    cut = '{"version": 1, "device_id": "poison", "event_date": "2024-01-15T10:30:00.000Z#0001", "sensor_data": {"temp'
    wrong = '{"version": 1, "device_id": "attic", "timestamp": 1, "sensor_data": {"temperature": "warm"}}'
    return [
        _letter(1, None, "not JSON: Unterminated string at character 105", cut),
        _letter(2, "attic", "sensor_data.temperature: number required", wrong),
        _letter(3, "attic", None, wrong.replace('"warm"', "21.50")),
    ]


def _letter(number: int, device_id: str | None, reason: str | None, body: str) -> dict[str, Any]:
    sent = NOW - number * 300_000
    told = {"id": f"m-{number}", "sent": sent, "receives": 3, "device": device_id, "reason": reason, "body": body}
    return told | {"failure": None, "payload": None}


def pipeline(config_dir: Path, environment: str = "dev") -> Pipeline:
    """The pipeline of a shipped configuration, with some devices and some trouble. Only that of `local` has MQTT."""
    drawn = _drawn(config_dir, environment)
    known = some_devices()
    sentence = (
        Part("Readings flow. "),
        Part("3 dead letters", "dead-letters", "bad"),
        Part(" wait, "),
        Part("1 device is silent", "devices", "warn"),
        Part("."),
    )
    shown = Snapshot(
        revision=1,
        environment="local",
        account="000000000000",
        region="us-east-1",
        local=True,
        time=NOW,
        range=900,
        every=0.1,
        sentence=sentence,
        summary="14,208 readings accepted and 14,208 stored in 15 minutes, half of them within 10 ms.",
        nodes=tuple(_node(each) for each in drawn.nodes),
        edges=tuple(
            Edge(each.start, each.end, each.label, each.kind, each.kind != "moves" or "alarm" not in each.label)
            for each in drawn.edges
        ),
        series=some_series(),
        reasons=(
            Reason(11, "wrong number of readings in the request", "refused with 400", NOW - 120_000, "refused"),
            Reason(9, "not JSON: Expecting ',' delimiter", "given back, then iot-dlq", NOW - 300_000, "given back"),
        ),
        alarms=Alarms(),
        sources=(
            Source("queues", "GetQueueAttributes", NOW),
            Source("counts", "log lines", NOW),
            Source("alarms", "not evaluated on this machine", None),
            Source("devices", "the table of processed readings", NOW),
        ),
        devices=Devices(len(known), 1, True),
    )
    has_mqtt = any(each.id.startswith("topic-rule/") for each in drawn.nodes)
    enrolled = EnrolmentList(NOW, some_enrolled()) if has_mqtt else EnrolmentList(None, enabled=False)
    return Pipeline(shown, DeviceList(1, NOW, True, 2000, known), some_letters(), enrolled)


@cache
def _drawn(config_dir: Path, environment: str) -> Flow:
    """To declare the pipeline takes half a second."""
    return flow(declared(config_dir, environment)[0])


def _node(drawn: Any) -> Node:
    known = next((each for each in NUMBERS if drawn.id.startswith(each)), "")
    value, unit, note, tone, to = NUMBERS.get(known, (None, "", drawn.note, "", ""))
    kind = "dead-letters" if "dlq" in drawn.id else KINDS.get(drawn.id.partition("/")[0], drawn.id)
    return Node(drawn.id, kind, drawn.name, drawn.column, drawn.row, value, unit, note, tone, to)


def some_series(*, told: int = 90) -> Series:
    """Fifteen minutes; nothing is told after the first `told` buckets."""
    accepted = [16 + 6 * math.sin(n / 9) + (30 if n in (31, 61) else 0) for n in range(90)]
    waiting = [180 if n == 52 else n % 3 for n in range(90)]
    start = NOW - 90 * STEP

    def until(values: list[float]) -> tuple[float | None, ...]:
        return tuple(value if n < told else None for n, value in enumerate(values))

    return Series(
        start,
        STEP,
        until(accepted),
        tuple(waiting),
        until(accepted),
        until([10.0] * 90),
        until([60 + 40 * math.sin(n / 3) for n in range(90)]),
        start + told * STEP,
    )


NOTHING_UP = Missing("local is not up", "`iotpipe up --env local` brings it up")


class _Ending(Server):
    """A server that can end as its process does: with all its connections."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._accepted: list[socket.socket] = []
        super().__init__(*arguments, **options)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._accepted.append(request)
        super().process_request(request, client_address)

    def cut(self) -> None:
        for each in self._accepted:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def served(source: Any, tell: Callable[[str], None] | None = None, **options: Any) -> Iterator[Server]:
    """A server of this pipeline. Fails if iotpipe itself fails meanwhile, unless that is to be told."""
    bugs: list[str] = []
    server = _Ending(source, tell or bugs.append, **options)
    # `start` would let each end of a server take half a second.
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        server.cut()
    assert not bugs, "\n".join(bugs)


NOT_REACHED = IotpipeError("the table cannot be read: it is not there", "Run `iotpipe up --env local`")
