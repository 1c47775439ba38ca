"""What is particular to Lambda: only what differs is sent, updates are waited for, layers are streams of versions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.awslambda.models import LambdaBackend

from iotpipe.errors import ApplyFailed
from iotpipe.provision.resource import Resource, everything
from iotpipe.provision.resources.event_source_mapping import EventSourceMapping
from iotpipe.provision.resources.function import Function
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.references import ArnOf, NameOf, UrlOf
from iotpipe.provision.resources.topic import Topic
from tests.support.engine_world import refusal
from tests.support.manual_edits import client, mappings, sha256, zipped
from tests.support.resource_contract import QuickWorld, drifts, untouched
from tests.support.samples.every_kind import SAMPLES
from tests.support.samples.functions import a_function, a_layer


class Sent:
    """The parameters of every call of one operation."""

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self.parameters: list[dict[str, Any]] = []

    def __call__(self, operation: str, parameters: dict[str, Any]) -> None:
        if operation == self.operation:
            self.parameters.append(parameters)


def body(request: dict[str, Any]) -> dict[str, Any]:
    """What a request to Lambda says."""
    import json

    found: dict[str, Any] = json.loads(request["body"])
    return found


def up_with(world: QuickWorld, **changes: Any) -> Function:
    function = replace(a_function(), **changes)
    world.up(everything(function))
    return function


# Functions


def test_tags_are_set_before_lambda_is_busy_with_other_changes(world: QuickWorld) -> None:
    sample = SAMPLES["event-source-mapping"]
    mapping = sample.make()
    world.up(everything(mapping))
    changed = everything(replace(mapping, batch_size=3, function=replace(a_function(), memory=512)))  # type: ignore[type-var] # a mapping
    world.parallel = 1
    world.up(changed, tags={"team": "devices"})
    of_lambda = [each for each in world.writes if each.startswith(("TagR", "UpdateF", "UpdateE"))]
    assert of_lambda[-4:] == ["TagResource", "UpdateFunctionConfiguration", "TagResource", "UpdateEventSourceMapping"]
    assert untouched(world.plan(changed, tags={"team": "devices"}))


def test_a_function_that_is_still_being_made_is_not_taken_for_updated(world: QuickWorld) -> None:
    up_with(world)
    left = [2]

    def pending(operation: str, answer: dict[str, Any]) -> None:
        if operation == "GetFunctionConfiguration" and left[0]:
            left[0] -= 1
            answer["State"] = "Pending"
            answer.pop("LastUpdateStatus", None)

    world.after = pending
    up_with(world, memory=512)
    assert world.calls.count("GetFunctionConfiguration") == 3


def test_an_update_that_fails_without_a_reason_is_told_without_one(world: QuickWorld) -> None:
    up_with(world)

    def failed(operation: str, answer: dict[str, Any]) -> None:
        if operation == "GetFunctionConfiguration":
            answer["LastUpdateStatus"] = "Failed"

    world.after = failed
    with pytest.raises(ApplyFailed, match="sample-function: Lambda gives no reason"):
        up_with(world, memory=512)


def test_a_mapping_that_goes_while_it_is_looked_at_is_missing(world: QuickWorld) -> None:
    wanted = everything(SAMPLES["event-source-mapping"].make())
    world.up(wanted)
    gone = "Event source mapping not found: arn:aws:lambda:us-east-1:123456789012:event-source-mapping:x"
    world.before = lambda operation, _: (
        refusal(operation, "ResourceNotFoundException", gone) if operation == "ListTags" else None
    )
    # Its tags are asked for where the tagging service does not list them.
    world.after = lambda operation, answer: answer.get("ResourceTagMappingList", []).clear()
    step = next(each for each in world.plan(wanted).steps if each.address.startswith("event-source-mapping/"))
    assert (step.action, step.missing) == ("create", True)


def test_a_statement_that_somebody_removes_before_it_is_put_right_is_added_again(world: QuickWorld) -> None:
    sample = SAMPLES["permission"]
    wanted = everything(sample.make())
    world.up(wanted)
    next(each for each in sample.tamperings if each.what == "for anybody").act()

    def somebody_removes_it(operation: str, parameters: dict[str, Any]) -> ClientError | None:
        if operation != "RemovePermission":
            return None
        sample.remove()
        text = "Statement iotpipe-ingest is not found in resource policy."
        return refusal(operation, "ResourceNotFoundException", text)

    world.before = somebody_removes_it
    world.up(wanted)
    world.before = None
    assert sample.count() == 1
    assert untouched(world.plan(wanted))


def test_only_what_differs_is_sent(world: QuickWorld) -> None:
    up_with(world)
    sent = Sent("UpdateFunctionConfiguration")
    world.before = sent
    up_with(world, memory=512)
    assert [body(each) for each in sent.parameters] == [{"MemorySize": 512}]
    assert world.writes == ["UpdateFunctionConfiguration"]


def test_what_is_emptied_is_sent_as_empty_as_lambda_keeps_what_is_left_out(world: QuickWorld) -> None:
    up_with(world)
    sent = Sent("UpdateFunctionConfiguration")
    world.before = sent
    up_with(world, environment={})
    assert [body(each) for each in sent.parameters] == [{"Environment": {"Variables": {}}}]


def test_what_only_the_environment_names_is_created_too_and_not_waited_for(world: QuickWorld) -> None:
    queue, topic = Queue("only-named", 60), Topic("only-told", "Told")
    function = up_with(world, environment={"QUEUE": UrlOf(queue), "TOPIC": ArnOf(topic), "NAME": NameOf(queue)})
    url = client("sqs").get_queue_url(QueueName="only-named")["QueueUrl"]
    arn = client("sns").list_topics()["Topics"][0]["TopicArn"]
    configuration = client("lambda").get_function_configuration(FunctionName=function.name)
    assert configuration["Environment"]["Variables"] == {"QUEUE": url, "TOPIC": arn, "NAME": "only-named"}
    assert not {queue, topic} & set(function.needs())


def test_a_reservation_that_is_given_up_is_deleted_and_none_is_none(world: QuickWorld) -> None:
    up_with(world)
    up_with(world, reserved_concurrency=None)
    assert world.writes == ["DeleteFunctionConcurrency"]
    assert "ReservedConcurrentExecutions" not in client("lambda").get_function_concurrency(
        FunctionName="sample-function"
    )
    up_with(world, reserved_concurrency=None)
    assert not world.writes
    up_with(world, reserved_concurrency=0)
    assert world.writes == ["PutFunctionConcurrency"]
    assert untouched(world.plan(everything(replace(a_function(), reserved_concurrency=0))))


def test_a_function_without_a_reservation_makes_none(world: QuickWorld) -> None:
    up_with(world, reserved_concurrency=None)
    assert "CreateFunction" in world.writes
    assert not any("Concurrency" in call for call in world.writes)


def test_new_code_updates_the_code_and_nothing_else(world: QuickWorld) -> None:
    up_with(world)
    content = zipped("NEW = 1")
    up_with(world, code=content, code_sha256=sha256(content))
    assert world.writes == ["UpdateFunctionCode"]
    assert client("lambda").get_function(FunctionName="sample-function")["Configuration"]["CodeSha256"] == sha256(
        content
    )


def test_one_update_is_over_before_the_next_begins(world: QuickWorld) -> None:
    up_with(world)
    left = {"UpdateFunctionCode": 3, "UpdateFunctionConfiguration": 2}
    running: list[str] = []
    overlaps: list[str] = []

    def begin(operation: str, parameters: Any) -> None:
        if operation.startswith(("UpdateFunction", "PutFunction", "TagResource")):
            overlaps.extend(running)
            running[:] = [operation] if operation in left else []

    def in_progress(operation: str, answer: Any) -> None:
        if operation == "GetFunctionConfiguration" and running:
            left[running[0]] -= 1
            answer["LastUpdateStatus"] = "InProgress"
            if not left[running[0]]:
                running.clear()

    world.before, world.after = begin, in_progress
    content = zipped("NEW = 1")
    up_with(world, code=content, code_sha256=sha256(content), memory=512, reserved_concurrency=5)
    assert world.writes == ["UpdateFunctionCode", "UpdateFunctionConfiguration", "PutFunctionConcurrency"]
    assert not overlaps and not any(left.values())
    assert {event.detail for event in world.events if event.phase == "waiting"} == {
        "waiting until Lambda has applied the update"
    }


def test_an_update_that_lambda_could_not_carry_out_says_why(world: QuickWorld) -> None:
    up_with(world)

    def failed(operation: str, answer: Any) -> None:
        if operation == "GetFunctionConfiguration":
            answer["LastUpdateStatus"] = "Failed"
            answer["LastUpdateStatusReasonCode"] = "InvalidSubnet"
            answer["LastUpdateStatusReason"] = "no such subnet"

    world.after = failed
    with pytest.raises(ApplyFailed, match="InvalidSubnet: no such subnet"):
        up_with(world, memory=512)


# Layers


def layer_versions() -> list[str]:
    found = client("lambda").list_layer_versions(LayerName="sample-layer")["LayerVersions"]
    return [each["Description"] for each in found]


def test_a_layer_is_published_for_what_it_is_built_from_not_for_its_bytes(world: QuickWorld) -> None:
    world.up([a_layer()])
    rebuilt = replace(a_layer(), content=lambda: pytest.fail("nothing is to be published, so nothing is built"))
    world.up([rebuilt])
    assert not world.writes
    assert layer_versions() == ["iotpipe 0123456789abcdef dev"]


def test_a_new_layer_takes_the_functions_along_and_the_old_version_goes(world: QuickWorld) -> None:
    up_with(world)
    before = client("lambda").get_function(FunctionName="sample-function")["Configuration"]["Layers"]
    newer = replace(a_layer(), digest="fedcba9876543210")
    changed = everything(replace(a_function(), layer=newer))
    plan = world.plan(changed)
    assert {step.address for step in plan.pending} == {"layer/sample-layer", "function/sample-function"}
    world.up(changed)
    assert sorted(world.writes) == ["DeleteLayerVersion", "PublishLayerVersion", "UpdateFunctionConfiguration"]
    after = client("lambda").get_function(FunctionName="sample-function")["Configuration"]["Layers"]
    assert before != after
    assert layer_versions() == ["iotpipe fedcba9876543210 dev"]
    assert untouched(world.plan(changed))


def test_a_layer_version_that_is_not_ours_is_left_alone(world: QuickWorld) -> None:
    client("lambda").publish_layer_version(
        LayerName="sample-layer", Description="by hand", Content={"ZipFile": zipped("HAND = 1")}
    )
    world.up([a_layer()])
    assert sorted(layer_versions()) == ["by hand", "iotpipe 0123456789abcdef dev"]
    world.up([replace(a_layer(), digest="fedcba9876543210")])
    assert sorted(layer_versions()) == ["by hand", "iotpipe fedcba9876543210 dev"]
    world.down()
    assert layer_versions() == ["by hand"]


def test_a_layer_that_cannot_be_built_costs_nothing(world: QuickWorld) -> None:
    from iotpipe.errors import PackagingError

    def fail() -> bytes:
        raise PackagingError("no wheels")

    world.up([a_layer()])
    with pytest.raises(ApplyFailed, match="no wheels"):
        world.up([replace(a_layer(), digest="fedcba9876543210", content=fail)])
    assert layer_versions() == ["iotpipe 0123456789abcdef dev"]


# Event source mappings


def test_down_waits_until_the_mapping_is_gone_after_all_else_is(
    world: QuickWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = everything(SAMPLES["event-source-mapping"].make())
    world.up(wanted)
    asked = [0]

    def marked(self: Any, uuid: str) -> Any:
        found = self._event_source_mappings[uuid]
        found.state = "Deleting"
        return found

    really = LambdaBackend.get_event_source_mapping

    def gone_at_last(self: Any, uuid: str) -> Any:
        asked[0] += 1
        if asked[0] == 5:  # the first asks whose it is
            del self._event_source_mappings[uuid]
        return really(self, uuid)

    monkeypatch.setattr(LambdaBackend, "delete_event_source_mapping", marked)
    monkeypatch.setattr(LambdaBackend, "get_event_source_mapping", gone_at_last)
    world.down()
    assert asked == [5] and not mappings()
    assert world.clock.slept == [1, 1, 1]
    last = max(number for number, call in enumerate(world.writes) if call.startswith("Delete"))
    assert world.writes[last] != "DeleteEventSourceMapping", "nothing else waited for it"
    waiting = [event for event in world.events if event.phase == "waiting"]
    assert {event.detail for event in waiting} == {"waiting until the event source mapping is gone"}


def test_a_mapping_goes_though_its_function_is_gone_already(world: QuickWorld) -> None:
    world.up(everything(SAMPLES["event-source-mapping"].make()))
    client("lambda").delete_function(FunctionName="sample-function")
    assert mappings(), "it does not go with its function"
    world.down()
    assert not mappings()


def in_state(world: QuickWorld, state: str) -> None:
    """From now on AWS says that the mappings are in this state."""

    def told(operation: str, answer: Any) -> None:
        for each in answer.get("EventSourceMappings", []):
            each["State"] = state

    world.after = told


def a_feed(enabled: bool) -> list[Resource]:
    mapping = SAMPLES["event-source-mapping"].make()
    assert isinstance(mapping, EventSourceMapping)
    return everything(replace(mapping, enabled=enabled))


@pytest.mark.parametrize(
    ("enabled", "states"),
    [
        (True, ("Creating", "Enabling", "Enabled", "Updating")),
        (False, ("Creating", "Disabling", "Disabled", "Updating")),
    ],
)
def test_a_mapping_that_is_on_its_way_is_as_good_as_there(
    enabled: bool, states: tuple[str, ...], world: QuickWorld
) -> None:
    wanted = a_feed(enabled)
    world.up(wanted)
    for state in states:
        in_state(world, state)
        assert untouched(world.plan(wanted)), state


@pytest.mark.parametrize(
    ("enabled", "state"), [(True, "Disabled"), (True, "Disabling"), (False, "Enabled"), (False, "Enabling")]
)
def test_a_mapping_that_somebody_switched_is_drift(enabled: bool, state: str, world: QuickWorld) -> None:
    wanted = a_feed(enabled)
    world.up(wanted)
    in_state(world, state)
    assert drifts(world.plan(wanted).of("event-source-mapping/sample-queue-to-sample-function")) == {"Enabled"}


def test_a_mapping_is_made_disabled_where_it_is_to_be_and_enabled_later(world: QuickWorld) -> None:
    world.up(a_feed(enabled=False))
    assert [each["State"] for each in mappings()] == ["Disabled"]
    world.up(a_feed(enabled=True))
    assert world.writes == ["UpdateEventSourceMapping"]
    assert [each["State"] for each in mappings()] == ["Enabled"]
