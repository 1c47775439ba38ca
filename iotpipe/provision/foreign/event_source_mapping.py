"""What others added between queues and functions: settings of the declared mapping, and mappings of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from iotpipe.provision.foreign.finding import ALTERS, DRAINS, OPENS, Check, Foreign, Seen
from iotpipe.provision.foreign.lambda_calls import Answer, removing, unless_gone
from iotpipe.provision.resource import Properties
from iotpipe.provision.resources.event_source_mapping import EventSourceMapping, live_mappings
from iotpipe.provision.resources.function import Function
from iotpipe.provision.run import Run


def mappings(run: Run, resource: Function | EventSourceMapping) -> list[Answer]:
    """Every event source mapping of the account, which the declared one is read from as well."""
    return list(live_mappings(run))


def sources(seen: Seen) -> Iterator[Foreign]:
    """Other sources of the function. Other consumers of the queue are findings of the declared mapping."""
    run, function = seen.run, seen.resource
    told = {arn for each in run.resources if isinstance(each, EventSourceMapping) for arn in _queues(run, each)}
    for each in seen.read(mappings):
        if _function_of(each) == function.arn(run) and each.get("EventSourceArn") not in told:
            source = each.get("EventSourceArn") or each.get("SelfManagedEventSource")
            found = f"whoever can write to {source} has it processed by {function.name} (mapping {each['State']})"
            yield seen.foreign(
                f"event source mapping {each['UUID']}",
                OPENS,
                found,
                removing(run, "delete_event_source_mapping", UUID=each["UUID"]),
            )


@dataclass(frozen=True)
class _Extra:
    """A setting of a mapping that iotpipe never declares. `tell` describes it; empty where it is not set."""

    subject: str
    risk: str
    tell: Callable[[EventSourceMapping, Answer], str]
    undo: Properties


def _filter(mapping: EventSourceMapping, found: Answer) -> str:
    patterns = [each.get("Pattern", "") for each in (found.get("FilterCriteria") or {}).get("Filters") or []]
    told = f"messages of {mapping.queue.name} that do not match {' or '.join(patterns)} are deleted unprocessed"
    return told if patterns else ""


def _filter_key(mapping: EventSourceMapping, found: Answer) -> str:
    key = found.get("KMSKeyArn")
    told = f"what of {mapping.queue.name} is deleted unprocessed depends on a filter that AWS does not show, by {key}"
    return told if key else ""


def _destination(mapping: EventSourceMapping, found: Answer) -> str:
    destinations = (found.get("DestinationConfig") or {}).values()
    places = [each["Destination"] for each in destinations if (each or {}).get("Destination")]
    return f"what {mapping.function.name} fails at goes to {', '.join(places)}" if places else ""


def _pollers(mapping: EventSourceMapping, found: Answer) -> str:
    config = found.get("ProvisionedPollerConfig")
    return f"{mapping.queue.name} is polled by provisioned pollers, which are paid for: {config}" if config else ""


def _metrics(mapping: EventSourceMapping, found: Answer) -> str:
    names = (found.get("MetricsConfig") or {}).get("Metrics")
    return (
        f"the mapping of {mapping.queue.name} writes metrics, which are paid for: {', '.join(names)}" if names else ""
    )


_EXTRAS = (
    _Extra("filter", DRAINS, _filter, {"FilterCriteria": {}}),
    # Where the filter is encrypted, ListEventSourceMappings leaves it out.
    _Extra("key of the filter", DRAINS, _filter_key, {"FilterCriteria": {}, "KMSKeyArn": ""}),
    _Extra("destination", DRAINS, _destination, {"DestinationConfig": {"OnFailure": {"Destination": ""}}}),
    _Extra("pollers", ALTERS, _pollers, {"ProvisionedPollerConfig": {}}),
    _Extra("metrics", ALTERS, _metrics, {"MetricsConfig": {"Metrics": []}}),
)


def _of_mapping(seen: Seen) -> Iterator[Foreign]:
    for extra in _EXTRAS:
        if found := extra.tell(seen.resource, seen.observed):
            yield seen.foreign(extra.subject, extra.risk, found, _resetting(seen, extra))
    yield from _consumers(seen)


def _resetting(seen: Seen, extra: _Extra) -> Callable[[], None]:
    run, uuid = seen.run, seen.observed["UUID"]

    def remove() -> None:
        with run.exclusive(seen.resource.address):
            unless_gone(run, "update_event_source_mapping", UUID=uuid, **extra.undo)

    return remove


def _consumers(seen: Seen) -> Iterator[Foreign]:
    """Who else takes messages from the queue or from its dead-letter queue."""
    run, mapping = seen.run, seen.resource
    readings, *dead_letters = _queues(run, mapping)
    for each in seen.read(mappings):
        source = each.get("EventSourceArn")
        # A mapping that was given to another function is not found as the declared one any more.
        if each["UUID"] == seen.observed.get("UUID") or source not in (readings, *dead_letters):
            continue
        taker = each["FunctionArn"].partition(":function:")[2]
        if source != readings:
            found = f"{taker} takes the messages from {mapping.queue.dead_letter.name} that somebody should look at"
        elif _function_of(each) == mapping.function.arn(run):
            found = f"{taker} takes readings from {mapping.queue.name} with other settings than declared"
        else:
            found = f"{taker} takes readings from {mapping.queue.name}, which {mapping.function.name} then never sees"
        subject = f"event source mapping {each['UUID']}"
        yield seen.foreign(
            subject,
            DRAINS,
            f"{found} (mapping {each['State']})",
            removing(run, "delete_event_source_mapping", UUID=each["UUID"]),
        )


def _queues(run: Run, mapping: EventSourceMapping) -> list[str]:
    """The ARN of the queue, and of its dead-letter queue if it has one."""
    return [each.arn(run) for each in (mapping.queue, mapping.queue.dead_letter) if each]


def _function_of(mapping: Answer) -> str:
    """The ARN of the function, without the alias or version."""
    return ":".join(mapping["FunctionArn"].split(":")[:7])


CHECK = Check(_of_mapping, (mappings,), absent=True)
