"""What is there already: names that others use, alarms that see nothing, and addresses that get no alert."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from iotpipe.checks.finding import Finding, ok, problem, unknown, warning
from iotpipe.operations.health import unconfirmed
from iotpipe.provision.foreign.finding import DRAINS, OPENS, STOPS
from iotpipe.provision.plan import Plan
from iotpipe.provision.resource import Resource
from iotpipe.provision.resources.alarm import Alarm
from iotpipe.provision.resources.metric import Metric
from iotpipe.provision.resources.topic import Topic
from iotpipe.provision.run import Run

NAMES, ALARMS, ALERTS = "resources", "alarms", "alerts"
LEFTOVERS, FOREIGN = "leftovers", "foreign"

_SEVERE = (OPENS, DRAINS, STOPS)


def names(steps: Plan) -> list[Finding]:
    """What `up` would do, and what it will not touch."""
    refused = [step.refusal for step in steps.steps if step.refusal]
    if refused:
        # A refusal ends with what to do.
        return [problem(NAMES, why, remedy) for why, _, remedy in (each.rpartition(". ") for each in refused)]
    counts = Counter(step.action for step in steps.steps)
    words = {"create": "to create", "update": "to update", "delete": "to delete", "none": "as declared"}
    said = [f"{counts[action]} {word}" for action, word in words.items() if counts[action]]
    return [ok(NAMES, f"{', '.join(said)}; no resource of others is in the way"), *leftovers(steps)]


def leftovers(steps: Plan) -> list[Finding]:
    """What bears the environment's tags and is not declared."""
    found = [step.address for step in steps.steps if step.address in steps.leftovers]
    if not found:
        return []
    text = f"neither declared nor recorded, but with this environment's tags: {', '.join(found)}"
    return [warning(LEFTOVERS, text, "`iotpipe plan` shows what `up` does with them")]


def foreign(steps: Plan) -> list[Finding]:
    """What others added to the resources, worst first."""
    remedy = "Remove it where nobody needs it, or let `iotpipe up --strict` remove all of them"
    found = [
        (problem if each.risk in _SEVERE else warning)(FOREIGN, f"{each.address}: {each.found}", each.instead or remedy)
        for each in steps.foreign
    ]
    unread = [unknown(FOREIGN, text, "Allow it, or look at it by hand") for text in steps.unread]
    return [*found, *unread]


def alarms(run: Run, resources: Sequence[Resource]) -> list[Finding]:
    """Alarms that cannot ring, since what they watch does not exist. Raises ResourceError where AWS does not say."""
    there = {each: run.look(each) for each in resources if isinstance(each, Alarm)}
    silent = [each for each, found in there.items() if found and found.get("StateValue") == "INSUFFICIENT_DATA"]
    blind = [each.name for each in silent if not any(_exists(run, metric) for metric in each.metrics)]
    if blind:
        text = f"CloudWatch had none of what these watch in two weeks: {', '.join(blind)}"
        remedy = (
            "Make traffic with `iotpipe send-test-data`; where it stays so, look at the alarm's metric in CloudWatch"
        )
        return [warning(ALARMS, text, remedy)]
    found = sum(each is not None for each in there.values())
    return [ok(ALARMS, f"all {found} see what they watch")] if found else []


def alerts(run: Run, resources: Sequence[Resource]) -> list[Finding]:
    """Addresses whose owners have not confirmed."""
    topics = [each for each in resources if isinstance(each, Topic) and run.look(each)]
    waiting = [address for topic in topics for address in unconfirmed(run, topic)]
    if not waiting:
        return []
    text = f"they get no alert before they confirm the mail that SNS sent: {', '.join(waiting)}"
    remedy = "Let them open its link, and look for it among their spam; what lapses is asked for again by the next `up`"
    return [warning(ALERTS, text, remedy)]


def _exists(run: Run, metric: Metric) -> bool:
    return run.with_retries("read", f"the metric {metric.name}", lambda attempt: any(_listed(run, metric)))


def _listed(run: Run, metric: Metric) -> Iterator[Mapping[str, Any]]:
    pages = run.client("cloudwatch").get_paginator("list_metrics")
    dimensions = [{"Name": name, "Value": value} for name, value in metric.dimensions.items()]
    for page in pages.paginate(Namespace=metric.namespace, MetricName=metric.name, Dimensions=dimensions):
        yield from page["Metrics"]
