"""What is particular to tables, queues, topics and parameters."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from iotpipe.errors import RefusedError
from iotpipe.provision.resource import everything
from iotpipe.provision.resources.parameter import Parameter
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.subscription import Subscription
from iotpipe.provision.resources.topic import Topic
from tests.support.aws_errors import FOREVER, Fault
from tests.support.engine_world import refusal
from tests.support.manual_edits import arn, client, queue_url
from tests.support.resource_contract import QuickWorld, untouched
from tests.support.samples.data import a_queue, a_table
from tests.support.samples.every_kind import SAMPLES


def sent(world: QuickWorld, operation: str) -> list[dict[str, Any]]:
    """The parameters of every further call of the operation."""
    seen: list[dict[str, Any]] = []

    def watch(called: str, request: dict[str, Any]) -> None:
        if called == operation:
            seen.append(json.loads(request["body"]))

    world.before = watch
    return seen


# Tables


def test_down_keeps_a_table_and_says_so(world: QuickWorld) -> None:
    world.up([a_table(), Queue("q", retention=60)])
    assert world.down() == ["table/sample-table"]
    assert [event.address for event in world.events if event.phase == "kept"] == ["table/sample-table"]
    assert SAMPLES["table"].count() == 1
    world.up([a_table(), Queue("q", retention=60)])
    assert world.writes == ["CreateQueue"]
    assert world.down(delete_data=True) == []
    assert SAMPLES["table"].count() == 0


def test_a_protected_table_is_found_before_anything_is_deleted(world: QuickWorld) -> None:
    world.up([replace(a_table(), deletion_protection=True), Queue("q", retention=60)])
    with pytest.raises(RefusedError, match=r"sample-table has deletion protection on") as refused:
        world.down(delete_data=True)
    (command,) = re.findall(r"`aws dynamodb update-table (.*)`", str(refused.value))
    assert command == "--table-name sample-table --no-deletion-protection-enabled --region us-east-1"
    assert not world.writes and client("sqs").list_queues().get("QueueUrls")
    client("dynamodb").update_table(TableName="sample-table", DeletionProtectionEnabled=False)
    world.down(delete_data=True)
    assert SAMPLES["table"].count() == 0 and not client("sqs").list_queues().get("QueueUrls")


def test_each_change_of_a_table_has_a_request_of_its_own(world: QuickWorld) -> None:
    world.up([a_table()])
    client("dynamodb").update_table(
        TableName="sample-table",
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
        DeletionProtectionEnabled=True,
    )
    requests = sent(world, "UpdateTable")
    world.up([a_table()])
    assert requests == [
        {"TableName": "sample-table", "BillingMode": "PAY_PER_REQUEST"},
        {"TableName": "sample-table", "DeletionProtectionEnabled": False},
    ]


def test_a_table_is_used_only_when_it_is_active_and_is_asked_every_second(world: QuickWorld) -> None:
    asked = [0]

    def creating(operation: str, answer: Any) -> None:
        if operation == "DescribeTable":
            asked[0] += 1
            answer["Table"]["TableStatus"] = "CREATING" if asked[0] <= 5 else "ACTIVE"

    world.after = creating
    world.up([a_table()])
    assert world.clock.slept == [1] * 5
    assert world.calls.index("UpdateContinuousBackups") > world.calls.index("CreateTable") + 5


def test_a_table_that_is_being_deleted_is_as_good_as_gone(world: QuickWorld) -> None:
    world.up([a_table()])

    def deleting(operation: str, answer: Any) -> None:
        if operation == "DescribeTable":
            answer["Table"]["TableStatus"] = "DELETING"

    world.after = deleting
    assert world.plan([a_table()]).of("table/sample-table").action == "create"
    world.before = Fault(
        "DeleteTable",
        "ResourceInUseException",
        "Attempt to change a resource which is still in use: Table is being deleted: sample-table",
        FOREVER,
    )
    world.down(delete_data=True)
    assert world.writes == ["DeleteTable"] and not world.clock.slept


def test_a_table_without_recovery_does_not_ask_for_it(world: QuickWorld) -> None:
    plain = replace(a_table(), point_in_time_recovery=False)
    world.up([plain])
    assert world.writes == ["CreateTable"]
    assert untouched(world.plan([plain]))


# Queues


def test_dead_letters_are_switched_off_with_an_empty_text(world: QuickWorld) -> None:
    world.up(everything(a_queue()))
    plain = replace(a_queue(), dead_letter=None)
    requests = sent(world, "SetQueueAttributes")
    world.up([plain])
    assert [each["Attributes"] for each in requests] == [{"RedrivePolicy": ""}]
    world.before = None
    assert untouched(world.plan([plain]))


def test_a_queue_without_dead_letters_is_created_without_the_attribute(world: QuickWorld) -> None:
    requests = sent(world, "CreateQueue")
    world.up([Queue("q", retention=60)])
    assert requests[0]["Attributes"] == {"VisibilityTimeout": "30", "MessageRetentionPeriod": "60"}


def test_only_the_attributes_that_differ_are_sent(world: QuickWorld) -> None:
    world.up(everything(a_queue()))
    requests = sent(world, "SetQueueAttributes")
    world.up(everything(replace(a_queue(), visibility_timeout=120)))
    assert [each["Attributes"] for each in requests] == [{"VisibilityTimeout": "120"}]


def test_a_redrive_policy_in_other_words_is_no_drift(world: QuickWorld) -> None:
    world.up(everything(a_queue()))
    policy = {"maxReceiveCount": "3", "deadLetterTargetArn": arn("sqs", "sample-dlq")}
    client("sqs").set_queue_attributes(
        QueueUrl=queue_url("sample-queue"), Attributes={"RedrivePolicy": json.dumps(policy, indent=2)}
    )
    assert untouched(world.plan(everything(a_queue())))


def test_the_dead_letter_queue_is_made_first_and_goes_last(world: QuickWorld) -> None:
    order: list[str] = []

    def watch(operation: str, request: dict[str, Any]) -> None:
        if operation in ("CreateQueue", "DeleteQueue"):
            said = json.loads(request["body"])
            order.append(f"{operation} {said.get('QueueName') or said['QueueUrl'].rsplit('/', 1)[1]}")

    world.before = watch
    world.up(everything(a_queue()))
    world.down()
    assert order == [
        *("CreateQueue sample-dlq", "CreateQueue sample-queue"),
        *("DeleteQueue sample-queue", "DeleteQueue sample-dlq"),
    ]


# Topics and subscriptions


def test_who_has_not_confirmed_yet_gets_no_second_mail_and_stops_nothing(world: QuickWorld) -> None:
    topic = Topic("t", display_name="T")
    wanted = everything(Subscription("ops@example.com", topic))
    world.up(wanted)

    def pending(operation: str, answer: Any) -> None:
        for each in answer.get("Subscriptions", []):
            each["SubscriptionArn"] = "PendingConfirmation"

    world.after = pending
    world.path.unlink()
    world.up(wanted)
    assert "Subscribe" not in world.writes
    world.up([topic])
    assert "Unsubscribe" not in world.calls, "AWS refuses to unsubscribe who is pending"
    world.down()


def test_down_without_the_state_file_asks_for_no_subscriptions_of_the_topic_that_it_has_deleted(
    world: QuickWorld,
) -> None:
    world.declared = everything(Subscription("ops@example.com", Topic("t", display_name="T")))
    world.up(world.declared)
    world.path.unlink()

    def as_aws(operation: str, parameters: dict[str, Any]) -> ClientError | None:
        # Moto lists none for a topic that is not there.
        if operation == "ListSubscriptionsByTopic" and "DeleteTopic" in world.calls:
            return refusal(operation, "NotFound", "Topic does not exist")
        return None

    world.before = as_aws
    world.down()
    assert not client("sns").list_topics()["Topics"]


def test_who_has_unsubscribed_is_not_taken_for_a_subscriber_while_sns_still_lists_it(world: QuickWorld) -> None:
    topic = Topic("t", display_name="T")
    wanted = everything(Subscription("ops@example.com", topic))
    world.up(wanted)
    world.up([topic])
    ended = {"Protocol": "email", "Endpoint": "ops@example.com", "SubscriptionArn": "Deleted"}

    def still_listed(operation: str, answer: Any) -> None:
        if operation == "ListSubscriptionsByTopic":
            answer["Subscriptions"].append(ended)

    world.after = still_listed
    world.up(wanted)
    assert world.writes == ["Subscribe"]
    world.up(wanted)
    assert world.writes == []
    world.up([topic])
    assert world.writes == ["Unsubscribe"]


def test_the_subscribers_of_a_topic_are_read_in_one_call(world: QuickWorld) -> None:
    topic = Topic("t", display_name="T")
    wanted = everything(*(Subscription(f"{n}@example.com", topic) for n in range(5)))
    world.up(wanted)
    world.plan(wanted)
    assert world.calls.count("ListSubscriptionsByTopic") == 1


def test_a_subscription_of_another_kind_is_not_mistaken_for_the_mail(world: QuickWorld) -> None:
    topic = Topic("t", display_name="T")
    world.up([topic])
    client("sns").subscribe(TopicArn=arn("sns", "t"), Protocol="email-json", Endpoint="ops@example.com")
    world.up(everything(Subscription("ops@example.com", topic)))
    found = client("sns").list_subscriptions()["Subscriptions"]
    assert sorted(each["Protocol"] for each in found) == ["email", "email-json"]
    world.up([topic])
    assert [each["Protocol"] for each in client("sns").list_subscriptions()["Subscriptions"]] == ["email-json"]


# Parameters


def test_overwriting_and_tagging_are_never_one_call(world: QuickWorld) -> None:
    world.up([Parameter("/p", {"a": 1})])
    requests = sent(world, "PutParameter")
    world.up([Parameter("/p", {"a": 2})], tags={"team": "devices"})
    assert len(requests) == 1 and requests[0]["Overwrite"] and "Tags" not in requests[0]
    assert world.writes == ["PutParameter", "AddTagsToResource"]


def test_a_value_that_is_not_new_makes_no_new_version(world: QuickWorld) -> None:
    for _ in range(3):
        world.up([Parameter("/p", {"b": [1, 2], "a": {"c": None}})], tags={"run": "again"})
    assert client("ssm").get_parameter(Name="/p")["Parameter"]["Version"] == 1


def test_a_value_in_another_spelling_is_the_same_value(world: QuickWorld) -> None:
    world.up([Parameter("/p", {"a": 1, "b": 2})])
    client("ssm").put_parameter(Name="/p", Type="String", Value='{ "b": 2,\n "a": 1 }', Overwrite=True)
    assert untouched(world.plan([Parameter("/p", {"a": 1, "b": 2})]))


def test_the_secret_is_random_and_long(world: QuickWorld) -> None:
    values = set()
    for _ in range(2):
        world.up(everything(SAMPLES["secret"].make()))
        values.add(client("ssm").get_parameter(Name="/sample/api-key", WithDecryption=True)["Parameter"]["Value"])
        world.down()
    assert len(values) == 2 and all(len(each) >= 40 for each in values)


# DescribeParameters looks through all parameters of the account, mostly in empty pages, and is slow and rare there.


def test_parameters_that_are_not_there_are_not_looked_for_among_all_of_the_account(world: QuickWorld) -> None:
    world.plan(everything(SAMPLES["secret"].make(), Parameter("/p", {"a": 1})), foreign=True)
    assert "DescribeParameters" not in world.calls


def test_the_search_among_all_parameters_ends_at_the_last_that_is_there(world: QuickWorld) -> None:
    wanted = everything(SAMPLES["secret"].make(), Parameter("/p", {"a": 1}))
    world.up(wanted)
    requests = sent(world, "DescribeParameters")
    one, other = client("ssm").describe_parameters()["Parameters"]
    pages: list[list[dict[str, Any]]] = [[], [one], [], [other]]

    def in_many_pages(operation: str, answer: Any) -> None:
        if operation == "DescribeParameters":
            answer |= {"Parameters": pages[len(requests) - 1], "NextToken": str(len(requests))}

    world.after = in_many_pages
    assert untouched(world.plan(wanted, foreign=True))
    assert len(requests) == 4
    assert {each["MaxResults"] for each in requests} == {50}


def test_a_secret_that_is_not_listed_yet_is_not_made_again(world: QuickWorld) -> None:
    wanted = everything(SAMPLES["secret"].make())
    world.up(wanted)

    def not_yet(operation: str, answer: Any) -> None:
        if operation == "DescribeParameters":
            answer["Parameters"] = []

    world.after = not_yet
    assert untouched(world.plan(wanted))
