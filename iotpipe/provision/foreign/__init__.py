"""What others added to the resources of an environment: one file per AWS service, as in `resources`."""

from __future__ import annotations

from collections.abc import Mapping

from iotpipe.provision.foreign import apigateway, awslambda
from iotpipe.provision.foreign.cloudwatch import ALARM
from iotpipe.provision.foreign.dynamodb import TABLE
from iotpipe.provision.foreign.finding import RISKS, Check, Foreign, Seen
from iotpipe.provision.foreign.iam import ACCOUNT
from iotpipe.provision.foreign.logs import LOG_GROUP
from iotpipe.provision.foreign.sns import SUBSCRIPTION, TOPIC
from iotpipe.provision.foreign.sqs import QUEUE
from iotpipe.provision.foreign.ssm import PARAMETER

__all__ = ["CHECKS", "RISKS", "Check", "Foreign", "Seen"]

CHECKS: Mapping[str, Check] = {
    **awslambda.CHECKS,
    **apigateway.CHECKS,
    "table": TABLE,
    "queue": QUEUE,
    "topic": TOPIC,
    "subscription": SUBSCRIPTION,
    "parameter": PARAMETER,
    "secret": PARAMETER,
    "log-group": LOG_GROUP,
    "alarm": ALARM,
    "api-gateway-account": ACCOUNT,
}
"""By kind of resource."""
