"""Foreign changes: what others added to the resources of an environment and the declaration does not have.

One file per kind of resource, named as in `resources`; parameters and secrets share ssm_parameters.py. A kind that is
not in CHECKS is not checked.
"""

from __future__ import annotations

from collections.abc import Mapping

from iotpipe.provision.foreign import (
    alarm,
    api_gateway_account,
    event_source_mapping,
    function,
    layer,
    log_group,
    permission,
    queue,
    rest_api,
    route,
    ssm_parameters,
    stage,
    subscription,
    table,
    topic,
)
from iotpipe.provision.foreign.finding import RISKS, Check, CheckedResource, Foreign

__all__ = ["CHECKS", "RISKS", "Check", "CheckedResource", "Foreign"]

CHECKS: Mapping[str, Check] = {
    "alarm": alarm.CHECK,
    "api-gateway-account": api_gateway_account.CHECK,
    "event-source-mapping": event_source_mapping.CHECK,
    "function": function.CHECK,
    "layer": layer.CHECK,
    "log-group": log_group.CHECK,
    "parameter": ssm_parameters.CHECK,
    "permission": permission.CHECK,
    "queue": queue.CHECK,
    "rest-api": rest_api.CHECK,
    "route": route.CHECK,
    "secret": ssm_parameters.CHECK,
    "stage": stage.CHECK,
    "subscription": subscription.CHECK,
    "table": table.CHECK,
    "topic": topic.CHECK,
}
"""By kind of resource."""
