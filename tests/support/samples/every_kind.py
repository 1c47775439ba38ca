"""One sample of every kind; a kind without one fails the suite."""

from __future__ import annotations

from tests.support.samples.api import ACCOUNT_SETTING, PERMISSION, REST_API, ROUTE, STAGE
from tests.support.samples.data import PARAMETER, QUEUE, SECRET, SUBSCRIPTION, TABLE, TOPIC
from tests.support.samples.functions import FUNCTION, LAYER, LOG_GROUP, MAPPING, ROLE
from tests.support.samples.monitoring import ALARM, DASHBOARD
from tests.support.samples.sample import Sample

SAMPLES: dict[str, Sample] = {
    "alarm": ALARM,
    "api-gateway-account": ACCOUNT_SETTING,
    "dashboard": DASHBOARD,
    "event-source-mapping": MAPPING,
    "function": FUNCTION,
    "layer": LAYER,
    "log-group": LOG_GROUP,
    "parameter": PARAMETER,
    "permission": PERMISSION,
    "queue": QUEUE,
    "rest-api": REST_API,
    "role": ROLE,
    "route": ROUTE,
    "secret": SECRET,
    "stage": STAGE,
    "subscription": SUBSCRIPTION,
    "table": TABLE,
    "topic": TOPIC,
}
