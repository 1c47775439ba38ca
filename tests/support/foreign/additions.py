"""What somebody else adds to resources of an environment, and what iotpipe says of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from iotpipe.provision.foreign.finding import ALTERS, DRAINS, HIDES, OPENS, STOPS
from tests.support.foreign.world import ROLE, Forgotten
from tests.support.manual_edits import ACCOUNT, arn, client, queue_url
from tests.support.samples.functions import BOUNDARY

STRANGER = "999988887777"
TABLE, TABLE_ARN = "raw-sensor-data-dev", arn("dynamodb", "table/raw-sensor-data-dev")
QUEUE, DEAD = "iot-ingestion-queue-dev", "iot-dlq-dev"
TOPIC = arn("sns", "iot-alerts-dev")
CONFIG, KEY = "/iot-pipeline/dev/config", "/iot-pipeline/dev/api-key"
GROUP, ALARM = "/aws/lambda/data-query-dev", "iot-dlq-depth-dev"
LAMBDA, STREAM = arn("lambda", "function:spy"), arn("kinesis", "stream/spy")
KMS = arn("kms", "key/5a1e")


@dataclass
class Added:
    """Something that was added by hand, and the one finding that is to come of it."""

    what: str
    risk: str
    found: str
    act: Callable[[], Any] = lambda: None
    gap: Forgotten | None = None
    refused: str = ""
    """Why it cannot be set back, where that is so."""
    kinds: tuple[str, ...] = ()
    """The kinds of resource that must be there."""


def statement(action: Any, principal: Any = "*", **more: Any) -> dict[str, Any]:
    who = {} if "NotPrincipal" in more else {"Principal": principal}
    return {"Sid": "added", "Effect": "Allow", **who, "Action": action, **more}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def set_queue(name: str, **attributes: str) -> None:
    client("sqs").set_queue_attributes(QueueUrl=queue_url(name), Attributes=attributes)


def queue_policy(action: Any, principal: Any = "*", **more: Any) -> Callable[[], None]:
    on = arn("sqs", QUEUE)
    return lambda: set_queue(QUEUE, Policy=document(statement(action, principal, Resource=on, **more)))


def redrive_allowed(**policy: Any) -> Forgotten:
    """Moto drops RedriveAllowPolicy."""

    def show(answer: Any) -> None:
        if answer["Attributes"].get("QueueArn") == arn("sqs", DEAD):
            answer["Attributes"]["RedriveAllowPolicy"] = json.dumps(policy)

    return Forgotten("GetQueueAttributes", show, "SetQueueAttributes", {"Attributes": {"RedriveAllowPolicy": ""}})


QUEUES = [
    Added(
        "a queue that anybody may send to",
        OPENS,
        f"anybody with the queue's URL can send messages to {QUEUE}",
        queue_policy("sqs:SendMessage"),
    ),
    Added(
        "a queue that another account may read",
        OPENS,
        f"account {STRANGER} (another one) can read messages from and delete messages from {QUEUE}",
        queue_policy(["SQS:ReceiveMessage", "SQS:DeleteMessage"], {"AWS": f"arn:aws:iam::{STRANGER}:root"}),
    ),
    Added(
        "a queue that a service may send to",
        OPENS,
        "the service s3.amazonaws.com can send messages to iot-ingestion-queue-dev, "
        "if aws:SourceArn ArnLike arn:aws:s3:::b",
        queue_policy(
            "sqs:SendMessage",
            {"Service": "s3.amazonaws.com"},
            Condition={"ArnLike": {"aws:SourceArn": "arn:aws:s3:::b"}},
        ),
    ),
    Added("a queue that nobody may send to", STOPS, "cannot send messages to", queue_policy("sqs:*", Effect="Deny")),
    Added(
        "a queue that wants TLS",
        ALTERS,
        "aws:SecureTransport Bool false",
        queue_policy("sqs:*", Effect="Deny", Condition={"Bool": {"aws:SecureTransport": "false"}}),
    ),
    Added(
        "a queue with a KMS key",
        STOPS,
        f"{DEAD} is encrypted with the KMS key {KMS}",
        lambda: set_queue(DEAD, KmsMasterKeyId=KMS, SqsManagedSseEnabled="false"),
    ),
    Added(
        "a queue with the account's KMS key",
        ALTERS,
        "alias/aws/sqs",
        lambda: set_queue(QUEUE, KmsMasterKeyId="alias/aws/sqs", SqsManagedSseEnabled="false"),
    ),
    Added(
        "a queue without encryption",
        ALTERS,
        f"{QUEUE} are stored without encryption",
        lambda: set_queue(QUEUE, SqsManagedSseEnabled="false"),
    ),
    Added("a slow queue", ALTERS, "held back for 900 s", lambda: set_queue(QUEUE, DelaySeconds="900")),
    Added(
        "a queue for short messages",
        STOPS,
        f"{QUEUE} refuses every message over 1024 bytes",
        lambda: set_queue(QUEUE, MaximumMessageSize="1024"),
    ),
    Added("a patient queue", ALTERS, "up to 20 s", lambda: set_queue(DEAD, ReceiveMessageWaitTimeSeconds="20")),
    Added(
        "a queue that takes no dead letters",
        DRAINS,
        f"{DEAD} takes no dead letters from {QUEUE}",
        gap=redrive_allowed(redrivePermission="denyAll"),
    ),
    Added(
        "a queue that takes the dead letters of others",
        DRAINS,
        f"{DEAD} takes no dead letters from {QUEUE}",
        gap=redrive_allowed(redrivePermission="byQueue", sourceQueueArns=[arn("sqs", "other")]),
    ),
    Added(
        "a queue that takes our dead letters alone",
        ALTERS,
        "only queues that are named",
        gap=redrive_allowed(redrivePermission="byQueue", sourceQueueArns=[arn("sqs", QUEUE)]),
    ),
]


def set_topic(name: str, value: str) -> None:
    client("sns").set_topic_attributes(TopicArn=TOPIC, AttributeName=name, AttributeValue=value)


def topic_policy(*more: dict[str, Any], default: bool = True) -> None:
    found = json.loads(client("sns").get_topic_attributes(TopicArn=TOPIC)["Attributes"]["Policy"])
    kept = found["Statement"] if default else []
    set_topic("Policy", json.dumps(found | {"Statement": [*kept, *more]}))


def topic_shows(name: str, value: str, cleared: str) -> Forgotten:
    """Moto drops the attribute."""

    def show(answer: Any) -> None:
        answer["Attributes"][name] = value

    clears = {"AttributeName": name, "AttributeValue": cleared}
    return Forgotten("GetTopicAttributes", show, "SetTopicAttributes", clears)


def pending(answer: Any) -> None:
    answer["Subscriptions"].append(
        {"Protocol": "email", "Endpoint": "spy@example.com", "SubscriptionArn": "PendingConfirmation"}
    )


def set_subscription(name: str, value: str) -> None:
    [found] = client("sns").list_subscriptions_by_topic(TopicArn=TOPIC)["Subscriptions"]
    client("sns").set_subscription_attributes(
        SubscriptionArn=found["SubscriptionArn"], AttributeName=name, AttributeValue=value
    )


OWNER_ALONE = {"StringEquals": {"aws:SourceOwner": ACCOUNT}}
TOPICS = [
    Added(
        "a topic that anybody may subscribe to",
        OPENS,
        "anybody can subscribe to iot-alerts-dev",
        lambda: topic_policy(statement("SNS:Subscribe", Resource=TOPIC)),
    ),
    Added(
        "a topic on which all other accounts may publish",
        OPENS,
        "anybody can publish alerts to",
        lambda: topic_policy(
            statement("SNS:Publish", Resource=TOPIC, Condition={"StringNotEquals": {"AWS:SourceOwner": ACCOUNT}})
        ),
    ),
    Added(
        "a topic on which alarms may not publish",
        HIDES,
        "no alarm can tell anybody",
        lambda: topic_policy(statement("SNS:Subscribe", Resource=TOPIC, Condition=OWNER_ALONE), default=False),
    ),
    Added(
        "a topic on which nobody may publish",
        HIDES,
        "anybody cannot publish alerts to",
        lambda: topic_policy(statement("SNS:Publish", Effect="Deny", Resource=TOPIC)),
    ),
    Added("a topic with a KMS key", HIDES, "alias/aws/sns", lambda: set_topic("KmsMasterKeyId", "alias/aws/sns")),
    Added(
        "a topic with retries of its own",
        ALTERS,
        "by a policy of its own",
        lambda: set_topic("DeliveryPolicy", '{"http": {"disableSubscriptionOverrides": true}}'),
    ),
    Added(
        "a traced topic", ALTERS, "(iot-alerts-dev: Active)", gap=topic_shows("TracingConfig", "Active", "PassThrough")
    ),
    Added(
        "a topic whose deliveries are logged",
        ALTERS,
        "as arn:aws:iam::123456789012:role/log",
        gap=topic_shows("HTTPFailureFeedbackRoleArn", "arn:aws:iam::123456789012:role/log", ""),
    ),
    Added(
        "a subscription of a function",
        OPENS,
        f"lambda {LAMBDA} gets every alert",
        lambda: client("sns").subscribe(TopicArn=TOPIC, Protocol="lambda", Endpoint=LAMBDA),
    ),
    Added(
        "a subscription of somebody else",
        OPENS,
        "email spy@example.com gets every alert of iot-alerts-dev",
        lambda: client("sns").subscribe(TopicArn=TOPIC, Protocol="email", Endpoint="spy@example.com"),
    ),
    Added(
        "a subscription that waits",
        OPENS,
        "as soon as the subscription is confirmed",
        gap=Forgotten("ListSubscriptionsByTopic", pending),
        refused="cannot end the subscription of spy@example.com before it is confirmed",
    ),
    Added(
        "a filtered subscription",
        HIDES,
        'ops@example.com gets only the alerts whose MessageAttributes pass the filter {"a": ["b"]}',
        lambda: set_subscription("FilterPolicy", '{"a": ["b"]}'),
    ),
    Added("a raw subscription", ALTERS, "ops@example.com", lambda: set_subscription("RawMessageDelivery", "true")),
    Added(
        "a subscription with dead letters",
        ALTERS,
        "go to",
        lambda: set_subscription("RedrivePolicy", json.dumps({"deadLetterTargetArn": arn("sqs", "x")})),
    ),
]


def table_shows(clears: dict[str, Any], **shown: Any) -> Forgotten:
    """Moto ignores most of what UpdateTable is told."""
    return Forgotten(
        "DescribeTable", lambda answer: answer["Table"].update(shown), "UpdateTable", clears, {"TableName": TABLE}
    )


def add_index() -> None:
    index = {
        "IndexName": "by-kind",
        "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    kinds = [("device_id", "S"), ("timestamp", "N"), ("kind", "S")]
    client("dynamodb").update_table(
        TableName=TABLE,
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in kinds],
        GlobalSecondaryIndexUpdates=[{"Create": index}],
    )


def table_policy(action: Any, principal: Any, **more: Any) -> Callable[[], Any]:
    text = document(statement(action, principal, Resource=TABLE_ARN, **more))
    return lambda: client("dynamodb").put_resource_policy(ResourceArn=TABLE_ARN, Policy=text)


def let_two_in(kind: str) -> None:
    """Two statements in one policy."""
    readers = {"table": "dynamodb:GetItem", "queue": "sqs:ReceiveMessage", "topic": "SNS:Subscribe"}
    on = {"table": TABLE_ARN, "queue": arn("sqs", QUEUE), "topic": TOPIC}[kind]
    both = [statement(readers[kind], {"AWS": STRANGER}, Resource=on) | {"Sid": f"added{n}"} for n in (1, 2)]
    if kind == "table":
        client("dynamodb").put_resource_policy(ResourceArn=TABLE_ARN, Policy=document(*both))
    elif kind == "queue":
        set_queue(QUEUE, Policy=document(*both))
    else:
        topic_policy(*both)


def recover(days: int) -> None:
    client("dynamodb").update_continuous_backups(
        TableName=TABLE,
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": days},
    )


TABLES = [
    Added(
        "a table that another account may read",
        OPENS,
        f"arn:aws:iam::{STRANGER}:role/spy (of another account) can read from {TABLE}",
        table_policy("dynamodb:GetItem", {"AWS": f"arn:aws:iam::{STRANGER}:role/spy"}),
    ),
    Added(
        "a table that nobody may write",
        STOPS,
        "everybody but arn:aws:iam::123456789012:role/admin cannot",
        table_policy("dynamodb:*", None, Effect="Deny", NotPrincipal={"AWS": "arn:aws:iam::123456789012:role/admin"}),
    ),
    Added(
        "a table whose rows expire",
        DRAINS,
        "their attribute expires_at",
        lambda: client("dynamodb").update_time_to_live(
            TableName=TABLE, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"}
        ),
    ),
    Added(
        "a table with a stream",
        OPENS,
        "can be read from its stream for 24 hours",
        lambda: client("dynamodb").update_table(
            TableName=TABLE, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
        ),
    ),
    Added(
        "a table with a Kinesis stream",
        OPENS,
        f"goes to {STREAM}",
        lambda: client("dynamodb").enable_kinesis_streaming_destination(TableName=TABLE, StreamArn=STREAM),
    ),
    Added(
        "a table with a replica",
        OPENS,
        "are copied to eu-west-1",
        gap=table_shows({}, Replicas=[{"RegionName": "eu-west-1"}], StreamSpecification={"StreamEnabled": True}),
        refused="does not delete rows without being asked",
    ),
    Added(
        "a table with a limit",
        STOPS,
        "refuses more than 1 units of writes per second",
        gap=table_shows(
            {"OnDemandThroughput": {"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": -1}},
            OnDemandThroughput={"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": 1},
        ),
    ),
    Added(
        "a table with a KMS key",
        STOPS,
        f"the KMS key {KMS}",
        gap=table_shows(
            {"SSESpecification": {"Enabled": False}},
            SSEDescription={"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": KMS},
        ),
    ),
    Added("a table with an index", ALTERS, f"each row of {TABLE} is written to the index by-kind too", add_index),
    Added("a table that is forgotten soon", ALTERS, "restored to the last 1 days", lambda: recover(1)),
    Added(
        "a table in the cheap class",
        ALTERS,
        "STANDARD_INFREQUENT_ACCESS",
        gap=table_shows({"TableClass": "STANDARD"}, TableClassSummary={"TableClass": "STANDARD_INFREQUENT_ACCESS"}),
    ),
]


def put_parameter(**settings: Any) -> None:
    value = client("ssm").get_parameter(Name=CONFIG)["Parameter"]["Value"]
    client("ssm").put_parameter(Name=CONFIG, **{"Value": value, "Type": "String", "Overwrite": True} | settings)


EXPIRY = '{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2027-01-01T00:00:00.000Z"}}'
SILENCE = '{"Type":"NoChangeNotification","Version":"1.0","Attributes":{"After":"20","Unit":"Days"}}'


def parameter_shows(name: str, clears: dict[str, Any], **shown: Any) -> Forgotten:
    """Moto answers with policies in a form of its own, and keeps a secret's pattern and key in no request of ours."""

    def show(answer: Any) -> None:
        for each in answer["Parameters"]:
            if each["Name"] == name:
                each.update(shown)

    return Forgotten("DescribeParameters", show, "PutParameter", clears)


def policies(*texts: str) -> list[dict[str, str]]:
    return [{"PolicyText": each, "PolicyType": json.loads(each)["Type"], "PolicyStatus": "Pending"} for each in texts]


PARAMETERS = [
    Added(
        "a parameter that expires",
        STOPS,
        f"SSM deletes {CONFIG} at 2027-01-01T00:00:00.000Z",
        gap=parameter_shows(CONFIG, {"Policies": "[{}]", "Overwrite": True}, Policies=policies(EXPIRY)),
    ),
    Added(
        "a parameter that tells of its silence",
        ALTERS,
        "sends events",
        gap=parameter_shows(CONFIG, {"Policies": "[{}]"}, Policies=policies(SILENCE)),
    ),
    Added(
        "a secret that expires",
        STOPS,
        f"SSM deletes {KEY}",
        gap=parameter_shows(KEY, {}, Policies=policies(EXPIRY)),
        refused="only by writing its value anew",
    ),
    Added(
        "an advanced parameter",
        ALTERS,
        "can be shared with other accounts",
        lambda: put_parameter(Tier="Advanced"),
        refused="an advanced parameter cannot become standard",
    ),
    Added(
        "a parameter with a pattern",
        ALTERS,
        "do not match ^.*$, also from",
        lambda: put_parameter(AllowedPattern="^.*$"),
    ),
    Added(
        "a secret with a key of its own",
        STOPS,
        f"{KEY} is encrypted with the KMS key alias/spy",
        gap=parameter_shows(KEY, {}, KeyId="alias/spy"),
        refused="Its value is lost with it",
    ),
]


def group_shows(group: str, write: str, clears: dict[str, Any], **shown: Any) -> Forgotten:
    """Moto knows nothing of protected groups, and forgets their class."""
    return Forgotten(
        "DescribeLogGroups",
        lambda answer: answer["logGroups"][0].update(shown),
        write,
        clears,
        {"logGroupNamePrefix": group},
    )


def of_group(group: str) -> list[Added]:
    """What may be added to a log group of this name."""
    return [
        Added(
            "a log group that somebody reads along",
            OPENS,
            f"every line in {group} that matches ERROR goes to {STREAM}",
            gap=Forgotten(
                "DescribeSubscriptionFilters",
                lambda answer: answer["subscriptionFilters"].append(
                    {"filterName": "spy", "destinationArn": STREAM, "filterPattern": "ERROR"}
                ),
                "DeleteSubscriptionFilter",
                {"logGroupName": group, "filterName": "spy"},
                {"logGroupName": group},
            ),
        ),
        Added(
            "a log group with a KMS key",
            HIDES,
            f"the KMS key {KMS}",
            gap=group_shows(group, "DisassociateKmsKey", {"logGroupName": group}, kmsKeyId=KMS),
        ),
        Added(
            "a log group that is masked",
            HIDES,
            "masks data that it considers sensitive",
            gap=group_shows(
                group, "DeleteDataProtectionPolicy", {"logGroupIdentifier": group}, dataProtectionStatus="ACTIVATED"
            ),
        ),
        Added(
            "a log group of another class",
            HIDES,
            "INFREQUENT_ACCESS",
            gap=group_shows(group, "", {}, logGroupClass="INFREQUENT_ACCESS"),
            refused="cannot change the class",
        ),
        Added(
            "a log group that is protected",
            ALTERS,
            "`down` cannot delete it",
            gap=group_shows(
                group,
                "PutLogGroupDeletionProtection",
                {"logGroupIdentifier": group, "deletionProtectionEnabled": False},
                deletionProtectionEnabled=True,
            ),
        ),
    ]


def change_alarm(**settings: Any) -> Callable[[], None]:
    def act() -> None:
        [found] = client("cloudwatch").describe_alarms(AlarmNames=[ALARM])["MetricAlarms"]
        accepted = client("cloudwatch").meta.service_model.operation_model("PutMetricAlarm").input_shape.members
        kept = {key: value for key, value in found.items() if key in accepted}
        client("cloudwatch").put_metric_alarm(**kept | settings)

    return act


def mute(*alarms: str) -> None:
    schedule = {"Expression": "cron(0 2 * * *)", "Duration": "PT4H"}
    client("cloudwatch").put_alarm_mute_rule(
        Name="quiet", Rule={"Schedule": schedule}, MuteTargets={"AlarmNames": list(alarms)}
    )


def alarm_shows(**shown: Any) -> Forgotten:
    """Moto knows nothing of these."""

    def show(answer: Any) -> None:
        for each in answer["MetricAlarms"]:
            if each["AlarmName"] == ALARM:
                each.update(shown)

    return Forgotten("DescribeAlarms", show, "PutMetricAlarm", {"AlarmName": ALARM, "Threshold": 0.0})


ALARMS = [
    Added(
        "an alarm that calls when it is over",
        ALTERS,
        f"is over, CloudWatch calls {LAMBDA}",
        change_alarm(OKActions=[LAMBDA]),
    ),
    Added("an alarm that calls without data", ALTERS, "has no data", change_alarm(InsufficientDataActions=[LAMBDA])),
    Added("an alarm in another unit", HIDES, "whose unit is Bits", change_alarm(Unit="Bits")),
    Added("an alarm of many values", ALTERS, "when 1 of the values", change_alarm(DatapointsToAlarm=1)),
    Added(
        "an alarm with few samples",
        ALTERS,
        "of its own: ignore",
        change_alarm(EvaluateLowSampleCountPercentile="ignore"),
    ),
    Added(
        "a muted alarm",
        HIDES,
        f"{ALARM} tells nobody while the rule quiet mutes it: cron(0 2 * * *) for PT4H",
        lambda: mute(ALARM),
    ),
    Added(
        "an alarm muted with others",
        HIDES,
        "tells nobody while the rule quiet mutes it",
        lambda: mute(ALARM, "somebody-elses"),
        refused="also about alarms that are not the environment's: somebody-elses",
    ),
    Added("an alarm on a band", HIDES, "compares with the band ad1", gap=alarm_shows(ThresholdMetricId="ad1")),
    Added(
        "an alarm that warms up",
        HIDES,
        "says nothing for a while after each change of it",
        gap=alarm_shows(WarmUpConfiguration={"WarmUpPeriodDurationInMinutes": 1440}),
    ),
    Added(
        "an alarm by the clock",
        ALTERS,
        "looks at other stretches of time",
        gap=alarm_shows(EvaluationWindow={"WallClockWindow": {"Timezone": "UTC"}}),
    ),
]


def iam(operation: str, **parameters: Any) -> Callable[[], Any]:
    return lambda: getattr(client("iam"), operation)(RoleName=ROLE, **parameters)


def attach_administrator() -> None:
    managed = client("iam").create_policy(PolicyName="AdministratorAccess", PolicyDocument=ALL)["Policy"]["Arn"]
    client("iam").attach_role_policy(RoleName=ROLE, PolicyArn=managed)


def delete_role() -> None:
    client("iam").delete_role_policy(RoleName=ROLE, PolicyName="logging")
    client("iam").delete_role(RoleName=ROLE)


ALL = document({"Effect": "Allow", "Action": "*", "Resource": "*"})
NOTHING = document({"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": "arn:aws:logs:*:*:*"})
DENIED = document(
    {"Effect": "Allow", "Action": "logs:*", "Resource": "*"},
    {"Effect": "Deny", "Action": "logs:PutLogEvents", "Resource": "*"},
)
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
GATEWAY = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "apigateway.amazonaws.com"}}
WIDE = document(GATEWAY, GATEWAY | {"Principal": {"AWS": STRANGER}})
ROLES = [
    Added("a logging role that may do all", OPENS, "policy/AdministratorAccess, which", attach_administrator),
    Added(
        "a logging role with another policy",
        OPENS,
        "inline policy more, which",
        iam("put_role_policy", PolicyName="more", PolicyDocument=ALL),
    ),
    Added(
        "a logging role whose policy allows more",
        OPENS,
        "allows more than API Gateway needs",
        iam("put_role_policy", PolicyName="logging", PolicyDocument=ALL),
    ),
    Added(
        "a logging role whose policy is emptied",
        HIDES,
        "does not let API Gateway write the logs",
        iam("put_role_policy", PolicyName="logging", PolicyDocument=NOTHING),
    ),
    Added(
        "a logging role that is denied what it needs",
        HIDES,
        "does not let API Gateway write the logs",
        iam("put_role_policy", PolicyName="logging", PolicyDocument=DENIED),
    ),
    Added(
        "a logging role without its policy",
        HIDES,
        "does not let API Gateway write the logs",
        iam("delete_role_policy", PolicyName="logging"),
    ),
    Added(
        "a logging role that others may assume",
        OPENS,
        f"can be assumed by account {STRANGER} (another one)",
        iam("update_assume_role_policy", PolicyDocument=WIDE),
    ),
    Added(
        "a logging role that API Gateway may not assume",
        HIDES,
        "cannot assume the role",
        iam("update_assume_role_policy", PolicyDocument=document(GATEWAY | {"Effect": "Deny"})),
    ),
    Added(
        "a logging role without its boundary",
        OPENS,
        f"no longer has the permissions boundary {BOUNDARY}",
        iam("delete_role_permissions_boundary"),
    ),
    Added(
        "a logging role within another boundary",
        HIDES,
        f"only as far as the permissions boundary {READ_ONLY} lets it",
        iam("put_role_permissions_boundary", PermissionsBoundary=READ_ONLY),
    ),
    Added("a logging role that is gone", HIDES, "cannot write the logs of any API", delete_role),
]

ADDED = [
    replace(each, kinds=kinds)
    for kinds, added in (
        (("queue",), QUEUES),
        (("topic", "subscription"), TOPICS),
        (("table",), TABLES),
        (("parameter", "secret"), PARAMETERS),
        (("log-group",), of_group(GROUP)),
        (("alarm",), ALARMS),
        (("api-gateway-account",), ROLES),
    )
    for each in added
]
