"""What others added between queues and functions: settings of the declared mapping, and further mappings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from iotpipe.provision.foreign.finding import ALTERS, DRAINS, OPENS, Check, CheckedResource, Foreign
from iotpipe.provision.foreign.lambda_calls import Response, call_if_exists, removal
from iotpipe.provision.resource import Properties
from iotpipe.provision.resources.event_source_mapping import EventSourceMapping, live_mappings
from iotpipe.provision.resources.function import Function
from iotpipe.provision.run import Run


def mappings(run: Run, resource: Function | EventSourceMapping) -> list[Response]:
    """Return every event source mapping of the account. The read of the declared mapping shares this list."""
    return list(live_mappings(run))


def other_sources(checked: CheckedResource) -> Iterator[Foreign]:
    """Yield mappings that invoke the function from other sources. `_consumers` covers the declared queues."""
    run, function = checked.run, checked.resource
    declared = {arn for each in run.resources if isinstance(each, EventSourceMapping) for arn in _queues(run, each)}
    for each in checked.read(mappings):
        if _function_of(each) == function.arn(run) and each.get("EventSourceArn") not in declared:
            source = each.get("EventSourceArn") or each.get("SelfManagedEventSource")
            text = f"{function.name} processes everything that is written to {source} (mapping {each['State']})"
            yield checked.finding(
                f"event source mapping {each['UUID']}",
                OPENS,
                text,
                removal(run, "delete_event_source_mapping", UUID=each["UUID"]),
            )


@dataclass(frozen=True)
class _Setting:
    """A setting that iotpipe never declares: `describe` returns its effect, empty if not set; `undo` resets it."""

    subject: str
    risk: str
    describe: Callable[[EventSourceMapping, Response], str]
    undo: Properties


def _filter(mapping: EventSourceMapping, live: Response) -> str:
    patterns = [each.get("Pattern", "") for each in (live.get("FilterCriteria") or {}).get("Filters") or []]
    text = f"messages of {mapping.queue.name} that do not match {' or '.join(patterns)} are deleted unprocessed"
    return text if patterns else ""


def _filter_key(mapping: EventSourceMapping, live: Response) -> str:
    key = live.get("KMSKeyArn")
    text = f"messages of {mapping.queue.name} may be deleted unprocessed, by a filter that is encrypted with {key}"
    return text if key else ""


def _destination(mapping: EventSourceMapping, live: Response) -> str:
    destinations = (live.get("DestinationConfig") or {}).values()
    places = [each["Destination"] for each in destinations if (each or {}).get("Destination")]
    return f"messages that {mapping.function.name} cannot process go to {', '.join(places)}" if places else ""


def _pollers(mapping: EventSourceMapping, live: Response) -> str:
    config = live.get("ProvisionedPollerConfig")
    return f"{mapping.queue.name} is polled by provisioned pollers, which are paid for: {config}" if config else ""


def _metrics(mapping: EventSourceMapping, live: Response) -> str:
    names = (live.get("MetricsConfig") or {}).get("Metrics")
    return (
        f"the mapping of {mapping.queue.name} writes metrics, which are paid for: {', '.join(names)}" if names else ""
    )


_SETTINGS = (
    _Setting("filter", DRAINS, _filter, {"FilterCriteria": {}}),
    # ListEventSourceMappings omits an encrypted filter.
    _Setting("key of the filter", DRAINS, _filter_key, {"FilterCriteria": {}, "KMSKeyArn": ""}),
    _Setting("destination", DRAINS, _destination, {"DestinationConfig": {"OnFailure": {"Destination": ""}}}),
    _Setting("pollers", ALTERS, _pollers, {"ProvisionedPollerConfig": {}}),
    _Setting("metrics", ALTERS, _metrics, {"MetricsConfig": {"Metrics": []}}),
)


def _check(checked: CheckedResource) -> Iterator[Foreign]:
    for setting in _SETTINGS:
        if text := setting.describe(checked.resource, checked.observed):
            yield checked.finding(setting.subject, setting.risk, text, _reset(checked, setting))
    yield from _consumers(checked)


def _reset(checked: CheckedResource, setting: _Setting) -> Callable[[], None]:
    run, uuid = checked.run, checked.observed["UUID"]

    def remove() -> None:
        with run.exclusive(checked.resource.address):
            call_if_exists(run, "update_event_source_mapping", UUID=uuid, **setting.undo)

    return remove


def _consumers(checked: CheckedResource) -> Iterator[Foreign]:
    """Yield other mappings that consume messages from the queue or from its dead-letter queue."""
    run, mapping = checked.run, checked.resource
    readings, *dead_letters = _queues(run, mapping)
    for each in checked.read(mappings):
        source = each.get("EventSourceArn")
        # If somebody changed the function of the declared mapping, iotpipe does not read it as the declared one.
        if each["UUID"] == checked.observed.get("UUID") or source not in (readings, *dead_letters):
            continue
        consumer = each["FunctionArn"].partition(":function:")[2]
        if source != readings:
            text = f"{consumer} takes the messages from {mapping.queue.dead_letter.name} that somebody should look at"
        elif _function_of(each) == mapping.function.arn(run):
            text = f"{consumer} takes readings from {mapping.queue.name} with other settings than declared"
        else:
            text = f"{consumer} takes readings from {mapping.queue.name}, which {mapping.function.name} then never sees"
        subject = f"event source mapping {each['UUID']}"
        yield checked.finding(
            subject,
            DRAINS,
            f"{text} (mapping {each['State']})",
            removal(run, "delete_event_source_mapping", UUID=each["UUID"]),
        )


def _queues(run: Run, mapping: EventSourceMapping) -> list[str]:
    """Return the ARN of the queue, and of its dead-letter queue if it has one."""
    return [each.arn(run) for each in (mapping.queue, mapping.queue.dead_letter) if each]


def _function_of(mapping: Response) -> str:
    """Return the ARN of the function, without the alias or version."""
    return ":".join(mapping["FunctionArn"].split(":")[:7])


CHECK = Check(_check, (mappings,), absent=True)
