"""The settings of one environment: every key with its default, its limits and its meaning."""

from __future__ import annotations

import platform
import sys
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from iotpipe.configuration.formats import (
    MOST_TAGS,
    NAME,
    AccountId,
    Email,
    KeyArn,
    PolicyArn,
    Region,
    Stage,
    Suffix,
    TagKey,
    TagValue,
    WebAclArn,
    distinct,
    tag_set,
)
from iotpipe.handlers.processing_settings import WHOLE_NUMBERS

_LARGE = 1_000_000
"""The upper limit where AWS documents none."""

_RETENTIONS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400),
    *(545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
"""The values that PutRetentionPolicy of CloudWatch Logs accepts."""


class Section(BaseModel):
    """A group of settings; unknown keys are refused, and text is not converted to numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _whole(default: int | None, low: int, high: int, meaning: str) -> Any:
    return Field(default=default, ge=low, le=high, description=meaning)


def _plain(default: Any, meaning: str) -> Any:
    return Field(default=default, description=meaning)


def _section(kind: type[Section]) -> Any:
    return Field(default_factory=kind)


def _from_name(meaning: str) -> Any:
    """A text whose default follows from the environment's name: the JSON Schema can give none."""
    return Field(default="", description=meaning, json_schema_extra=_drop_default)


def _drop_default(schema: dict[str, Any]) -> None:
    del schema["default"]


def _retention(days: int) -> int:
    # Not a Literal: that would take True for 1 and 30.0 for 30.
    if days not in _RETENTIONS:
        raise ValueError
    return days


Retention = Annotated[int, AfterValidator(_retention), WithJsonSchema({"type": "integer", "enum": list(_RETENTIONS)})]


class Tables(Section):
    """Both DynamoDB tables."""

    point_in_time_recovery: bool = _plain(
        True, "Whether both tables can be restored to any second of the last 35 days."
    )
    deletion_protection: bool = _plain(False, "Whether DynamoDB itself refuses to delete the tables.")


class Queue(Section):
    """The queue between ingestion and processor, and its dead-letter queue."""

    visibility_timeout: int = _whole(
        *(360, 0, 43_200),
        "Seconds that a received message stays hidden: at least batching_window plus the processor's timeout. AWS "
        "recommends batching_window plus 6 times the timeout.",
    )
    retention: int = _whole(345_600, 60, 1_209_600, "Seconds that the queue keeps a message that is not processed.")
    max_receives: int = _whole(3, 1, 1000, "Deliveries after which a message moves to the dead-letter queue.")
    batch_size: int = _whole(
        10, 1, 10_000, "Most messages that the processor gets at once; more than 10 requires a batching_window."
    )
    batching_window: int = _whole(0, 0, 300, "Seconds that Lambda waits for a batch to fill.")
    maximum_concurrency: int = _whole(
        *(80, 2, 1000),
        "Most batches processed at the same time; below the processor's reserved_concurrency, because POST /process "
        "needs a part of it.",
    )
    dead_letter_retention: int = _whole(
        *(1_209_600, 60, 1_209_600),
        "Seconds that a failed message is kept, counted from when it was first sent; at least retention.",
    )


class Devices(Section):
    """Devices that publish their readings over MQTT with mutual TLS, each with a certificate of its own."""

    enabled: bool = _plain(False, "Whether devices can publish over MQTT, with `iotpipe device add`.")
    batch_size: int = _whole(10, 1, 10, "Most MQTT messages that ingestion gets at once.")
    maximum_concurrency: int = _whole(
        *(20, 2, 1000),
        "Most batches of MQTT messages that ingestion works on at the same time; below its reserved_concurrency, "
        "because POST /ingest needs a part of it.",
    )


def _memory(default: int) -> Any:
    return _whole(default, 128, 10_240, "Memory in MB; Lambda gives CPU in proportion to it.")


def _timeout(default: int) -> Any:
    return _whole(default, 1, 900, "Seconds after which Lambda stops an invocation.")


def _concurrency(stopped: str = "0 stops the function.") -> Any:
    return _whole(
        *(100, 0, _LARGE),
        "Concurrent invocations that are reserved for the function out of the account's pool; it never gets more. "
        f"null reserves none; {stopped}",
    )


class Function(Section):
    """One Lambda function."""

    memory: int = _memory(256)
    timeout: int = _timeout(60)
    reserved_concurrency: int | None = _concurrency()


class Ingestion(Function):
    """data-ingestion, which receives readings from POST /ingest."""


class Processor(Function):
    """data-processor, which receives readings from the queue and from POST /process."""

    memory: int = _memory(512)
    reserved_concurrency: int | None = _concurrency(
        "0 stops the function and its event source mapping: messages wait in the queue, for queue.retention at most."
    )


class Query(Function):
    """data-query, which answers GET /query and GET /devices."""

    timeout: int = _timeout(30)


Runtime = Literal["python3.11", "python3.12", "python3.13", "python3.14"]


class Functions(Section):
    """The three Lambda functions: their common settings, and those of each."""

    runtime: Runtime = _plain(
        "python3.13",
        "Python version of the functions. With target local, the default is the version that runs iotpipe.",
    )
    architecture: Literal["arm64", "x86_64"] = _plain(
        "arm64",
        "CPU architecture of the functions. With target local, the default is the architecture of this machine.",
    )
    log_retention: Retention = _plain(30, "Days that CloudWatch Logs keeps the logs of the functions and of the API.")
    permissions_boundary: PolicyArn | None = _plain(
        None,
        "ARN of the permissions boundary of every role that iotpipe creates, including API Gateway's logging role.",
    )
    ingestion: Ingestion = _section(Ingestion)
    processor: Processor = _section(Processor)
    query: Query = _section(Query)


class Throttle(Section):
    """API Gateway's limits for all clients together; requests above them get 429."""

    rate: float = Field(default=1000.0, ge=0, le=_LARGE, description="Requests per second, on average.")
    burst: int = _whole(1000, 0, _LARGE, "Requests at one moment, above the rate.")


class Api(Section):
    """The REST API."""

    stage: Stage = _from_name("First part of every path. Default: the environment's name, with - replaced by _.")
    throttle: Throttle = _section(Throttle)
    logging: Literal["INFO", "ERROR", "OFF"] = _plain("INFO", "What API Gateway logs of each request.")
    access_logs: Retention | None = _plain(
        None, "Days that CloudWatch Logs keeps the access log: who called what, when and from where. null writes none."
    )
    metrics: bool = _plain(True, "Whether CloudWatch gets metrics for each method.")
    tracing: bool = _plain(True, "Whether X-Ray traces begin at the API.")
    web_acl: WebAclArn | None = _plain(
        None, "ARN of the regional web ACL (WAFv2) that decides which requests reach the stage. null for none."
    )
    require_api_key: bool = _plain(
        False, "Whether POST /ingest requires the header X-Api-Key in addition to the signature."
    )


class Alerts(Section):
    """Who gets alerts, and the thresholds: each is the highest value within 300 seconds without an alarm."""

    emails: Annotated[tuple[Email, ...], AfterValidator(distinct)] = Field(
        default=(),
        description="Addresses that get the alerts; each must confirm a message from AWS first.",
        json_schema_extra={"uniqueItems": True},
    )
    errors: int = _whole(10, 0, _LARGE, "Failed invocations of one function.")
    throttles: int = _whole(5, 0, _LARGE, "Throttled invocations of one function.")
    table_throttles: int = _whole(10, 0, _LARGE, "Throttled reads and writes of one table.")
    dead_letters: int = _whole(0, 0, _LARGE, "Messages in the dead-letter queue.")
    queue_age: int = _whole(900, 0, 1_209_600, "Age in seconds of the oldest message in a queue.")
    api_errors: int = _whole(5, 0, _LARGE, "Answers of the API with a 5XX status.")
    device_failures: int = _whole(
        0, 0, _LARGE, "MQTT messages of devices that AWS IoT could not queue, by each of the ways in which it can fail."
    )


def _of_handlers(name: str) -> Any:
    known = WHOLE_NUMBERS[name]
    return _whole(known.default, known.low, known.high, known.meaning)


class Processing(Section):
    """Settings that the handlers read at run time from the SSM parameter /iot-pipeline/<suffix>/config."""

    batch_size: int = _of_handlers("batch_size")
    processing_timeout: int = _of_handlers("processing_timeout")
    max_readings: int = _of_handlers("max_readings")
    alert_threshold: int = _of_handlers("alert_threshold")
    alert_cooldown: int = _of_handlers("alert_cooldown")
    past_days: int = _of_handlers("past_days")
    future_minutes: int = _of_handlers("future_minutes")


def _on_this_machine(values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with the defaults of `target: local`: its functions run with the Python that runs iotpipe."""
    runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
    here = {"runtime": runtime} if runtime in get_args(Runtime) else {}
    if processor := {"arm64": "arm64", "aarch64": "arm64", "x86_64": "x86_64"}.get(platform.machine()):
        here["architecture"] = processor
    functions = values.get("functions", {})
    # AWS_REGION must not change where the resources of the embedded AWS are.
    known = {"region": "us-east-1"} | values
    return known | {"functions": here | functions} if isinstance(functions, dict) else known


class Environment(Section):
    """The settings of one iotpipe environment. Every key may be left out."""

    name: Annotated[str, NAME, SkipJsonSchema()]
    account: AccountId | None = _plain(
        None, "12 digits in quotes: the only AWS account that this environment may be brought up in."
    )
    region: Region | None = _plain(None, "AWS region. Default: what AWS_REGION or the profile says.")
    suffix: Suffix = _from_name("Ending of every name on AWS. Default: the environment's name.")
    target: Literal["aws", "local"] = _plain(
        "aws",
        "aws, or local for the embedded AWS on this machine. Default: local for the environment named local, else aws.",
    )
    tags: Annotated[dict[TagKey, TagValue], AfterValidator(tag_set)] = Field(
        default_factory=dict,
        description="Tags for every resource that supports tags, in addition to iotpipe's own.",
        json_schema_extra={"maxProperties": MOST_TAGS, "default": {}},
    )
    kms_key: KeyArn | None = _plain(
        None,
        "ARN of your own KMS key, for everything that it can encrypt: tables, queues, topic, logs, the functions' "
        "environment and the API key. null uses AWS's own keys. Add a key that was in use before to former_kms_keys.",
    )
    former_kms_keys: Annotated[tuple[KeyArn, ...], AfterValidator(distinct)] = Field(
        default=(),
        description="ARNs that kms_key had before: the functions may still use these keys, for messages in the queues "
        "that were encrypted with them.",
        json_schema_extra={"uniqueItems": True},
    )
    protect: bool = _plain(
        False,
        "Whether iotpipe refuses `down`, and an `up` that would delete or replace data, messages, a key or the URL.",
    )
    tables: Tables = _section(Tables)
    queue: Queue = _section(Queue)
    devices: Devices = _section(Devices)
    functions: Functions = _section(Functions)
    api: Api = Field(default_factory=Api, validate_default=True)
    alerts: Alerts = _section(Alerts)
    processing: Processing = Field(default_factory=Processing, validate_default=True)

    @property
    def usable_kms_keys(self) -> tuple[str, ...]:
        """The KMS keys that the functions may use, each once."""
        return tuple(dict.fromkeys((*filter(None, [self.kms_key]), *self.former_kms_keys)))

    @model_validator(mode="before")
    @classmethod
    def _with_defaults_from_name(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        name = values.get("name")
        known = {"suffix": name, "target": "local" if name == "local" else "aws"} | values
        return _on_this_machine(known) if known["target"] == "local" else known

    @field_validator("api", mode="after")
    @classmethod
    def _with_stage_from_name(cls, api: Api, info: ValidationInfo) -> Api:
        if api.stage or "name" not in info.data:
            return api
        return api.model_copy(update={"stage": info.data["name"].replace("-", "_")})

    @field_validator("processing", mode="after")
    @classmethod
    def _with_threshold_in_reach(cls, processing: Processing, info: ValidationInfo) -> Processing:
        if "alert_threshold" in processing.model_fields_set or "queue" not in info.data:
            return processing
        reached = min(processing.alert_threshold, info.data["queue"].batch_size - 1)
        return processing.model_copy(update={"alert_threshold": reached})
