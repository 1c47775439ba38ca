"""What somebody makes of a resource that is not the environment's any more, or cannot be changed: never touched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.provision.foreign.test_foreign_apigateway import api_id
from tests.support.manual_changes.data_drift import (
    ALARM,
    ALERTS,
    API,
    CONFIG,
    DASHBOARD,
    ENVIRONMENT,
    FUNCTION,
    KEY,
    MAPPING,
    QUEUE,
    RAW,
    ROLE,
)
from tests.support.manual_changes.deletions import remove_role
from tests.support.manual_changes.world import Change
from tests.support.manual_edits import arn, client, mappings, pairs, queue_url

ADOPT, RENAME, FIXED = "`iotpipe up --adopt`", "Give 'dev' another `suffix`", "AWS cannot change"
PROD = {ENVIRONMENT: "prod"}


def refused(what: str, act: Callable[[], Any], address: str, remedy: str) -> Change:
    return Change(what, act, (f"refused {address}",), remedy=remedy)


def parameter(name: str, **changes: Any) -> Callable[[], Any]:
    which = {"ResourceType": "Parameter", "ResourceId": name}
    if "Tags" in changes:
        return lambda: client("ssm").add_tags_to_resource(**which, **changes)
    return lambda: client("ssm").remove_tags_from_resource(**which, TagKeys=[ENVIRONMENT])


def parameter_anew(name: str, kind: str) -> Callable[[], Any]:
    def act() -> None:
        tags = client("ssm").list_tags_for_resource(ResourceType="Parameter", ResourceId=name)["TagList"]
        client("ssm").delete_parameter(Name=name)
        client("ssm").put_parameter(Name=name, Type=kind, Value="{}", Tags=tags)

    return act


def table_anew(hash_key: str, tags: dict[str, str] | None = None) -> Callable[[], Any]:
    def act() -> None:
        found = client("dynamodb").list_tags_of_resource(ResourceArn=arn("dynamodb", f"table/{RAW}"))["Tags"]
        client("dynamodb").delete_table(TableName=RAW)
        client("dynamodb").create_table(
            TableName=RAW,
            KeySchema=[
                {"AttributeName": hash_key, "KeyType": "HASH"},
                {"AttributeName": "timestamp", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": hash_key, "AttributeType": "S"},
                {"AttributeName": "timestamp", "AttributeType": "N"},
            ],
            BillingMode="PAY_PER_REQUEST",
            Tags=found if tags is None else pairs(tags),
        )

    return act


def role_with_path() -> None:
    found = client("iam").get_role(RoleName=ROLE)["Role"]
    remove_role()
    client("iam").create_role(
        RoleName=ROLE, Path="/team/", AssumeRolePolicyDocument='{"Version": "2012-10-17"}', Tags=found["Tags"]
    )


def queue_anew() -> None:
    client("sqs").delete_queue(QueueUrl=queue_url(QUEUE))
    client("sqs").create_queue(QueueName=QUEUE)


def mapping_arn() -> str:
    return arn("lambda", f"event-source-mapping:{mappings()[0]['UUID']}")


def api_arn(suffix: str = "") -> str:
    return f"arn:aws:apigateway:us-east-1::/restapis/{api_id()}{suffix}"


BOARD = f"arn:aws:cloudwatch::123456789012:dashboard/{DASHBOARD}"

REFUSED_TABLE, OTHER_TABLE = f"refused table/{RAW}", f"drains table/{RAW}"

REFUSALS = (
    Change("a table with other keys", table_anew("sensor"), (REFUSED_TABLE, OTHER_TABLE), remedy=FIXED),
    Change(
        "a table made anew with our tags",
        table_anew("device_id"),
        (f"drift table/{RAW} PointInTimeRecoveryEnabled", OTHER_TABLE),
        remedy="aws dynamodb list-backups",
    ),
    Change("another table of the name", table_anew("device_id", {}), (REFUSED_TABLE, OTHER_TABLE), remedy=ADOPT),
    refused("settings that are a secret", parameter_anew(CONFIG, "SecureString"), f"parameter/{CONFIG}", FIXED),
    refused("a key that is no secret", parameter_anew(KEY, "String"), f"secret/{KEY}", FIXED),
    Change(
        "a role with a path",
        role_with_path,
        (f"refused role/{ROLE}", f"update function/{FUNCTION} RoleId"),
        remedy=FIXED,
    ),
    refused("another queue of the name", queue_anew, f"queue/{QUEUE}", ADOPT),
    refused(
        "a topic without tags",
        lambda: client("sns").untag_resource(ResourceArn=ALERTS, TagKeys=[ENVIRONMENT]),
        "topic/iot-alerts-dev",
        ADOPT,
    ),
    refused("settings without tags", parameter(CONFIG), f"parameter/{CONFIG}", ADOPT),
    refused("a key without tags", parameter(KEY), f"secret/{KEY}", ADOPT),
    refused(
        "a function without tags",
        lambda: client("lambda").untag_resource(Resource=arn("lambda", f"function:{FUNCTION}"), TagKeys=[ENVIRONMENT]),
        f"function/{FUNCTION}",
        ADOPT,
    ),
    refused(
        "an alarm without tags",
        lambda: client("cloudwatch").untag_resource(
            ResourceARN=arn("cloudwatch", f"alarm:{ALARM}"), TagKeys=[ENVIRONMENT]
        ),
        f"alarm/{ALARM}",
        ADOPT,
    ),
    refused(
        "a dashboard without tags",
        lambda: client("cloudwatch").untag_resource(ResourceARN=BOARD, TagKeys=[ENVIRONMENT]),
        f"dashboard/{DASHBOARD}",
        ADOPT,
    ),
    refused(
        "a table of another environment",
        lambda: client("dynamodb").tag_resource(ResourceArn=arn("dynamodb", f"table/{RAW}"), Tags=pairs(PROD)),
        f"table/{RAW}",
        RENAME,
    ),
    refused(
        "a queue of another environment",
        lambda: client("sqs").tag_queue(QueueUrl=queue_url(QUEUE), Tags=PROD),
        f"queue/{QUEUE}",
        RENAME,
    ),
    refused(
        "a function of another environment",
        lambda: client("lambda").tag_resource(Resource=arn("lambda", f"function:{FUNCTION}"), Tags=PROD),
        f"function/{FUNCTION}",
        RENAME,
    ),
    refused(
        "a mapping of another environment",
        lambda: client("lambda").tag_resource(Resource=mapping_arn(), Tags=PROD),
        MAPPING,
        RENAME,
    ),
    refused(
        "a role of another region",
        lambda: client("iam").tag_role(RoleName=ROLE, Tags=pairs({"iotpipe:region": "eu-west-1"})),
        f"role/{ROLE}",
        "in us-east-1 another `suffix`",
    ),
    refused(
        "an API of another environment",
        lambda: client("apigateway").tag_resource(resourceArn=api_arn(), tags=PROD),
        API,
        RENAME,
    ),
    refused(
        "a stage of another environment",
        lambda: client("apigateway").tag_resource(resourceArn=api_arn("/stages/dev"), tags=PROD),
        "stage/dev",
        RENAME,
    ),
    refused("a key of another environment", parameter(KEY, Tags=pairs(PROD)), f"secret/{KEY}", RENAME),
)
