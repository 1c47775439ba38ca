"""Check the existing resources: ownership, alarms without data, and unconfirmed alert subscriptions."""

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
    """Report what `up` would do, or the resources that it must not change."""
    refused = [step.refusal for step in steps.steps if step.refusal]
    if refused:
        # The last sentence of a refusal is its remedy.
        return [problem(NAMES, why, remedy) for why, _, remedy in (each.rpartition(". ") for each in refused)]
    counts = Counter(step.action for step in steps.steps)
    words = {"create": "to create", "update": "to update", "delete": "to delete", "none": "as declared"}
    planned = [f"{counts[action]} {word}" for action, word in words.items() if counts[action]]
    return [ok(NAMES, f"{', '.join(planned)}; no resource of others is in the way"), *leftovers(steps)]


def leftovers(steps: Plan) -> list[Finding]:
    """Orphans: resources with the environment's ownership tags that are neither declared nor recorded."""
    orphans = [step.address for step in steps.steps if step.address in steps.leftovers]
    if not orphans:
        return []
    text = f"neither declared nor recorded, but with this environment's tags: {', '.join(orphans)}"
    return [warning(LEFTOVERS, text, "Run `iotpipe plan`: it shows what `up` does with them")]


def foreign(steps: Plan) -> list[Finding]:
    """Additions of others to the resources, the most severe first."""
    remedy = "Remove it if nobody needs it, or run `iotpipe up --strict` to remove all of them"
    findings = [
        (problem if each.risk in _SEVERE else warning)(FOREIGN, f"{each.address}: {each.found}", each.instead or remedy)
        for each in steps.foreign
    ]
    unread = [unknown(FOREIGN, text, "Allow it, or check it by hand") for text in steps.unread]
    return [*findings, *unread]


def alarms(run: Run, resources: Sequence[Resource]) -> list[Finding]:
    """Alarms that cannot fire because their metrics do not exist. Raises ResourceError if AWS does not answer."""
    observed = {each: run.look(each) for each in resources if isinstance(each, Alarm)}
    without_data = [
        alarm for alarm, found in observed.items() if found and found.get("StateValue") == "INSUFFICIENT_DATA"
    ]
    without_metric = [each.name for each in without_data if not any(_exists(run, metric) for metric in each.metrics)]
    if without_metric:
        text = f"CloudWatch had no metric of these alarms in the past two weeks: {', '.join(without_metric)}"
        remedy = "Run `iotpipe send-test-data`; if they remain, check the alarm's metric in CloudWatch"
        return [warning(ALARMS, text, remedy)]
    existing = sum(each is not None for each in observed.values())
    return [ok(ALARMS, f"the metrics of all {existing} alarms exist")] if existing else []


def alerts(run: Run, resources: Sequence[Resource]) -> list[Finding]:
    """Addresses whose owners have not confirmed the subscription."""
    topics = [each for each in resources if isinstance(each, Topic) and run.look(each)]
    pending = [address for topic in topics for address in unconfirmed(run, topic)]
    if not pending:
        return []
    text = f"these receive no alerts until they confirm the e-mail from SNS: {', '.join(pending)}"
    remedy = "Ask them to open its link (it may be in the spam folder); if it has expired, the next `up` sends another"
    return [warning(ALERTS, text, remedy)]


def _exists(run: Run, metric: Metric) -> bool:
    return run.with_retries("read", f"the metric {metric.name}", lambda attempt: any(_listed(run, metric)))


def _listed(run: Run, metric: Metric) -> Iterator[Mapping[str, Any]]:
    pages = run.client("cloudwatch").get_paginator("list_metrics")
    dimensions = [{"Name": name, "Value": value} for name, value in metric.dimensions.items()]
    for page in pages.paginate(Namespace=metric.namespace, MetricName=metric.name, Dimensions=dimensions):
        yield from page["Metrics"]
