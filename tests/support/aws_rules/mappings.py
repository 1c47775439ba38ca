"""Lambda's event source mappings: one per queue and function, busy with themselves for a while."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from tests.support.aws_rules.functions import CONFLICT, INVALID, Functions, KnownFunction
from tests.support.aws_rules.layer import Asked, Refused


@dataclass
class KnownMapping:
    answer: Any
    made: float
    state: str
    settled: float
    uuid: str = ""
    enabled: bool = True


class Lambda(Functions):
    """The whole service."""

    def __init__(self, reality: Any) -> None:
        super().__init__(reality)
        self.mappings: dict[str, KnownMapping] = {}
        self._wordings = itertools.cycle((_no_permission, _ensure))

    def fits_its_queues(self, function: KnownFunction, timeout: int) -> None:
        for each in self._of(function.arn):
            self._fits(each.answer["EventSourceArn"], timeout)

    def before_create_event_source_mapping(self, asked: Asked) -> None:
        function, source = self.known(asked), asked["EventSourceArn"]
        if function is None or self.now < function.made + self.delays.unwritable:
            raise Refused(INVALID, "Function does not exist")
        for each in self._of(function.arn):
            if each.answer["EventSourceArn"] == source:
                raise Refused(CONFLICT, _MAPPED.format(source, asked["FunctionName"], each.uuid), 409)
        for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
            if not self.reality.iam.may(function.role, f"sqs:{action}", source):
                raise Refused(INVALID, next(self._wordings)(source, action))
        if not self.reality.sqs.usable(source):
            raise Refused(INVALID, _NO_QUEUE)
        if asked["BatchSize"] > 10 and not asked.get("MaximumBatchingWindowInSeconds"):
            raise Refused(
                INVALID,
                "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
            )
        self._fits(source, function.timeout)

    def _fits(self, source: str, timeout: int) -> None:
        visibility = self.reality.sqs.visibility(source)
        if visibility < timeout:
            raise Refused(
                INVALID,
                f"Queue visibility timeout: {visibility} seconds is less than Function timeout: {timeout} seconds",
            )

    def _of(self, function_arn: str) -> list[KnownMapping]:
        self._settle()
        return [each for each in self.mappings.values() if each.answer["FunctionArn"] == function_arn]

    def after_create_event_source_mapping(self, asked: Asked, answer: Any) -> None:
        kept = {key: value for key, value in answer.items() if key != "ResponseMetadata"}
        settled = self.now + self.delays.mapping
        enabled = asked.get("Enabled", True)
        self.mappings[answer["UUID"]] = KnownMapping(kept, self.now, "Creating", settled, answer["UUID"], enabled)

    def _settle(self) -> None:
        for uuid, mapping in list(self.mappings.items()):
            if self.now >= mapping.settled:
                if mapping.state == "Deleting":
                    del self.mappings[uuid]
                mapping.state = "Enabled" if mapping.enabled else "Disabled"

    def _idle(self, asked: Asked, what: str) -> None:
        self._settle()
        mapping = self.mappings.get(asked["UUID"])
        if mapping is None:
            raise Refused("ResourceNotFoundException", "The resource you requested does not exist.", 404)
        if mapping.state not in ("Enabled", "Disabled"):
            text = f"Cannot {what} the event source mapping because it is in use."
            raise Refused("ResourceInUseException", text)

    def before_update_event_source_mapping(self, asked: Asked) -> None:
        self._idle(asked, "update")

    def after_update_event_source_mapping(self, asked: Asked, answer: Any) -> None:
        mapping = self.mappings[asked["UUID"]]
        enabled = asked.get("Enabled", mapping.enabled)
        turning = "Updating" if enabled == mapping.enabled else "Enabling" if enabled else "Disabling"
        mapping.state, mapping.enabled, mapping.settled = turning, enabled, self.now + self.delays.mapping

    def before_delete_event_source_mapping(self, asked: Asked) -> None:
        self._idle(asked, "delete")

    def after_delete_event_source_mapping(self, asked: Asked, answer: Any) -> None:
        mapping = self.mappings[asked["UUID"]]
        mapping.state, mapping.settled = "Deleting", self.now + self.delays.mapping_gone

    def before_tag_resource(self, asked: Asked) -> None:
        self._tag(asked)

    def before_untag_resource(self, asked: Asked) -> None:
        self._tag(asked)

    def _tag(self, asked: Asked) -> None:
        """By its documentation, Lambda refuses to tag what is changing; in which words is not known."""
        mapping = self._mapping_of(asked)
        if mapping and mapping.state not in ("Enabled", "Disabled"):
            raise Refused(CONFLICT, "Another operation is in progress", 409)

    def before_list_tags(self, asked: Asked) -> None:
        if ":event-source-mapping:" in asked["Resource"] and self._mapping_of(asked) is None:
            text = f"Event source mapping not found: {asked['Resource']}"
            raise Refused("ResourceNotFoundException", text, 404)

    def _mapping_of(self, asked: Asked) -> KnownMapping | None:
        self._settle()
        return self.mappings.get(asked["Resource"].rpartition(":")[2])

    def before_get_event_source_mapping(self, asked: Asked) -> Any:
        self._settle()
        mapping = self.mappings.get(asked["UUID"])
        return {**mapping.answer, "State": mapping.state} if mapping else None

    def after_list_event_source_mappings(self, asked: Asked, answer: Any) -> None:
        self._settle()
        there = {each["UUID"]: each for each in answer["EventSourceMappings"]}
        seen = [
            {**there.get(uuid, each.answer), "State": each.state}
            for uuid, each in self.mappings.items()
            if each.answer["EventSourceArn"] == asked.get("EventSourceArn", each.answer["EventSourceArn"])
            and self.now >= each.made + self.delays.unseen
        ]
        answer["EventSourceMappings"] = seen


_MAPPED = (
    'An event source mapping with SQS arn (" {} ") and function (" {} ") already exists. Please update or delete the '
    "existing mapping with UUID {}"
)
_NO_QUEUE = (
    "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: "
    "The specified queue does not exist."
)


# Lambda words it in either way: here it takes them in turns.


def _no_permission(queue: str, action: str) -> str:
    return f"The provided execution role does not have permissions to call {action} on SQS"


def _ensure(queue: str, action: str) -> str:
    name = queue.rsplit(":", 1)[1]
    actions = "ReceiveMessage, DeleteMessage, GetQueueAttributes"
    return f"Cannot access queue {name}. Please ensure the role can perform the {actions} Actions on your queue in IAM."
