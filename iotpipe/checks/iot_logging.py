"""Check whether AWS IoT writes logs: one setting per account and region, which iotpipe leaves as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from iotpipe.checks.finding import Finding, ok, warning
from iotpipe.provision.resource import Resource
from iotpipe.provision.resources.topic_rule import TopicRule
from iotpipe.provision.run import Run

CHECK = "AWS IoT logs"


def check(run: Run, resources: Sequence[Resource]) -> list[Finding]:
    """Check the logging options of an environment with devices. Raises ResourceError if AWS does not answer."""
    rule = next((each for each in resources if isinstance(each, TopicRule)), None)
    if rule is None:
        return []
    options = run.with_retries("read", "the logging options of AWS IoT", lambda attempt: _options(run))
    if options.get("disableAllLogs", not options) or options.get("defaultLogLevel") == "DISABLED":
        return [
            warning(
                CHECK,
                f"AWS IoT writes no logs in {run.aws.region}: why {rule.name} could not handle a message is in no log",
                f"`aws iot set-v2-logging-options --region {run.aws.region} --default-log-level ERROR --role-arn ROLE` "
                "turns them on, for everything in the account and region",
            )
        ]
    return [ok(CHECK, f"AWS IoT writes logs of level {options.get('defaultLogLevel', 'unknown')}")]


def _options(run: Run) -> dict[str, Any]:
    """The options; empty if nobody has set them."""
    iot = run.client("iot")
    try:
        found: dict[str, Any] = iot.get_v2_logging_options()
    except iot.exceptions.NotConfiguredException:
        return {}
    return found
