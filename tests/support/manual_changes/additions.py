"""What somebody adds, most of it as the engine's own tests do it: on which resource, how bad, and taken away."""

from __future__ import annotations

from collections.abc import Iterator

from tests.provision.foreign.test_foreign_apigateway import CHANGES as OF_GATEWAY
from tests.provision.foreign.test_foreign_lambda import CHANGES as OF_LAMBDA
from tests.provision.foreign.test_foreign_lambda import FUNCTION, alias_for_anybody
from tests.support.foreign.additions import ADDED, CONFIG, DEAD, KEY, QUEUE, Added
from tests.support.manual_changes.data_drift import ALARM, GROUP, RAW
from tests.support.manual_changes.world import Change

ADDRESSES = {
    "queue": f"queue/{QUEUE}",
    "topic": "topic/iot-alerts-dev",
    "table": f"table/{RAW}",
    "parameter": f"parameter/{CONFIG}",
    "log-group": f"log-group/{GROUP}",
    "alarm": f"alarm/{ALARM}",
    "api-gateway-account": "api-gateway-account/us-east-1",
}
"""What is added to, by the first of the kinds that it needs."""
ELSEWHERE = {
    "a queue with a KMS key": f"queue/{DEAD}",
    "a patient queue": f"queue/{DEAD}",
    "a queue that takes no dead letters": f"queue/{DEAD}",
    "a queue that takes the dead letters of others": f"queue/{DEAD}",
    "a queue that takes our dead letters alone": f"queue/{DEAD}",
    "a filtered subscription": "subscription/ops@example.com",
    "a raw subscription": "subscription/ops@example.com",
    "a subscription with dead letters": "subscription/ops@example.com",
    "a secret that expires": f"secret/{KEY}",
    "a secret with a key of its own": f"secret/{KEY}",
}
BOUND = "a logging role without its boundary"
"""The pipeline of these tests has none."""


def _of_data() -> Iterator[Change]:
    for each in ADDED:
        if each.what != BOUND:
            yield Change(each.what, each.act, (_told(each),), remedy=each.refused, gap=each.gap)


def _told(added: Added) -> str:
    return f"{added.risk} {ELSEWHERE.get(added.what) or ADDRESSES[added.kinds[0]]}"


ADDITIONS = (
    *_of_data(),
    *(Change(each.what, each.act, (f"{each.risk} {each.address}",)) for each in (*OF_GATEWAY, *OF_LAMBDA)),
    Change("an alias that anybody may call", alias_for_anybody, (f"opens {FUNCTION}", f"alters {FUNCTION}")),
)
