"""Event source mappings from an SQS queue to a Lambda function."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from iotpipe.provision.resource import Properties, Recorded, Resource
from iotpipe.provision.resources.function import Function
from iotpipe.provision.resources.lambda_tags import retag
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.rights import TAGGED, TAGGED_BY_REQUEST, UNTAGGED, Right, regional_arn
from iotpipe.provision.run import Run
from iotpipe.provision.tag_search import tags_of

# AWS assigns the id: it is only known once the mapping exists.
_MAPPINGS_ARN = (regional_arn("lambda", "event-source-mapping:*"),)
_FUNCTION_ARN = {"lambda:FunctionArn": regional_arn("lambda", "function:{function}")}
_OF_FUNCTION = {"ArnEquals": _FUNCTION_ARN}
# IAM knows no function of a mapping that is gone: without `IfExists` AWS would deny the call instead of answering that
# there is no such mapping.
_OF_FUNCTION_OR_GONE = {"ArnEqualsIfExists": _FUNCTION_ARN}


@dataclass(frozen=True, eq=False)
class EventSourceMapping(Resource):
    """Feeds a queue's messages to a function, at most `batch_size` at once; the window is in seconds.

    One that is not `enabled` leaves the messages in the queue.
    """

    kind: ClassVar[str] = "event-source-mapping"
    aws_service: ClassVar[str] = "lambda"
    assigned: ClassVar[tuple[str, ...]] = ("UUID",)
    identity: ClassVar[tuple[str, ...]] = ("UUID", "EventSourceArn")
    arn_form: ClassVar[str] = r"lambda:event-source-mapping:(?P<name>(?P<UUID>[^:]+))"
    needs_final_cleanup: ClassVar[bool] = True
    rights: ClassVar[tuple[Right, ...]] = (
        # Both know no single mapping.
        Right("Anywhere", "lambda", ("*",), plan="ListEventSourceMappings"),
        Right("MakeMappings", "lambda", ("*",), up="CreateEventSourceMapping", when=_OF_FUNCTION),
        Right(
            "Mappings",
            "lambda",
            _MAPPINGS_ARN,
            up="UpdateEventSourceMapping",
            down="DeleteEventSourceMapping GetEventSourceMapping",
            when=_OF_FUNCTION_OR_GONE,
        ),
        Right("ReadMappingTags", "lambda", _MAPPINGS_ARN, plan="ListTags"),
        Right("MappingTags", "lambda", _MAPPINGS_ARN, up="TagResource UntagResource", when=TAGGED),
        # Only on mappings without the tag of an environment: here IAM has no other condition for the owner.
        Right("NewMappingTags", "lambda", _MAPPINGS_ARN, up="TagResource", when={**TAGGED_BY_REQUEST, **UNTAGGED}),
    )

    queue: Queue
    function: Function
    batch_size: int
    batching_window: int
    maximum_concurrency: int
    enabled: bool = True

    def desired(self, run: Run) -> Properties:
        return {
            "EventSourceArn": self.queue.arn(run),
            "FunctionArn": self.function.arn(run),
            "Enabled": self.enabled,
            "BatchSize": self.batch_size,
            "MaximumBatchingWindowInSeconds": self.batching_window,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": {"MaximumConcurrency": self.maximum_concurrency},
            "Tags": run.all_tags,
        }

    def read(self, run: Run) -> Properties | None:
        found = _mapping(run, self.queue.arn(run), self.function.arn(run))
        if found is None:
            return None
        uuid = found["UUID"]
        tags = tags_of(run, _mapping_arn(run, uuid), lambda: _mapping_tags(run, uuid))
        if tags is None:
            return None
        return {
            **found,
            "EventSourceArn": found["EventSourceArn"],
            "FunctionArn": found["FunctionArn"],
            # While the mapping is created or updated its state does not show it, and nobody can change it then.
            "Enabled": _ENABLED.get(found["State"], self.enabled),
            "BatchSize": found["BatchSize"],
            "MaximumBatchingWindowInSeconds": found.get("MaximumBatchingWindowInSeconds", 0),
            "FunctionResponseTypes": found.get("FunctionResponseTypes", []),
            "ScalingConfig": found.get("ScalingConfig", {}),
            "Tags": tags,
            "UUID": found["UUID"],
        }

    def create(self, run: Run, desired: Properties) -> Properties:
        settings = {key: value for key, value in desired.items() if key != "FunctionArn"}
        made = run.client("lambda").create_event_source_mapping(FunctionName=desired["FunctionArn"], **settings)
        return {"UUID": made["UUID"]}

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        client = run.client("lambda")
        fixed = ("EventSourceArn", "FunctionArn", "Tags")
        settings = {key: desired[key] for key in desired if key not in fixed and desired[key] != observed[key]}
        # First of all: Lambda may refuse to tag what it is still updating.
        retag(run, _mapping_arn(run, observed["UUID"]), desired, observed)
        if settings:
            client.update_event_source_mapping(UUID=observed["UUID"], **settings)
        return {}

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        client = run.client("lambda")
        uuid = _uuid(run, recorded)
        if uuid is None:
            return
        try:
            client.delete_event_source_mapping(UUID=uuid)
        except client.exceptions.ResourceNotFoundException:
            return

    @classmethod
    def final_cleanup(cls, run: Run, recorded: Recorded) -> None:
        # Its deletion takes seconds to minutes, and nothing else of the teardown has to wait for it.
        uuid = _uuid(run, recorded)
        if uuid is not None:
            reason = "waiting until the event source mapping is gone"
            run.until(recorded.address, reason, lambda: not _exists(run, uuid))

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        uuid, client = _uuid(run, recorded), run.client("lambda")
        try:
            # A mapping that is being deleted is as good as gone.
            if uuid is None or client.get_event_source_mapping(UUID=uuid)["State"] == "Deleting":
                return None
        except client.exceptions.ResourceNotFoundException:
            return None
        return _mapping_tags(run, uuid)

    @classmethod
    def identify(cls, run: Run, recorded: Recorded) -> Properties:
        found: Properties = run.client("lambda").get_event_source_mapping(UUID=_uuid(run, recorded))
        return found

    @classmethod
    def search(cls, run: Run) -> Iterator[Recorded]:
        for each in run.resources:
            if isinstance(each, EventSourceMapping):
                found = _mapping(run, each.queue.arn(run), each.function.arn(run))
                if found:
                    yield Recorded(f"{cls.kind}/{found['UUID']}", cls.kind, found["UUID"], {"UUID": found["UUID"]})


_ENABLED = {"Enabled": True, "Enabling": True, "Disabled": False, "Disabling": False}


def live_mappings(run: Run) -> list[dict[str, Any]]:
    """Every event source mapping of the account: a filter by queue or function would take a call for each."""
    every = run.once("event source mappings", lambda: _mappings(run))
    return [each for each in every if each["State"] != "Deleting"]


def _mappings(run: Run) -> list[dict[str, Any]]:
    pages = run.client("lambda").get_paginator("list_event_source_mappings").paginate()
    return [each for page in pages for each in page["EventSourceMappings"]]


def _mapping(run: Run, queue_arn: str, function_arn: str) -> dict[str, Any] | None:
    same = (e for e in live_mappings(run) if (e.get("EventSourceArn"), e["FunctionArn"]) == (queue_arn, function_arn))
    return next(same, None)


def _uuid(run: Run, recorded: Recorded) -> str | None:
    if "UUID" in recorded.properties:
        return str(recorded.properties["UUID"])
    found = _mapping(run, recorded.properties["EventSourceArn"], recorded.properties["FunctionArn"])
    return found["UUID"] if found else None


def _exists(run: Run, uuid: str) -> bool:
    client = run.client("lambda")
    try:
        client.get_event_source_mapping(UUID=uuid)
    except client.exceptions.ResourceNotFoundException:
        return False
    return True


def _mapping_tags(run: Run, uuid: str) -> dict[str, str] | None:
    """Its tags; None where it is gone since it was listed."""
    client = run.client("lambda")
    try:
        tags: dict[str, str] = client.list_tags(Resource=_mapping_arn(run, uuid))["Tags"]
    except client.exceptions.ResourceNotFoundException:
        return None
    return tags


def _mapping_arn(run: Run, uuid: str) -> str:
    return run.aws.arn("lambda", f"event-source-mapping:{uuid}")
