"""What a plan says of one resource and of many, and what it never does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iotpipe.errors import ApplyFailed, CredentialsError, Interrupted, RefusedError
from iotpipe.provision import apply, ledger
from iotpipe.provision import plan as planning
from iotpipe.provision.adoption import EVERYTHING
from iotpipe.provision.differences import Change, differences
from iotpipe.provision.resource import UNKNOWN, Resource, everything
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.rest_api import RestApi
from iotpipe.provision.resources.route import Route
from iotpipe.provision.resources.stage import Stage
from iotpipe.provision.resources.subscription import Subscription
from iotpipe.provision.resources.topic import Topic
from iotpipe.provision.run import Event
from tests.support.engine_world import declared, refusal
from tests.support.manual_edits import OTHER_TAGS, apis, arn, client, queue_url
from tests.support.resource_contract import Killed, QuickWorld, kill, on_write, untouched
from tests.support.samples.every_kind import SAMPLES
from tests.support.samples.sample import OURS


def queue(name: str = "q", visibility: int = 30) -> Queue:
    return Queue(name, retention=345_600, visibility_timeout=visibility)


def rows(world: QuickWorld) -> dict[str, ledger.Row]:
    contents = ledger.read(world.path)
    return dict(contents.rows) if contents else {}


# Drift and change


def test_what_we_change_is_no_drift_and_what_others_change_is(world: QuickWorld) -> None:
    world.up([queue(visibility=30)])
    changed = world.plan([queue(visibility=60)]).of("queue/q")
    assert changed.changes == (Change("VisibilityTimeout", "30", "60", drift=False),)
    assert not changed.drifted

    client("sqs").set_queue_attributes(QueueUrl=queue_url("q"), Attributes={"VisibilityTimeout": "5"})
    drifted = world.plan([queue(visibility=30)]).of("queue/q")
    assert drifted.changes == (Change("VisibilityTimeout", "5", "30", drift=True),)
    both = world.plan([queue(visibility=60)]).of("queue/q")
    assert both.changes == (Change("VisibilityTimeout", "5", "60", drift=True),)


def test_what_others_changed_to_what_is_now_declared_needs_no_write(world: QuickWorld) -> None:
    world.up([queue(visibility=30)])
    client("sqs").set_queue_attributes(QueueUrl=queue_url("q"), Attributes={"VisibilityTimeout": "60"})
    world.up([queue(visibility=60)])
    assert not world.writes
    client("sqs").set_queue_attributes(QueueUrl=queue_url("q"), Attributes={"VisibilityTimeout": "5"})
    assert world.plan([queue(visibility=60)]).of("queue/q").drifted, "60 counts as what was last set"


def test_what_is_not_declared_is_nobodys_business(world: QuickWorld) -> None:
    world.up([queue()])
    client("sqs").set_queue_attributes(QueueUrl=queue_url("q"), Attributes={"DelaySeconds": "9"})
    assert untouched(world.plan([queue()]))
    world.up([queue(visibility=60)])
    found = client("sqs").get_queue_attributes(QueueUrl=queue_url("q"), AttributeNames=["All"])["Attributes"]
    assert (found["DelaySeconds"], found["VisibilityTimeout"]) == ("9", "60")


def test_a_difference_is_named_by_its_leaf() -> None:
    desired = {"a": {"b": 1, "c": {"d": [1]}}, "e": None}
    observed = {"a": {"b": 1, "c": {"d": [2]}, "x": 3}, "e": None, "other": 1}
    assert {change.property for change in differences(desired, observed, None)} == {"a.c.d", "a.x"}


def test_an_id_that_is_not_known_yet_shows_as_such(world: QuickWorld) -> None:
    route = SAMPLES["route"].make()
    step = world.plan(everything(route)).of(route.address)
    assert ("RestApiId", UNKNOWN) in [(change.property, change.after) for change in step.changes]


def test_an_api_that_was_deleted_takes_what_named_it_along(world: QuickWorld) -> None:
    permission, stage = SAMPLES["permission"].make(), SAMPLES["stage"].make()
    assert isinstance(stage, Stage)
    wanted = [*everything(stage)]
    world.up(wanted)
    first = apis("sample-api")[0]["id"]
    client("apigateway").delete_rest_api(restApiId=first)
    plan = world.plan(wanted)
    assert {step.address for step in plan.pending} == {"rest-api/sample-api", "route/POST /ingest", "stage/prod"}
    assert all(step.missing for step in plan.pending)
    world.up(wanted)
    assert [each["id"] for each in apis("sample-api")] != [first]
    assert untouched(world.plan(wanted))
    assert permission.kind == "permission"


def test_a_permission_follows_the_api_to_its_new_id(world: QuickWorld) -> None:
    wanted = everything(SAMPLES["permission"].make())
    world.up(wanted)
    client("apigateway").delete_rest_api(restApiId=apis("sample-api")[0]["id"])
    step = world.plan(wanted).of("permission/iotpipe-ingest")
    assert [(change.property, change.drift) for change in step.changes] == [("SourceArn", False)]
    assert UNKNOWN in step.changes[0].after
    world.up(wanted)
    said = client("lambda").get_policy(FunctionName="sample-function")["Policy"]
    assert arn("execute-api", f"{apis('sample-api')[0]['id']}/*/POST/ingest") in said
    assert said.count("iotpipe-ingest") == 1


# What a plan does not do


@pytest.mark.matrix
def test_a_plan_of_anything_writes_nothing_to_aws_or_to_the_disk(world: QuickWorld, config_dir: Path) -> None:
    wanted, tags = declared(config_dir)
    world.plan(wanted, tags=tags)
    assert not world.writes and not list(world.directory.iterdir())
    world.up(wanted, tags=tags)
    before = world.path.read_bytes()
    world.plan([each for each in wanted if each.kind != "alarm"], tags={"other": "tags"}, adopt=EVERYTHING)
    assert not world.writes
    assert world.path.read_bytes() == before
    assert [each.name for each in world.directory.iterdir()] == ["dev.json"]


def test_a_plan_leaves_a_row_of_a_killed_create_as_it_is(world: QuickWorld) -> None:
    world.before = on_write(0, kill)
    with pytest.raises(Killed):
        world.up([queue()])
    world.before = None
    before = world.path.read_bytes()
    assert world.plan([queue()]).of("queue/q").action == "create"
    assert world.path.read_bytes() == before


# Whole plans


def test_steps_come_in_the_order_of_the_declaration_and_deletions_last(world: QuickWorld) -> None:
    world.up([queue("old-1"), queue("old-2"), queue("kept")])
    plan = world.plan([queue("new"), queue("kept")])
    assert [(step.address, step.action) for step in plan.steps] == [
        ("queue/new", "create"),
        ("queue/kept", "none"),
        ("queue/old-2", "delete"),
        ("queue/old-1", "delete"),
    ]


def test_what_is_no_longer_declared_is_deleted_but_for_data_and_what_is_shared(world: QuickWorld) -> None:
    table, account = SAMPLES["table"].make(), SAMPLES["api-gateway-account"].make()
    world.up([table, account, queue()])
    plan = world.plan([queue("other")])
    assert {step.address: step.action for step in plan.steps} == {
        "queue/other": "create",
        table.address: "keep",
        account.address: "keep",
        "queue/q": "delete",
    }
    world.up([queue("other")])
    assert SAMPLES["table"].count() == SAMPLES["api-gateway-account"].count() == 1
    assert not client("sqs").list_queues(QueueNamePrefix="q").get("QueueUrls")
    assert set(rows(world)) == {"queue/other", table.address, account.address}


def test_an_orphan_that_is_gone_or_another_environments_is_only_forgotten(world: QuickWorld) -> None:
    world.up([queue("gone"), queue("taken"), queue("kept")])
    client("sqs").delete_queue(QueueUrl=queue_url("gone"))
    client("sqs").tag_queue(QueueUrl=queue_url("taken"), Tags=OURS | {"iotpipe:environment": "prod"})
    plan = world.plan([queue("kept")])
    notes = {step.address: step.note for step in plan.steps if step.action == "forget"}
    assert notes["queue/gone"] == "gone already"
    assert notes["queue/taken"].startswith("left alone: it ")
    assert not plan.pending
    world.up([queue("kept")])
    assert not world.writes
    assert set(rows(world)) == {"queue/kept"}


def test_a_stranger_that_bears_an_orphans_name_survives_its_deletion(world: QuickWorld) -> None:
    world.before = on_write(0, kill)
    with pytest.raises(Killed):
        world.up([queue()])
    world.before = None
    client("sqs").create_queue(QueueName="q", tags=OTHER_TAGS)
    world.up([queue("other")])
    assert queue_url("q")
    assert set(rows(world)) == {"queue/other"}
    assert Event("queue/q", "kept", "left alone") in world.events


def test_a_subscriber_who_is_no_longer_named_is_unsubscribed(world: QuickWorld) -> None:
    topic = Topic("t", display_name="T")
    world.up(everything(Subscription("a@example.com", topic), Subscription("b@example.com", topic)))
    world.up(everything(Subscription("b@example.com", topic)))
    assert world.writes == ["Unsubscribe"]
    left = client("sns").list_subscriptions()["Subscriptions"]
    assert [each["Endpoint"] for each in left] == ["b@example.com"]


def test_a_route_of_a_recorded_api_that_lost_its_tags_goes_when_it_is_declared_no_more(world: QuickWorld) -> None:
    route: Any = SAMPLES["route"].make()
    world.up(everything(route))
    [api] = apis(route.api.name)
    client("apigateway").untag_resource(
        resourceArn=f"arn:aws:apigateway:us-east-1::/restapis/{api['id']}", tagKeys=list(OURS)
    )
    world.up(everything(route.api, route.function))
    assert route.address not in rows(world)
    paths = client("apigateway").get_resources(restApiId=api["id"])["items"]
    assert [each["path"] for each in paths] == ["/"]


@pytest.mark.parametrize(("kind", "restorable"), [("table", True), ("secret", False)])
def test_of_what_was_deleted_in_a_protected_environment_only_a_table_can_be_restored(
    world: QuickWorld, kind: str, restorable: bool
) -> None:
    sample = SAMPLES[kind]
    resources = everything(sample.make())
    world.up(resources)
    sample.remove()
    step = world.plan(resources, protect=True).of(sample.make().address)
    assert "was deleted outside iotpipe, and dev is protected" in step.refusal
    assert ("aws dynamodb list-backups" in step.refusal) is restorable


def test_every_refusal_is_named_and_nothing_at_all_is_done(world: QuickWorld) -> None:
    client("sqs").create_queue(QueueName="a")
    client("sqs").create_queue(QueueName="b", tags=OURS | {"iotpipe:environment": "prod"})
    with pytest.raises(RefusedError) as refused:
        world.up([queue("a"), queue("b"), queue("c")])
    assert "queue/a" in str(refused.value) and "queue/b" in str(refused.value)
    assert not world.writes and not world.path.exists()


def test_apis_of_the_same_name_that_are_not_ours_are_ignored(world: QuickWorld) -> None:
    gateway = client("apigateway")
    staging = gateway.create_rest_api(name="sample-api", tags=OURS | {"iotpipe:environment": "staging"})["id"]
    wanted = everything(SAMPLES["stage"].make())
    world.up(wanted)
    theirs = gateway.create_rest_api(name="sample-api", description="theirs")["id"]
    assert len(apis("sample-api")) == 3
    assert untouched(world.plan(wanted))
    world.path.unlink()
    world.up(wanted)
    assert not world.writes
    world.down()
    assert {each["id"] for each in apis("sample-api")} == {theirs, staging}


# Ownership as time goes on


def test_what_the_ledger_says_is_ours_stays_ours_without_its_tags(world: QuickWorld) -> None:
    world.up([queue()])
    client("sqs").untag_queue(QueueUrl=queue_url("q"), TagKeys=list(OURS))
    assert untouched(world.plan([queue()])), "those of a new queue may take a minute to be seen"
    world.up([queue()])  # records when it was made
    world.clock.time += 61
    step = world.plan([queue()]).of("queue/q")
    assert not step.refusal
    assert {change.property for change in step.changes} == {f"Tags.{key}" for key in OURS}
    world.up([queue()])
    assert world.writes == ["TagQueue"]


def test_what_is_known_by_its_tags_alone_is_not_ours_without_them(world: QuickWorld) -> None:
    topic = Topic("t", display_name="T")
    world.up([topic])
    client("sns").untag_resource(ResourceArn=arn("sns", "t"), TagKeys=list(OURS))
    assert untouched(world.plan([topic])), "those of a new one may take a minute to be seen"
    world.clock.time += 61
    with pytest.raises(RefusedError, match=r"topic/t already exists and lacks this environment's tags.* up --adopt"):
        world.up([topic])
    world.down()
    assert client("sns").list_topics()["Topics"], "nothing proves that it is the one that was made here"
    world.up([topic], adopt=EVERYTHING)
    assert untouched(world.plan([topic]))


def test_what_another_environment_took_over_is_refused_though_the_ledger_has_it(world: QuickWorld) -> None:
    world.up([queue()])
    client("sqs").tag_queue(QueueUrl=queue_url("q"), Tags={"iotpipe:environment": "prod"})
    with pytest.raises(RefusedError, match="'prod'"):
        world.up([queue()])


def test_a_configured_tag_that_was_to_go_goes_though_the_first_try_was_throttled(world: QuickWorld) -> None:
    world.up([queue()], tags={"team": "devices"})
    told = [False]

    def throttle(operation: str, parameters: object) -> object:
        if operation == "UntagQueue" and not told[0]:
            told[0] = True
            return refusal(operation, "ThrottlingException", "Rate exceeded")
        return None

    world.before = throttle  # type: ignore[assignment]
    world.up([queue()])
    assert told[0]
    assert client("sqs").list_queue_tags(QueueUrl=queue_url("q"))["Tags"] == OURS


def test_a_configured_tag_that_was_to_go_goes_though_the_first_try_was_killed(world: QuickWorld) -> None:
    world.up([queue()], tags={"team": "devices"})
    world.before = on_write(0, kill)
    with pytest.raises(Killed):
        world.up([queue()])
    world.before = None
    assert {change.property for change in world.plan([queue()]).of("queue/q").changes} == {"Tags.team"}
    world.up([queue()])
    assert client("sqs").list_queue_tags(QueueUrl=queue_url("q"))["Tags"] == OURS


def test_what_was_killed_before_its_tags_were_seen_is_still_found_by_down(world: QuickWorld) -> None:
    """SQS may take a minute to show the tags of a new queue."""
    world.after = lambda operation, answer: kill() if operation == "CreateQueue" else None
    with pytest.raises(Killed):
        world.up([queue()])
    began = world.clock.now()

    def late(operation: str, answer: Any) -> None:
        if operation == "ListQueueTags" and world.clock.now() < began + 45:
            answer.pop("Tags", None)

    world.after = late
    world.down()
    assert not client("sqs").list_queues().get("QueueUrls")
    assert world.clock.now() == began + 45
    assert "tags" in next(event.detail for event in world.events if event.phase == "waiting")


def test_what_never_shows_our_tags_is_left_to_whom_it_belongs_after_a_minute(world: QuickWorld) -> None:
    world.before = on_write(0, kill)
    with pytest.raises(Killed):
        world.up([queue()])
    world.before = None
    client("sqs").create_queue(QueueName="q")
    began = world.clock.now()
    world.down()
    assert queue_url("q")
    assert world.clock.now() == began + 60
    assert rows(world) == {}


# A lost ledger


def recovered(world: QuickWorld, wanted: list[Resource]) -> dict[str, ledger.Row]:
    run = world.run("down")
    book = world.ledger(run)
    apply.recover(wanted, planning.plan(wanted, run, {}), run, book)
    assert not world.writes
    return rows(world)


def timeless(found: dict[str, ledger.Row]) -> dict[str, ledger.Row]:
    """The rows, whenever they were written."""
    return {address: replace(row, created_at="", updated_at="") for address, row in found.items()}


def test_what_is_ours_is_recorded_again_and_nothing_else(world: QuickWorld) -> None:
    wanted = [*everything(SAMPLES["stage"].make()), queue("mine"), queue("theirs"), queue("absent")]
    for _ in range(2):  # the second time, what identifies the queues is recorded too
        world.up([each for each in wanted if each.name not in ("theirs", "absent")])
    before = rows(world)
    world.path.unlink()
    client("sqs").create_queue(QueueName="theirs", tags=OTHER_TAGS)
    found = recovered(world, wanted)
    assert timeless(found) == timeless(
        {address: row for address, row in before.items() if row.kind != "api-gateway-account"}
    )


def test_the_subscribers_of_somebody_elses_topic_are_not_ours(world: QuickWorld) -> None:
    topic = client("sns").create_topic(Name="t")["TopicArn"]
    client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="ops@example.com")
    wanted = everything(Subscription("ops@example.com", Topic("t", display_name="T")))
    assert recovered(world, wanted) == {}
    world.down()
    assert len(client("sns").list_subscriptions()["Subscriptions"]) == 1


def test_an_up_that_is_stopped_at_once_has_recorded_what_there_is_of_ours_and_down_takes_it_along(
    world: QuickWorld,
) -> None:
    topic = Topic("t", display_name="T")
    there: list[Resource] = [queue("a"), queue("b"), *everything(Subscription("ops@example.com", topic))]
    world.up(there)
    world.path.unlink()
    client("sqs").create_queue(QueueName="theirs")
    wanted = [*there, queue("c")]
    run = world.run()
    book = world.ledger(run)
    steps = planning.plan(wanted, run, book.rows)
    run.stop.set()
    with pytest.raises(Interrupted, match="1 resources"):
        apply.up(wanted, steps, run, book)
    assert book.rows.keys() == {each.address for each in there}
    world.down()
    assert [url.rsplit("/", 1)[1] for url in client("sqs").list_queues()["QueueUrls"]] == ["theirs"]
    assert not client("sns").list_topics()["Topics"]


# When reading fails


def test_what_cannot_be_read_is_named_and_nothing_is_written(world: QuickWorld) -> None:
    def deny(operation: str, parameters: object) -> object:
        if operation == "GetQueueAttributes":
            return refusal(operation, "AccessDenied", "User is not authorized to perform sqs:GetQueueAttributes")
        return None

    world.before = deny  # type: ignore[assignment]
    with pytest.raises(ApplyFailed) as failed:
        world.up([queue("a"), queue("b"), Topic("t", display_name="T")])
    assert {error.address for error in failed.value.failed} == {"queue/a", "queue/b"}  # type: ignore[attr-defined]
    assert "AccessDenied" in str(failed.value) and "GetQueueAttributes" in str(failed.value)
    assert failed.value.hint == "Nothing was changed: run `iotpipe up --env dev` again once the cause is gone"
    assert not world.writes and not world.path.exists()


def test_expired_credentials_are_one_error_however_many_reads_fail(world: QuickWorld) -> None:
    def expire(operation: str, parameters: object) -> object:
        return refusal(operation, "ExpiredToken", "The security token included in the request is expired")

    world.before = expire  # type: ignore[assignment]
    with pytest.raises(CredentialsError, match="ExpiredToken"):
        world.plan([queue(str(number)) for number in range(20)])


def test_a_stop_while_a_plan_waits_is_an_interruption_not_a_failure(world: QuickWorld) -> None:
    run = world.run("plan")

    def throttle(operation: str, parameters: object) -> object:
        run.stop.set()
        return refusal(operation, "ThrottlingException", "Rate exceeded")

    world.before = throttle  # type: ignore[assignment]
    with pytest.raises(Interrupted):
        planning.plan([queue()], run, {})


def test_a_child_waits_for_its_parent_which_is_read_once(world: QuickWorld) -> None:
    api = RestApi("a", description="A")
    function = SAMPLES["function"].make()
    routes: list[Resource] = [Route(f"GET /{n}", api, "GET", f"/{n}", function) for n in range(10)]  # type: ignore[arg-type]
    world.plan([api, *routes])
    assert world.calls.count("GetRestApis") == 1 and "GetResources" in world.calls
