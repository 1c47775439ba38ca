"""The tables, queues, topic and parameters that the functions use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iotpipe.names import Names
from iotpipe.provision.resources.parameter import Parameter
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.secret import Secret
from iotpipe.provision.resources.table import Table
from iotpipe.provision.resources.topic import Topic

if TYPE_CHECKING:
    from iotpipe.configuration import Environment


@dataclass(frozen=True)
class Storage:
    """Where an environment keeps readings, messages, alerts and settings."""

    raw: Table
    processed: Table
    readings: Queue
    dead_letters: Queue
    alerts: Topic
    api_key: Secret
    settings: Parameter
    devices: Queue | None
    """What devices publish over MQTT; None if they cannot."""

    @property
    def sources(self) -> tuple[Queue, ...]:
        """The queues that functions read."""
        return (self.readings,) if self.devices is None else (self.devices, self.readings)

    @property
    def tables(self) -> tuple[Table, Table]:
        return self.raw, self.processed


def storage(env: Environment) -> Storage:
    names, key = Names(env.suffix), env.kms_key
    dead_letters = Queue(names.dead_letter_queue, retention=env.queue.dead_letter_retention, kms_key=key)

    def source(name: str) -> Queue:
        return Queue(
            name,
            retention=env.queue.retention,
            visibility_timeout=env.queue.visibility_timeout,
            dead_letter=dead_letters,
            max_receives=env.queue.max_receives,
            kms_key=key,
        )

    return Storage(
        raw=_table(env, names.raw_table, ("device_id", "S"), ("timestamp", "N")),
        processed=_table(env, names.processed_table, ("device_id", "S"), ("event_date", "S")),
        readings=source(names.reading_queue),
        dead_letters=dead_letters,
        alerts=Topic(names.topic, display_name="IoT Processing Alerts", kms_key=key),
        api_key=Secret(names.api_key, kms_key=key),
        settings=Parameter(
            names.settings, value=env.processing.model_dump() | {"require_api_key": env.api.require_api_key}
        ),
        devices=source(names.device_queue) if env.devices.enabled else None,
    )


def _table(env: Environment, name: str, hash_key: tuple[str, str], range_key: tuple[str, str]) -> Table:
    return Table(
        name,
        hash_key=hash_key,
        range_key=range_key,
        point_in_time_recovery=env.tables.point_in_time_recovery,
        deletion_protection=env.tables.deletion_protection,
        kms_key=env.kms_key,
    )
