"""The physical names of all resources of an environment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

HANDLERS = ("ingestion", "processor", "query")
"""The handlers, each a module of iotpipe.handlers and a function of its own."""

DEAD_LETTER_QUEUE = "iot-dlq"
READING_QUEUE = "iot-ingestion-queue"
DEVICE_QUEUE = "iot-device-queue"
_RAW_TABLE = "raw-sensor-data"
_PROCESSED_TABLE = "processed-data"
_TOPIC = "iot-alerts"
_REST_API = "iot-api"


@dataclass(frozen=True)
class Names:
    """The names of the resources with this suffix."""

    suffix: str

    @property
    def raw_table(self) -> str:
        return f"{_RAW_TABLE}-{self.suffix}"

    @property
    def processed_table(self) -> str:
        return f"{_PROCESSED_TABLE}-{self.suffix}"

    @property
    def dead_letter_queue(self) -> str:
        return f"{DEAD_LETTER_QUEUE}-{self.suffix}"

    @property
    def reading_queue(self) -> str:
        """The queue that the processor reads."""
        return f"{READING_QUEUE}-{self.suffix}"

    @property
    def device_queue(self) -> str:
        """The queue with what devices publish, which ingestion reads."""
        return f"{DEVICE_QUEUE}-{self.suffix}"

    @property
    def device_rule(self) -> str:
        """The topic rule that puts what devices publish into their queue. AWS allows no hyphen in its name."""
        return f"iotpipe_{self.suffix.replace('-', '_')}"

    @property
    def device_rule_role(self) -> str:
        return f"iot-device-rule-role-{self.suffix}"

    @property
    def device_policy(self) -> str:
        """The AWS IoT policy of every device."""
        return f"iot-device-policy-{self.suffix}"

    def thing(self, device_id: str) -> str:
        """The thing of a device, which is also its MQTT client id. The prefix tells the environments apart."""
        return f"{self.suffix}:{device_id}"

    def readings_topic(self, thing: str) -> str:
        """The MQTT topic to which a device publishes its readings; `+` for the thing makes the filter of the rule."""
        return f"iotpipe/{self.suffix}/{thing}/readings"

    def basic_ingest_topic(self, thing: str) -> str:
        """The same topic by way of Basic Ingest, which goes to the rule without the broker and costs no message."""
        return f"$aws/rules/{self.device_rule}/{self.readings_topic(thing)}"

    def errors_topic(self, thing: str) -> str:
        """The MQTT topic to which ingestion publishes why it refused a reading of the device."""
        return f"iotpipe/{self.suffix}/{thing}/errors"

    @property
    def topic(self) -> str:
        return f"{_TOPIC}-{self.suffix}"

    @property
    def api_key(self) -> str:
        return f"/iot-pipeline/{self.suffix}/api-key"

    @property
    def settings(self) -> str:
        """The parameter with the handlers' settings."""
        return f"/iot-pipeline/{self.suffix}/config"

    @property
    def layer(self) -> str:
        return f"iot-shared-dependencies-{self.suffix}"

    @property
    def rest_api(self) -> str:
        return f"{_REST_API}-{self.suffix}"

    @property
    def access_log(self) -> str:
        return f"/aws/apigateway/{self.rest_api}"

    def function(self, handler: str) -> str:
        return f"{_function(handler)}-{self.suffix}"

    def log_group(self, handler: str) -> str:
        return f"/aws/lambda/{self.function(handler)}"

    def role(self, handler: str) -> str:
        return f"iot-{handler}-lambda-role-{self.suffix}"

    def alarm(self, base: str) -> str:
        return f"{base}-{self.suffix}"


def _function(handler: str) -> str:
    return f"data-{handler}"


class _Recorded(Protocol):
    """A row of the state file."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def created_at(self) -> str: ...


_BY_SUFFIX = (
    ("rest-api", _REST_API),
    *(("function", _function(each)) for each in HANDLERS),
    ("queue", READING_QUEUE),
    ("queue", DEAD_LETTER_QUEUE),
    ("topic", _TOPIC),
    ("table", _RAW_TABLE),
    ("table", _PROCESSED_TABLE),
)
"""Resources whose names end in the suffix. Tables come last: those of an earlier suffix are kept."""


def recorded_suffix(rows: Iterable[_Recorded]) -> str:
    """The environment's current suffix, from its newest recorded API; empty if none is recorded."""
    rows = list(rows)
    for kind, base in _BY_SUFFIX:
        if named := [row for row in rows if row.kind == kind and row.name.startswith(f"{base}-")]:
            newest = max(named, key=lambda row: (row.status != "deleting", row.created_at))
            return newest.name.removeprefix(f"{base}-")
    return ""
