"""What a policy names, and what it narrows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from iotpipe.policy import GROUPS, MANAGED, Environment, document, parts, size
from iotpipe.provision.ledger import Row
from iotpipe.provision.resource import Resource
from iotpipe.provision.rights import ALONE, DEVICES, VIEW
from tests.support.engine_world import declared
from tests.support.pipeline_world import declare
from tests.support.policy.calls import ACCOUNT, REGION, Asked
from tests.support.policy.decision import allowing
from tests.support.samples.functions import BOUNDARY
from tests.support.samples.sample import KMS_KEY, OTHER_KEY
from tests.support.web_acls import OTHER_WEB_ACL, WEB_ACL

Made = Callable[..., Environment]
CONFIG = Path(__file__).parents[2] / "config"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/iot-query-lambda-role-prod"
STAGE_LOGS = [
    f"arn:aws:logs:us-east-1:123456789012:log-group:API-Gateway-Execution-Logs_*/prod{streams}"
    for streams in ("", ":*")
]

WIDER = {
    "*": "AWS knows no narrower resource for it, but for what a condition says",
    "arn:aws:iam::123456789012:role/*": "whoever gets the policy may be any role",
    "arn:aws:iam::123456789012:user/${aws:username}": "whoever gets the policy",
    "arn:aws:iam::123456789012:role/iotpipe-api-gateway-logging-us-east-1": "one per account and region",
    "arn:aws:iam::123456789012:role/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway": (
        "one per account"
    ),
    "arn:aws:ssm:us-east-1:123456789012:*": "DescribeParameters knows no single parameter",
    "arn:aws:logs:us-east-1:123456789012:log-group:*": "DescribeLogGroups knows no single group",
    "arn:aws:logs:us-east-1:123456789012:log-group:API-Gateway-Execution-Logs_*/*": "until the API has an id",
    **dict.fromkeys(STAGE_LOGS, "until the API has an id"),
    "arn:aws:cloudwatch:us-east-1:123456789012:alarm:*": "DescribeAlarms knows no single alarm",
    "arn:aws:cloudwatch:us-east-1:123456789012:alarm-mute-rule:*": "others name them; the rule tells what it mutes",
    "arn:aws:cloudwatch::123456789012:dashboard/*": "only its tags tell whose a dashboard is that was left behind",
    "arn:aws:lambda:us-east-1:123456789012:event-source-mapping:*": "AWS assigns the id; its function narrows it",
    "arn:aws:apigateway:us-east-1::/account": "one per account and region",
    "arn:aws:apigateway:us-east-1::/restapis": "AWS assigns the id; the API's tags narrow it",
    "arn:aws:apigateway:us-east-1::/restapis/*": "AWS assigns the id; the API's tags narrow it",
    "arn:aws:apigateway:us-east-1::/restapis/*/*": "until the API has an id",
    "arn:aws:apigateway:us-east-1::/tags/arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Frestapis%2F*": (
        "until the API has an id"
    ),
    "arn:aws:apigateway:us-east-1::/tags/arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Frestapis%2F*%2Fstages%2F*": (
        "until the API has an id"
    ),
}
"""What is not this environment's alone, and why."""

MADE = Row("rest-api", "iot-api-prod", "ready", {"RestApiId": "abcdefghij"})

READS = ("Get", "List", "Describe", "GET", "Simulate")


@pytest.fixture(scope="module")
def prod() -> Made:
    """The environment that the repository ships."""
    resources, _ = declared(CONFIG, "prod")

    def of(region: str = REGION, **changes: Any) -> Environment:
        return Environment("prod", ACCOUNT, region, resources, **changes)

    return of


def actions(policy: dict[str, Any]) -> set[str]:
    return {action for statement in policy["Statement"] for action in statement["Action"]}


def test_every_kind_declares_its_rights() -> None:
    kinds = [made for made in Resource.kinds.values() if made.__module__.startswith("iotpipe.")]
    assert [made.kind for made in kinds if made.rights] == [made.kind for made in kinds]


def test_whatever_is_named_is_this_environments_or_has_a_reason(prod: Made) -> None:
    named = {each for statement in document(prod())["Statement"] for each in statement["Resource"]}
    others = {each for each in named if "-prod" not in each and "/prod/" not in each}
    assert others == set(WIDER)


def test_an_api_that_is_there_is_the_only_one_whose_tags_and_logs_the_policy_reaches(prod: Made) -> None:
    named = {each for s in document(prod(recorded={MADE.address: MADE}))["Statement"] for each in s["Resource"]}
    others = {each for each in named if all(own not in each for own in ("-prod", "/prod/", "abcdefghij"))}
    assert WIDER.keys() - others == {on for on, why in WIDER.items() if why == "until the API has an id"}
    assert others <= WIDER.keys()


def test_who_may_only_look_can_change_nothing(prod: Made) -> None:
    found = actions(document(prod(), ["plan"]))
    assert all(each.partition(":")[2].startswith(READS) for each in found)
    assert "execute-api:Invoke" not in found


@pytest.mark.parametrize("group", [each for each in GROUPS if each not in ALONE])
def test_every_group_can_look_and_all_groups_together_are_the_whole(prod: Made, group: str) -> None:
    look, own, whole = (actions(document(prod(), groups)) for groups in (["plan"], [group], GROUPS))
    assert look <= own <= whole


def test_who_enrols_devices_reads_and_changes_devices_alone(prod: Made, tmp_path: Path) -> None:
    resources = declare(tmp_path, {"devices": {"enabled": True}}, "prod").resources
    policy = document(Environment("prod", ACCOUNT, REGION, resources), [DEVICES])
    assert {each.partition(":")[0] for each in actions(policy)} == {"iot", "logs"}
    by_sid = {each["Sid"]: each["Resource"] for each in policy["Statement"]}
    region = f"arn:aws:iot:{REGION}:{ACCOUNT}"
    assert by_sid["Things"] == [f"{region}:thing/prod:*"], "not prod-eu:roof"
    assert by_sid["Connections"] == [f"{region}:client/prod:*"]
    assert by_sid["Certificates"] == [f"{region}:cert/*"], "IAM knows nothing else of a certificate"
    assert {each["Sid"] for each in document(prod(), [DEVICES])["Statement"]} == set(), "of no device, nothing"


def test_who_views_reads_what_is_shown_of_this_environment_alone_and_fits_one_policy(prod: Made) -> None:
    policy = document(prod(), [VIEW])
    assert actions(policy) == {
        *("cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "dynamodb:Query", "dynamodb:Scan"),
        *("logs:FilterLogEvents", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"),
    }
    named = {each for statement in policy["Statement"] for each in statement["Resource"]}
    assert {each for each in named if "-prod" not in each} == {"*", f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:*"}
    assert len(parts(policy)) == 1
    received = [s["Resource"] for s in policy["Statement"] if "sqs:ReceiveMessage" in s["Action"]]
    assert received == [[f"arn:aws:sqs:{REGION}:{ACCOUNT}:iot-dlq-prod"]]


def test_who_views_an_environment_with_mqtt_reads_its_devices_too(prod: Made, tmp_path: Path) -> None:
    resources = declare(tmp_path, {"devices": {"enabled": True}}, "prod").resources
    policy = document(Environment("prod", ACCOUNT, REGION, resources), [VIEW])
    assert actions(policy) - actions(document(prod(), [VIEW])) == {
        *("iot:DescribeCertificate", "iot:DescribeThing", "iot:GetConnection", "iot:ListCertificates"),
        *("iot:ListThingPrincipals", "iot:ListThings"),
    }
    by_sid = {each["Sid"]: each["Resource"] for each in policy["Statement"]}
    region = f"arn:aws:iot:{REGION}:{ACCOUNT}"
    assert (by_sid["Things"], by_sid["Connections"]) == ([f"{region}:thing/prod:*"], [f"{region}:client/prod:*"])
    assert len(parts(policy)) == 1


def test_tables_go_by_down_alone(prod: Made) -> None:
    assert [g for g in GROUPS if "dynamodb:DeleteTable" in actions(document(prod(), [g]))] == ["down"]
    assert [g for g in GROUPS if "sqs:DeleteQueue" in actions(document(prod(), [g]))] == ["up", "down"]


@pytest.mark.parametrize(("service", "allowed"), [("lambda", True), ("ec2", False)])
def test_a_role_may_only_be_passed_to_the_service_that_it_is_for(prod: Made, service: str, allowed: bool) -> None:
    passed = Asked("iam:PassRole", ROLE, {"iam:PassedToService": f"{service}.amazonaws.com"})
    assert bool(allowing(document(prod()), passed)) is allowed


@pytest.mark.parametrize("action", ["CreateRole", "PutRolePolicy", "PutRolePermissionsBoundary"])
@pytest.mark.parametrize("name", ["iot-query-lambda-role-prod", "iotpipe-api-gateway-logging-us-east-1"])
def test_with_a_boundary_no_role_is_made_or_given_rights_beyond_it(prod: Made, action: str, name: str) -> None:
    policy, role = document(prod(boundary=BOUNDARY)), f"arn:aws:iam::{ACCOUNT}:role/{name}"
    assert allowing(policy, Asked(f"iam:{action}", role, {"iam:PermissionsBoundary": BOUNDARY}))
    assert not allowing(policy, Asked(f"iam:{action}", role, {"iam:PermissionsBoundary": f"{BOUNDARY}2"}))
    assert not allowing(policy, Asked(f"iam:{action}", role))
    assert "iam:DeleteRolePermissionsBoundary" not in actions(policy)


def test_without_a_boundary_roles_are_made_without_and_freed_from_one_that_somebody_set(prod: Made) -> None:
    policy = document(prod())
    assert allowing(policy, Asked("iam:CreateRole", ROLE))
    assert allowing(policy, Asked("iam:DeleteRolePermissionsBoundary", ROLE))
    assert "iam:PutRolePermissionsBoundary" not in actions(policy)


def test_who_else_subscribed_may_be_unsubscribed_though_nobody_is_declared(prod: Made) -> None:
    assert not [each for each in prod().declared if each.kind == "subscription"]
    topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:iot-alerts-prod"
    assert allowing(document(prod(), ["up"]), Asked("sns:Unsubscribe", topic))


@pytest.mark.parametrize("asks", [True, False])
def test_the_api_key_may_only_be_read_by_who_operates_an_environment_that_asks_for_it(prod: Made, asks: bool) -> None:
    on = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/iot-pipeline/prod/api-key"
    may = [g for g in GROUPS if allowing(document(prod(asks_for_key=asks), [g]), Asked("ssm:GetParameter", on))]
    assert may == (["operate"] if asks else [])


def test_only_a_declared_web_acl_may_be_used_and_only_for_the_stage(prod: Made) -> None:
    assert not [each for each in actions(document(prod())) if each.startswith("wafv2:") or each.endswith("SetWebACL")]
    policy, stage = document(prod(web_acl=WEB_ACL)), f"arn:aws:apigateway:{REGION}::/restapis/abc/stages/prod"
    for used in (WEB_ACL, stage):
        assert allowing(policy, Asked("wafv2:AssociateWebACL", used))
    assert not allowing(policy, Asked("wafv2:AssociateWebACL", OTHER_WEB_ACL))
    assert not allowing(policy, Asked("wafv2:DisassociateWebACL", f"{stage}-of-another"))
    needs = ("rest-api/iot-api-prod", "route/GET /query")
    row = Row("stage", "prod", "ready", {"RestApiId": "abc", "webAclArn": WEB_ACL}, needs)
    assert allowing(document(prod(recorded={row.address: row})), Asked("wafv2:DisassociateWebACL", stage))


def test_a_key_of_kms_is_used_by_way_of_the_services_alone_and_without_one_there_is_no_right_of_kms(prod: Made) -> None:
    assert not [each for each in actions(document(prod())) if each.startswith("kms:")]
    policy = document(prod(kms_keys=[KMS_KEY]))
    via = {"kms:ViaService": f"ssm.{REGION}.amazonaws.com"}
    assert allowing(policy, Asked("kms:Encrypt", KMS_KEY, via))
    assert not allowing(policy, Asked("kms:Encrypt", KMS_KEY))
    assert not allowing(policy, Asked("kms:Encrypt", OTHER_KEY, via))
    row = Row("topic", "iot-alerts-prod", "ready", {"KmsMasterKeyId": OTHER_KEY})
    released = document(prod(recorded={row.address: row}))
    assert allowing(released, Asked("kms:Decrypt", OTHER_KEY, via)), "what it encrypts is encrypted with another"


@pytest.mark.parametrize(
    ("action", "queue"),
    [("PurgeQueue", "iot-dlq"), ("ReceiveMessage", "iot-dlq"), ("SendMessage", "iot-ingestion-queue")],
)
def test_who_operates_takes_from_the_dead_letters_alone_and_gives_to_the_other_queue(
    prod: Made, action: str, queue: str
) -> None:
    policy = document(prod(), ["operate"])
    on = [each for s in policy["Statement"] if f"sqs:{action}" in s["Action"] for each in s["Resource"]]
    assert on == [f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}-prod"]


def test_an_api_that_is_recorded_is_named_by_its_id(prod: Made) -> None:
    def invoked(api: str) -> Asked:
        return Asked("execute-api:Invoke", f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api}/prod/POST/ingest")

    assert not allowing(document(prod()), invoked("any")), "it would be another environment's"
    policy = document(prod(recorded={MADE.address: MADE}))
    assert allowing(policy, invoked("abcdefghij"))
    assert not allowing(policy, invoked("any"))


def test_what_is_recorded_but_not_declared_any_more_may_be_deleted_too(prod: Made) -> None:
    row = Row("queue", "iot-dlq-old", "ready", {})
    old = Asked("sqs:DeleteQueue", f"arn:aws:sqs:{REGION}:{ACCOUNT}:iot-dlq-old")
    assert allowing(document(prod(recorded={row.address: row}), ["up"]), old)
    assert not allowing(document(prod(), ["up"]), old)


def test_the_parts_fit_into_managed_policies_and_are_the_whole_together(prod: Made) -> None:
    whole = document(prod())
    assert size(whole) > MANAGED
    found = parts(whole)
    assert all(size(each) <= MANAGED for each in found)
    assert [statement for each in found for statement in each["Statement"]] == whole["Statement"]
    sids = [statement["Sid"] for statement in whole["Statement"]]
    assert len(set(sids)) == len(sids)
    assert all(each.isalnum() for each in sids)


@pytest.mark.parametrize(("longer", "expected"), [(0, 1), (1, 2)])
def test_a_part_may_be_as_long_as_iam_allows_and_no_longer(longer: int, expected: int) -> None:
    def two(padding: int) -> dict[str, Any]:
        return {"Version": "2012-10-17", "Statement": [{"Sid": "A"}, {"Sid": "B" * padding}]}

    policy = two(MANAGED - size(two(0)) + longer)
    assert size(policy) == MANAGED + longer
    assert len(parts(policy)) == expected


def test_iam_takes_every_part_as_a_policy_of_todays_language(prod: Made) -> None:
    for number, part in enumerate(parts(document(prod()))):
        with mock_aws():
            boto3.client("iam").create_policy(PolicyName=f"part-{number}", PolicyDocument=json.dumps(part))
        # An older language would take ${aws:username} literally.
        assert part["Version"] == "2012-10-17"
        assert {statement["Effect"] for statement in part["Statement"]} == {"Allow"}


def test_other_partitions_have_arns_of_their_own(prod: Made) -> None:
    policy = document(prod("cn-north-1"))
    named = {each for statement in policy["Statement"] for each in statement["Resource"]} - {"*"}
    assert all(each.startswith("arn:aws-cn:") for each in named)
