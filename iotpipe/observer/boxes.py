"""The boxes and arrows of the data flow with what was seen in each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from iotpipe.names import HANDLERS, Names
from iotpipe.observer.counts import Counts
from iotpipe.observer.mqtt import Mqtt
from iotpipe.observer.queues import Depth
from iotpipe.observer.snapshot import BAD, WARN, Alarms, Devices, Edge, Node
from iotpipe.observer.words import counted, duration
from iotpipe.pipeline import flow
from iotpipe.times import iso

_KINDS = {
    "rest-api": "api",
    "function": "function",
    "table": "table",
    "topic-rule": "rule",
    "queue": "queue",
    "topic": "topic",
}
_RULE = "topic-rule"
"""The name of the rule's box. That of the rule itself is `iotpipe` and the suffix."""


@dataclass(frozen=True)
class Seen:
    """What the sources have told, for the boxes. Counts of the API are those of the range; ages are seconds.

    `mqtt` is None if the environment has no devices over MQTT.
    """

    names: Names
    counts: Counts
    readings: Depth | None
    dead_letters: Depth | None
    have_died: bool
    oldest: float | None
    oldest_dead: float | None
    refused: float | None
    failed: float | None
    alerts: float | None
    devices: Devices
    alarms: Alarms
    mqtt: Mqtt | None = None


Said = tuple[str | None, str, str, str, str]
"""Value, unit, note, tone and view of a box."""
_NOTHING: Said = (None, "", "", "", "")


def nodes(drawn: flow.Flow, seen: Seen) -> tuple[Node, ...]:
    """Every box of the flow with its most important number."""
    return tuple(_node(each, seen) for each in drawn.nodes)


def edges(drawn: flow.Flow, seen: Seen) -> tuple[Edge, ...]:
    """Every arrow of the flow, active if something went there in the last minute."""
    active = _active(seen)
    died = _failing(seen)
    return tuple(
        Edge(
            each.start,
            each.end,
            each.label,
            each.kind,
            died(each.start) if each.kind == flow.FAILS else active(each),
        )
        for each in drawn.edges
    )


def _node(node: flow.Node, seen: Seen) -> Node:
    [*resources] = node.resources
    resource = resources[0] if len(resources) == 1 else None
    kind = _KINDS.get(resource.kind, node.id) if resource else node.id
    if resource and resource.name == seen.names.dead_letter_queue:
        kind = "dead-letters"
    say = _SAY.get(kind)
    said = say(seen, resource.name if resource else "") if say else _NOTHING
    name = _RULE if kind == "rule" else node.name.removesuffix(f"-{seen.names.suffix}")
    return Node(node.id, kind, name, node.column, node.row, *said)


def _devices(seen: Seen, name: str) -> Said:
    devices = seen.devices
    enrolled = f"{devices.enrolled:,} enrolled" if devices.enrolled is not None else ""
    if devices.total is None:
        return None, "known", enrolled, "", "devices"
    total = f"{devices.total:,}" if devices.complete else f"more than {devices.total:,}"
    silent, tone = (f"{devices.silent:,} silent", WARN) if devices.silent else ("none silent", "")
    return total, "known", f"{silent}, {enrolled}" if enrolled else silent, tone, "devices"


def _api(seen: Seen, name: str) -> Said:
    notes = [
        f"{int(number):,} {word}" for number, word in ((seen.refused, "refused"), (seen.failed, "failed")) if number
    ]
    known = seen.refused is not None
    return _rate(seen, "requests"), "req/s", ", ".join(notes) or ("none refused" if known else ""), "", ""


def _rule(seen: Seen, name: str) -> Said:
    mqtt = seen.mqtt
    if mqtt is None:
        return _NOTHING
    counts = ((mqtt.lost, "lost"), (mqtt.not_queued, "not queued"), (mqtt.refused, "refused"))
    notes = [f"{int(number):,} {word}" for number, word in counts if number]
    if mqtt.not_queued is None:
        notes.append("failures not known")
    rate = None if mqtt.rate is None else f"{mqtt.rate:,.1f}"
    return rate, "msg/s", ", ".join(notes) or "none failed", BAD if mqtt.lost else "", ""


def _function(seen: Seen, name: str) -> Said:
    if name == seen.names.function("query"):
        answered = seen.counts.answered.get("query", 0 if seen.counts.answered else None)
        return None if answered is None else f"{answered:,}", "requests", "", "", ""
    what = "accepted" if name == seen.names.function("ingestion") else "stored"
    total = seen.counts.totals.get(what)
    return _rate(seen, what), "/s", "" if total is None else f"{int(total):,} {what}", "", ""


def _rate(seen: Seen, name: str) -> str | None:
    rate = seen.counts.rates.get(name)
    return None if rate is None else f"{rate:,.1f}"


def _table(seen: Seen, name: str) -> Said:
    is_raw = name == seen.names.raw_table
    total = seen.counts.totals.get("accepted" if is_raw else "stored")
    newest = None if is_raw else seen.counts.newest_stored
    note = f"newest {iso(newest)[11:19]} UTC" if newest else ""
    return None if total is None else f"+{int(total):,}", "rows", note, "", ""


def _queue(seen: Seen, name: str) -> Said:
    depth, oldest = seen.readings, seen.oldest
    if seen.mqtt and name == seen.names.device_queue:
        depth, oldest = seen.mqtt.queue, seen.mqtt.oldest
    if depth is None:
        return None, "waiting", "", "", ""
    return f"{depth.visible:,}", "waiting", _depth_note(depth, oldest), "", ""


def _dead_letters(seen: Seen, name: str) -> Said:
    if seen.dead_letters is None:
        return None, "waiting", "", "", "dead-letters"
    held = seen.dead_letters.held
    note = _depth_note(seen.dead_letters, seen.oldest_dead) if held else ""
    return f"{held:,}", "waiting", note, BAD if held else "", "dead-letters"


def _depth_note(depth: Depth, oldest: float | None) -> str:
    note = f"{depth.in_flight:,} in flight"
    return f"{note}, oldest {duration(oldest * 1000)}" if oldest and depth.visible else note


def _topic(seen: Seen, name: str) -> Said:
    if seen.alerts is None:
        return None, "alerts", "", "", ""
    return f"{int(seen.alerts):,}", "alert" if int(seen.alerts) == 1 else "alerts", "", "", ""


def _alarms(seen: Seen, name: str) -> Said:
    if not seen.alarms.evaluated:
        return None, "firing", "", "", ""
    firing, fine = len(seen.alarms.firing), seen.alarms.states.get("OK", 0)
    return f"{firing:,}", "firing", counted(fine, "other") + " OK" if fine else "", BAD if firing else "", ""


_SAY: Mapping[str, Callable[[Seen, str], Said]] = {
    "devices": _devices,
    "api": _api,
    "rule": _rule,
    "function": _function,
    "table": _table,
    "queue": _queue,
    "dead-letters": _dead_letters,
    "topic": _topic,
    "alarms": _alarms,
}


def _failing(seen: Seen) -> Callable[[str], bool]:
    """Whether new dead letters came along the arrow from a box, by its id.

    The log lines tell who had messages that failed. If they tell nobody, it may be any.
    """
    rates, names = seen.counts.rates, seen.names
    known = {
        f"function/{names.function('ingestion')}": rates.get("refused over MQTT"),
        f"queue/{names.device_queue}": rates.get("given_back by ingestion"),
        f"queue/{names.reading_queue}": rates.get("given_back by processor"),
    }
    failed = {each for each, rate in known.items() if rate}
    return lambda start: seen.have_died and (start in failed or not failed)


def _active(seen: Seen) -> Callable[[flow.Edge], bool]:
    """Whether something went along an arrow: what a function did, it did with all that it works on."""
    rates = seen.counts.rates
    asked = {each: bool(rates.get(f"requests of {each}")) for each in HANDLERS}
    published = bool(seen.mqtt and seen.mqtt.rate)
    if "messages" not in rates:
        # CloudWatch's metrics tell no requests by function.
        asked["ingestion"] = bool(rates.get("accepted") and (rates.get("requests") or not published))
    works = asked | {
        "ingestion": asked["ingestion"] or published,
        "processor": bool(rates.get("stored") or rates.get("given_back")),
    }
    asked_by_id, works_by_id = (
        {f"function/{seen.names.function(handler)}": did for handler, did in each.items()} for each in (asked, works)
    )
    rule, queue = f"topic-rule/{seen.names.device_rule}", f"queue/{seen.names.device_queue}"

    def active(edge: flow.Edge) -> bool:
        if rule in (edge.start, edge.end) or edge.start == queue:
            return published
        if edge.start == "devices":
            return bool(rates.get("requests"))
        if edge.start == "alarms":
            return bool(seen.alarms.firing)
        if edge.label == flow.ALERTS:
            return False
        if edge.start == f"rest-api/{seen.names.rest_api}":
            return asked_by_id.get(edge.end, False)
        return works_by_id.get(edge.start, False) or works_by_id.get(edge.end, False)

    return active
