"""What an environment looks like at one moment. Times are epoch milliseconds (UTC), and None is what nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

RANGES = (900, 3600, 21_600, 86_400, 604_800)
"""The seconds that a snapshot can look back: 15 minutes, an hour, 6 hours, a day, a week."""

BAD, WARN = "bad", "warn"
"""The tones of what is wrong and of what to look at; the empty text is everything else."""


@dataclass(frozen=True)
class Part:
    """A part of the sentence; `to` is the view that tells more: `dead-letters` or `devices`, else empty."""

    text: str
    to: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Node:
    """A box of the flow with its most important number. `value` is None where it is unknown.

    `id`, `column` and `row` are those of the flow. `kind` is devices, rule, api, function, table, queue, dead-letters,
    topic, alarms or addresses.
    """

    id: str
    kind: str
    name: str
    column: int
    row: int
    value: str | None = None
    unit: str = ""
    note: str = ""
    tone: str = ""
    to: str = ""


@dataclass(frozen=True)
class Edge:
    """An arrow of the flow; `kind` is moves, reads or fails. `active` says whether something went there just now."""

    start: str
    end: str
    label: str
    kind: str
    active: bool


@dataclass(frozen=True)
class Series:
    """What happened per bucket of `step` milliseconds from `start` on; None where it is not told (yet).

    `accepted` and `stored` are readings per second, `waiting` is messages, `p50` and `p95` are milliseconds from
    received to stored. After `told_until` nothing is told yet. `published` is the messages of devices that wait for
    ingestion, empty without devices over MQTT.
    """

    start: int
    step: int
    accepted: tuple[float | None, ...] = ()
    waiting: tuple[int | None, ...] = ()
    stored: tuple[float | None, ...] = ()
    p50: tuple[float | None, ...] = ()
    p95: tuple[float | None, ...] = ()
    told_until: int | None = None
    published: tuple[int | None, ...] = ()


@dataclass(frozen=True)
class Reason:
    """Why something was not done, and how often. `kind` is `refused` (by a function) or `given back` (to a queue)."""

    count: int
    text: str
    detail: str
    last: int
    kind: str


@dataclass(frozen=True)
class Firing:
    """An alarm in the state ALARM; `since` as ISO time in UTC."""

    name: str
    since: str
    reason: str


@dataclass(frozen=True)
class Alarms:
    """The number of alarms by state, and those that fire. Not `evaluated`: nobody knows."""

    evaluated: bool = False
    states: Mapping[str, int] = field(default_factory=dict)
    firing: tuple[Firing, ...] = ()


@dataclass(frozen=True)
class Source:
    """Where numbers come from and when they were read. `problem` says why they are old, `since` for how long."""

    name: str
    from_: str
    as_of: int | None = None
    problem: str | None = None
    since: int | None = None


@dataclass(frozen=True)
class Devices:
    """How many devices have sent readings, are silent, and are enrolled for MQTT.

    Not `complete`: there are more than were looked at. `enrolled` is None until somebody has looked at enrolments.
    """

    total: int | None = None
    silent: int | None = None
    complete: bool = True
    enrolled: int | None = None


@dataclass(frozen=True)
class Missing:
    """Why there is nothing to look at, and the command that changes it."""

    text: str
    hint: str


@dataclass(frozen=True)
class Snapshot:
    """One look at an environment. `revision` changes if and only if something else but the times of reading does.

    `time` is when it was made; `range` and `every` are seconds: how far it looks back, and how often it is worth to
    ask again.
    """

    revision: int
    environment: str
    account: str
    region: str
    local: bool
    time: int
    range: int
    every: float
    sentence: tuple[Part, ...]
    summary: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    series: Series
    reasons: tuple[Reason, ...]
    alarms: Alarms
    sources: tuple[Source, ...]
    devices: Devices
    missing: Missing | None = None

    def as_json(self) -> dict[str, Any]:
        """The snapshot as a document for `json.dumps`."""
        document = asdict(self)
        document["sentence"] = [{key: text for key, text in asdict(part).items() if text} for part in self.sentence]
        for source in document["sources"]:
            source["from"] = source.pop("from_")
        return document

    def same_as(self, other: Snapshot) -> bool:
        """Whether both tell the same, whenever they were made and their sources were read."""
        return self._timeless() == other._timeless()

    def _timeless(self) -> Snapshot:
        sources = tuple(replace(source, as_of=None) for source in self.sources)
        series = replace(self.series, told_until=None)
        return replace(self, time=0, revision=0, sources=sources, series=series)


@dataclass(frozen=True)
class Device:
    """A device: when its newest reading was taken, its usual interval in seconds, and its newest values.

    `latest` holds numbers with all their digits and other values as JSON text; a text stands for itself. `count` is
    the number of newest rows that were looked at.
    """

    device_id: str
    seen: int
    interval: float | None
    silent: bool
    latest: Mapping[str, str]
    count: int


@dataclass(frozen=True)
class DeviceList:
    """The devices, silent ones first. `time` is when they were read; not `complete`: there are more than `limit`."""

    revision: int
    time: int | None
    complete: bool
    limit: int
    items: tuple[Device, ...]

    def as_json(self) -> dict[str, Any]:
        """The list as a document for `json.dumps`."""
        return asdict(self)


@dataclass(frozen=True)
class Enrolled:
    """A device that is enrolled for MQTT.

    `status` is that of the best of its certificates: ACTIVE, INACTIVE, `no certificate`, or `unfinished` while one is
    being made. `created` is when the newest one was issued.
    """

    device_id: str
    status: str
    certificates: int
    created: int | None


@dataclass(frozen=True)
class EnrolmentList:
    """The enrolled devices by name. `time` is when they were read, None before that; `problem` is why not again.

    Not `enabled`: the environment has no devices over MQTT.
    """

    time: int | None
    items: tuple[Enrolled, ...] = ()
    enabled: bool = True
    problem: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The list as a document for `json.dumps`."""
        return asdict(self)
