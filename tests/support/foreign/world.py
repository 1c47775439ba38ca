"""A part of a pipeline with one resource of each kind, and a look at what others added to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient

from iotpipe.provision.foreign import Foreign
from iotpipe.provision.resource import Resource
from iotpipe.provision.resources.alarm import Alarm
from iotpipe.provision.resources.api_gateway_account import ApiGatewayAccount
from iotpipe.provision.resources.log_group import LogGroup
from iotpipe.provision.resources.metric import Metric
from iotpipe.provision.resources.parameter import Parameter
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.secret import Secret
from iotpipe.provision.resources.subscription import Subscription
from iotpipe.provision.resources.table import Table
from iotpipe.provision.resources.topic import Topic
from tests.support.engine_world import World
from tests.support.manual_edits import REGION
from tests.support.samples.functions import BOUNDARY

ROLE = f"iotpipe-api-gateway-logging-{REGION}"


def a_pipeline(*kinds: str) -> list[Resource]:
    """Its resources of these kinds, by default all."""
    dead_letters = Queue("iot-dlq-dev", 1_209_600)
    readings = Queue("iot-ingestion-queue-dev", 345_600, 60, dead_letter=dead_letters, max_receives=3)
    topic = Topic("iot-alerts-dev", display_name="IoT Processing Alerts")
    made: list[Resource] = [
        Table("raw-sensor-data-dev", ("device_id", "S"), ("timestamp", "N"), True, False),
        dead_letters,
        readings,
        topic,
        Subscription("ops@example.com", topic=topic),
        Parameter("/iot-pipeline/dev/config", {"batch_size": 100}),
        Secret("/iot-pipeline/dev/api-key"),
        LogGroup("/aws/lambda/data-query-dev", 30),
        Alarm(
            "iot-dlq-depth-dev", "dead letters", [Metric("AWS/SQS", "Depth", {"QueueName": "iot-dlq-dev"})], 0, topic
        ),
        ApiGatewayAccount(REGION, BOUNDARY),
    ]
    return [each for each in made if not kinds or each.kind in kinds]


def looked_at(world: World, declared: Sequence[Resource]) -> list[Foreign]:
    """What a plan finds that others added."""
    return list(world.plan(declared, foreign=True).foreign)


@dataclass
class Forgotten:
    """What moto does not keep: `show` puts it into the answers to `read`, until `write` is called with `clears`.

    `asks` are parameters of the reads that are about it, where there are others.
    """

    read: str
    show: Callable[[Any], Any]
    write: str = ""
    clears: dict[str, Any] = field(default_factory=dict)
    asks: dict[str, Any] = field(default_factory=dict)


@contextmanager
def remembered(gap: Forgotten | None) -> Iterator[None]:
    """Moto, as if it kept that."""
    call, cleared = BaseClient._make_api_call, []

    def called(self: Any, operation: str, parameters: dict[str, Any]) -> Any:
        if gap and operation == gap.write and gap.clears.items() <= parameters.items():
            cleared.append(operation)
            return {}
        answered = call(self, operation, parameters)
        if gap and operation == gap.read and not cleared and gap.asks.items() <= parameters.items():
            gap.show(answered)
        return answered

    with patch.object(BaseClient, "_make_api_call", called):
        yield
