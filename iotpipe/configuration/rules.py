"""Find settings that conflict although each is valid: AWS would reject them during `up`, or readings would be lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from iotpipe.configuration.model import Environment
from iotpipe.configuration.problems import Path

_TIMEOUT: Path = ("functions", "processor", "timeout")
_RESERVED: Path = ("functions", "processor", "reserved_concurrency")


@dataclass(frozen=True)
class Conflict:
    """Conflicting settings at `paths`; the message points to the first one that the file contains."""

    paths: tuple[Path, ...]
    message: str
    remedy: str


def conflicts(environment: Environment) -> Iterator[Conflict]:
    """All conflicts of the environment's settings."""
    yield from _visibility(environment)
    yield from _batches(environment)
    yield from _threshold(environment)
    yield from _retention(environment)
    yield from _concurrency(environment)
    if environment.devices.enabled:
        yield from _device_queue(environment)
    yield from _on_this_machine(environment)
    yield from _regions(environment)


def _visibility(environment: Environment) -> Iterator[Conflict]:
    """The visibility timeout must cover the batching window and the processing: it starts with the receive.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    """
    queue, timeout = environment.queue, environment.functions.processor.timeout
    hidden, window = queue.visibility_timeout, queue.batching_window
    if hidden < timeout:
        message = f"Lambda refuses a visibility timeout ({hidden} s) below the processor's timeout ({timeout} s)"
    else:
        message = (
            f"a visibility timeout of {hidden} s is below the batching window ({window} s) and the processor's timeout "
            f"({timeout} s) together"
        )
    if hidden < timeout + window:
        yield Conflict(
            (("queue", "visibility_timeout"), ("queue", "batching_window"), _TIMEOUT),
            f"{message}: messages would come back while they are processed, and good readings end in the dead-letter "
            "queue",
            f"Set queue.visibility_timeout to {timeout + window} at least; AWS recommends {6 * timeout + window}, six "
            "times the timeout and the window",
        )


def _batches(environment: Environment) -> Iterator[Conflict]:
    queue = environment.queue
    if queue.batch_size > 10 and queue.batching_window < 1:
        yield Conflict(
            (("queue", "batch_size"), ("queue", "batching_window")),
            f"Lambda refuses a batch size over 10 ({queue.batch_size}) without a batching window",
            "Set queue.batching_window to 1 at least, or queue.batch_size to 10 at most",
        )


def _threshold(environment: Environment) -> Iterator[Conflict]:
    most, threshold = environment.queue.batch_size, environment.processing.alert_threshold
    if threshold >= most:
        yield Conflict(
            (("processing", "alert_threshold"), ("queue", "batch_size")),
            f"a batch has {most} records at most, so that never more than {threshold} of one can fail: "
            "no alert would ever be sent",
            f"Set processing.alert_threshold to {most - 1} at most, or raise queue.batch_size",
        )


def _retention(environment: Environment) -> Iterator[Conflict]:
    kept, dead = environment.queue.retention, environment.queue.dead_letter_retention
    if dead < kept:
        yield Conflict(
            (("queue", "dead_letter_retention"), ("queue", "retention")),
            f"the dead-letter queue ({dead} s) would keep messages shorter than the queue ({kept} s): "
            "they arrive there with the age they have, and could vanish at once",
            f"Set queue.dead_letter_retention to {kept} at least",
        )


def _concurrency(environment: Environment) -> Iterator[Conflict]:
    wanted = environment.queue.maximum_concurrency
    reserved = environment.functions.processor.reserved_concurrency
    # 0 stops the processor, so that nothing is received from the queue.
    if reserved and wanted > reserved:
        yield Conflict(
            (("queue", "maximum_concurrency"), _RESERVED),
            f"the queue may have {wanted} batches processed at once, but the processor runs {reserved} times at once at"
            " most: Lambda throttles the others, and what is throttled queue.max_receives times ends in the "
            "dead-letter queue",
            "Lower queue.maximum_concurrency (2 at least), or raise functions.processor.reserved_concurrency",
        )


def _device_queue(environment: Environment) -> Iterator[Conflict]:
    """What _visibility and _concurrency demand, for the queue with what devices publish, which ingestion reads."""
    hidden, ingestion = environment.queue.visibility_timeout, environment.functions.ingestion
    if hidden < ingestion.timeout:
        yield Conflict(
            (("queue", "visibility_timeout"), ("functions", "ingestion", "timeout"), ("devices", "enabled")),
            f"Lambda refuses a visibility timeout ({hidden} s) below ingestion's timeout ({ingestion.timeout} s): "
            "ingestion reads what devices publish from a queue",
            f"Set queue.visibility_timeout to {ingestion.timeout} at least, or functions.ingestion.timeout to {hidden} "
            "at most",
        )
    wanted, reserved = environment.devices.maximum_concurrency, ingestion.reserved_concurrency
    if reserved and wanted > reserved:
        yield Conflict(
            (("devices", "maximum_concurrency"), ("functions", "ingestion", "reserved_concurrency")),
            f"{wanted} batches of MQTT messages may be worked on at once, but ingestion runs {reserved} times at once "
            "at most: Lambda throttles the others, and what is throttled queue.max_receives times ends in the "
            "dead-letter queue",
            "Lower devices.maximum_concurrency (2 at least), or raise functions.ingestion.reserved_concurrency",
        )


def _on_this_machine(environment: Environment) -> Iterator[Conflict]:
    """Reject settings that the embedded AWS accepts but ignores."""
    if environment.target != "local":
        return
    pretended: tuple[tuple[Path, object, str], ...] = (
        (("api", "access_logs"), environment.api.access_logs, "writes no access logs"),
        (("kms_key",), environment.kms_key, "encrypts nothing with a key of KMS"),
        (("former_kms_keys",), environment.former_kms_keys, "encrypts nothing with a key of KMS"),
        (("api", "web_acl"), environment.api.web_acl, "has no web ACLs"),
    )
    for path, value, what in pretended:
        if value:
            yield Conflict((path,), f"the AWS on this machine {what}", "Delete the line, or set target to aws")


def _regions(environment: Environment) -> Iterator[Conflict]:
    """Reject ARNs of another region where AWS requires the same region."""
    there: tuple[tuple[Path, str | None, str], ...] = (
        (("kms_key",), environment.kms_key, "KMS key"),
        *((("former_kms_keys", number), key, "KMS key") for number, key in enumerate(environment.former_kms_keys)),
        (("api", "web_acl"), environment.api.web_acl, "web ACL"),
    )
    for path, arn, what in there:
        region = arn.split(":")[3] if arn else environment.region
        if environment.region and region != environment.region:
            yield Conflict(
                (path, ("region",)),
                f"the {what} is in {region}, and the environment in {environment.region}: both must be in one region",
                f"Name a {what} of {environment.region}",
            )
