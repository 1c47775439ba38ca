"""The way in over MQTT: the topic rule that queues what devices publish, and the policy of their certificates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iotpipe.names import Names
from iotpipe.pipeline.functions import USE_KEY, USES_KEY, feed_of_devices
from iotpipe.pipeline.storage import Storage
from iotpipe.provision.resources.event_source_mapping import EventSourceMapping
from iotpipe.provision.resources.function import Function
from iotpipe.provision.resources.iot_policy import IotPolicy, Permit
from iotpipe.provision.resources.role import Allow, Role
from iotpipe.provision.resources.topic_rule import TopicRule

if TYPE_CHECKING:
    from iotpipe.configuration import Environment

_THING = "${iot:Connection.Thing.ThingName}"
"""In a policy: the thing with the name of the MQTT client id, if the certificate is attached to it."""


@dataclass(frozen=True)
class Devices:
    """What an environment needs for devices that publish over MQTT."""

    rule: TopicRule
    policy: IotPolicy
    feed: EventSourceMapping


def devices(env: Environment, storage: Storage, ingestion: Function) -> Devices | None:
    """Declare the way in over MQTT; None if the environment has none."""
    if storage.devices is None:
        return None
    names, keys = Names(env.suffix), env.usable_kms_keys
    queues = (storage.devices, storage.dead_letters)
    role = Role(
        names.device_rule_role,
        service="iot.amazonaws.com",
        may=[
            Allow("Queue", ["sqs:SendMessage"], on=queues),
            *([Allow(USES_KEY, USE_KEY, on=keys)] if keys else []),
        ],
        boundary=env.functions.permissions_boundary,
        only_for="iot",
    )
    rule = TopicRule(
        names.device_rule,
        sql=_sql(names),
        description=f"What devices of {env.suffix} publish, for {ingestion.name}",
        queue=storage.devices,
        failures=storage.dead_letters,
        role=role,
    )
    policy = IotPolicy(names.device_policy, may=_permits(names), rules=[rule])
    return Devices(rule, policy, feed_of_devices(env, storage.devices, ingestion))


def _sql(names: Names) -> str:
    """The whole message, whatever its bytes are, with what AWS knows of who sent it. The payload names no device."""
    columns = {
        "encode(*, 'base64')": "payload",
        "topic(3)": "thing",
        "timestamp()": "received",
        "traceid()": "trace",
        "clientid()": "client",
        "principal()": "certificate",
    }
    selected = ", ".join(f"{value} AS {name}" for value, name in columns.items())
    return f"SELECT {selected} FROM '{names.readings_topic('+')}'"


def _permits(names: Names) -> Sequence[Permit]:
    """A device connects as its own thing only, publishes its own readings, and hears what was refused of them.

    In a policy `*` reaches over the levels of a topic, and a variable with the client id would let every device be
    any other: https://docs.aws.amazon.com/iot/latest/developerguide/pub-sub-policy.html
    """
    attached = {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}
    errors = names.errors_topic(_THING)
    published = (names.readings_topic(_THING), names.basic_ingest_topic(_THING))
    return (
        Permit("iot:Connect", [f"client/{_THING}"], attached),
        Permit("iot:Publish", [f"topic/{each}" for each in published]),
        Permit("iot:Subscribe", [f"topicfilter/{errors}"]),
        Permit("iot:Receive", [f"topic/{errors}"]),
    )
