"""A KMS key that AWS's services could not use is refused before anything is made, with the statement to add."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from iotpipe.checks import kms_key, preflight
from iotpipe.checks.finding import OK, PROBLEM, UNKNOWN, Finding
from iotpipe.errors import RefusedError
from iotpipe.provision.resource import Resource
from tests.support.checks_world import ACCOUNT, Clinic, declare, settings

ROOT = {
    "Sid": "Root",
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
    "Action": "kms:*",
    "Resource": "*",
}
LOGS = {
    "Effect": "Allow",
    "Principal": {"Service": "logs.us-east-1.amazonaws.com"},
    "Action": ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
    "Resource": "*",
}
ALARMS = {
    "Effect": "Allow",
    "Principal": {"Service": "cloudwatch.amazonaws.com"},
    "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
    "Resource": "*",
}
CONTEXT = "kms:EncryptionContext:aws:logs:arn"


def about(pattern: str) -> dict[str, Any]:
    return {"Condition": {"ArnLike": {CONTEXT: f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{pattern}"}}}


def a_key(*statements: dict[str, Any], **made: Any) -> str:
    """The ARN of a key with this policy."""
    kms = boto3.client("kms", region_name="us-east-1")
    arn: str = kms.create_key(**made)["KeyMetadata"]["Arn"]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    kms.put_key_policy(KeyId=arn, PolicyName="default", Policy=policy)
    return arn


def encrypted(clinic: Clinic, arn: str) -> list[Resource]:
    return declare(settings(f"kms_key: {arn}", clinic.directory))


def found(clinic: Clinic, arn: str) -> list[Finding]:
    _, findings, _ = clinic.planned(encrypted(clinic, arn))
    return [each for each in findings if each.check == kms_key.CHECK]


def test_a_key_that_lets_in_all_who_need_it_is_fine(clinic: Clinic) -> None:
    arn = a_key(ROOT, LOGS, ALARMS)
    assert found(clinic, arn) == []
    assert clinic.calls.count("DescribeKey") == clinic.calls.count("GetKeyPolicy") == 1
    (told,) = kms_key.check(clinic.run("doctor"), encrypted(clinic, arn))
    assert (told.result, told.found) == (OK, f"all principals that need {arn} may use it")


def test_without_a_key_kms_is_not_asked(clinic: Clinic) -> None:
    clinic.planned(declare(settings("", clinic.directory)))
    assert not {"DescribeKey", "GetKeyPolicy"} & {*clinic.calls}


@pytest.mark.parametrize(
    ("statements", "who", "missing"),
    [
        ((LOGS, ALARMS), f"arn:aws:iam::{ACCOUNT}:root", "kms:Encrypt, kms:Decrypt, kms:GenerateDataKey"),
        ((ROOT, ALARMS), "logs.us-east-1.amazonaws.com", "kms:Encrypt, kms:Decrypt, kms:ReEncryptFrom"),
        ((ROOT, LOGS), "cloudwatch.amazonaws.com", "kms:Decrypt, kms:GenerateDataKey"),
        ((ROOT, LOGS, ALARMS | {"Action": "kms:Decrypt"}), "cloudwatch.amazonaws.com", "kms:GenerateDataKey"),
        (
            (ROOT, ALARMS, LOGS | {"Principal": {"Service": "logs.eu-west-1.amazonaws.com"}}),
            "logs.us-east-1.amazonaws.com",
            "kms:Encrypt, kms:Decrypt",
        ),
        ((ROOT, ALARMS, LOGS | about("another")), "logs.us-east-1.amazonaws.com", "kms:Encrypt, kms:Decrypt"),
        (
            (ROOT, LOGS, ALARMS, ALARMS | {"Effect": "Deny", "Action": "kms:Decrypt"}),
            "cloudwatch.amazonaws.com",
            "kms:Decrypt",
        ),
    ],
    ids=["the account", "logs", "alarms", "half of it", "another region", "another log group", "a denial"],
)
def test_who_is_not_let_in_is_named_before_the_first_write_with_the_statement_to_add(
    clinic: Clinic, statements: tuple[dict[str, Any], ...], who: str, missing: str
) -> None:
    arn = a_key(*statements)
    (told,) = found(clinic, arn)
    assert f"the policy of the KMS key {arn} does not let {who} do {missing}" in told.found
    with pytest.raises(RefusedError):
        preflight.refuse([told])
    assert not clinic.writes

    if told.remedy.startswith("Add"):
        added = json.loads(told.remedy.partition("policy: ")[2])
        assert found(clinic, a_key(*statements, added)) == [], "what the remedy says to add is all that is missing"


@pytest.mark.parametrize(
    "statement",
    [
        LOGS | about("*"),
        LOGS | about("*-*"),
        LOGS | {"Principal": {"Service": ["ec2.amazonaws.com", "logs.us-east-1.amazonaws.com"]}},
        LOGS | {"Principal": "*"},
        LOGS | {"Condition": {"StringLike": {CONTEXT: f"arn:aws:logs:*:{ACCOUNT}:log-group:*"}}},
        LOGS | {"Action": "kms:*"},
    ],
)
def test_the_right_can_be_given_in_other_words(clinic: Clinic, statement: dict[str, Any]) -> None:
    assert found(clinic, a_key(ROOT, ALARMS, statement)) == []


@pytest.mark.parametrize("pattern", ["/aws/*", "/aws/lambda/data-*", "API-Gateway-Execution-Logs_*"])
def test_a_key_for_some_of_the_log_groups_alone_is_refused(clinic: Clinic, pattern: str) -> None:
    """API Gateway's own group is one of them."""
    (told,) = found(clinic, a_key(ROOT, LOGS | about(pattern), ALARMS))
    assert "does not let logs.us-east-1.amazonaws.com do" in told.found


def test_what_conditions_ask_for_that_only_aws_knows_is_told_as_not_known(clinic: Clinic) -> None:
    through = {"Condition": {"StringEquals": {"kms:ViaService": "sqs.us-east-1.amazonaws.com"}}}
    (told,) = found(clinic, a_key(ROOT | through, LOGS, ALARMS))
    assert told.result == UNKNOWN
    assert f"lets arn:aws:iam::{ACCOUNT}:root do kms:Encrypt, kms:Decrypt" in told.found
    assert "depends on conditions that only AWS can judge" in told.found
    preflight.refuse([told])

    mine = {"Condition": {"StringEquals": {"kms:CallerAccount": ACCOUNT}}}
    assert found(clinic, a_key(ROOT | mine, LOGS, ALARMS)) == []
    another = {"Condition": {"StringEquals": {"aws:SourceAccount": "999999999999"}}}
    (told,) = found(clinic, a_key(ROOT, LOGS, ALARMS | another))
    assert "does not let cloudwatch.amazonaws.com do" in told.found and told.result == PROBLEM


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {CONTEXT: f"arn:aws:logs:us-east-1:{ACCOUNT}:*"}},
        {"ArnLike": {CONTEXT: "arn:aws:logs:*:log-group:*"}},
        {"ArnLike": {CONTEXT: f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:[!x]*"}},
        {"StringEquals": {"aws:SourceAccount": "*"}},
    ],
    ids=["a literal asterisk", "a wildcard across colons", "brackets", "any account"],
)
def test_a_wildcard_counts_only_where_it_is_one_for_aws(clinic: Clinic, condition: dict[str, Any]) -> None:
    (told,) = found(clinic, a_key(ROOT, ALARMS, LOGS | {"Condition": condition}))
    assert told.result == PROBLEM and "does not let logs.us-east-1.amazonaws.com do" in told.found


@pytest.mark.parametrize(
    ("statements", "who"),
    [
        ((ROOT, ALARMS, LOGS | {"Condition": {"StringEquals": {"kms:CallerAccount": ACCOUNT}}}), "logs.us-east-1"),
        ((ROOT, LOGS, ALARMS | {"Condition": {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}}), "cloudwatch."),
        ((ROOT | {"Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}}}, LOGS, ALARMS), ":root"),
        ((ROOT | {"Resource": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/another"}, LOGS, ALARMS), ":root"),
        (({**ROOT, "NotResource": "*", "Resource": []}, LOGS, ALARMS), ":root"),
        ((ROOT, ALARMS, LOGS | {"Condition": {"ArnLike": {CONTEXT: "arn:aws:logs:*"}}}), "logs.us-east-1"),
        ((ROOT, ALARMS, LOGS | {"Condition": {"StringLike": {CONTEXT: "${aws:SourceArn}"}}}), "logs.us-east-1"),
    ],
    ids=["caller", "principal", "source", "another key", "no key", "no whole ARN", "a variable"],
)
def test_what_may_not_hold_for_who_asks_is_told_as_not_known(
    clinic: Clinic, statements: tuple[dict[str, Any], ...], who: str
) -> None:
    """AWS gives a role no source account, and a service no documented account of its own."""
    (told,) = found(clinic, a_key(*statements))
    assert told.result == UNKNOWN and who in told.found


QUERY = "iot-query-lambda-role-dev"
DENIED = {"Effect": "Deny", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/{QUERY}"}, "Action": "kms:Decrypt"}
DENIED |= {"Resource": "*"}


@pytest.mark.matrix
def test_a_key_that_is_denied_to_a_functions_role_alone_is_refused(clinic: Clinic) -> None:
    (told,) = found(clinic, a_key(ROOT, LOGS, ALARMS, DENIED))
    assert told.result == PROBLEM and f":role/{QUERY} kms:Decrypt" in told.found
    assert told.remedy == "Remove the statement that denies it from the key's policy"
    with pytest.raises(RefusedError):
        preflight.refuse([told])
    assert not clinic.writes

    session = {"Principal": {"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/{QUERY}/data-query-dev"}}
    (told,) = found(clinic, a_key(ROOT, LOGS, ALARMS, DENIED | session))
    assert told.result == UNKNOWN and QUERY in told.found
    another = {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/somebody"}}
    assert found(clinic, a_key(ROOT, LOGS, ALARMS, DENIED | another)) == []


def test_a_denial_for_all_but_the_account_itself_meets_the_functions_roles(clinic: Clinic) -> None:
    """AWS lets in a role under NotPrincipal only where its own ARN and its session's stand there too."""
    spared = {"Service": ["logs.us-east-1.amazonaws.com", "cloudwatch.amazonaws.com"]}
    spared["AWS"] = [f"arn:aws:iam::{ACCOUNT}:root", f"arn:aws:iam::{ACCOUNT}:role/{QUERY}"]
    denial = {"Effect": "Deny", "NotPrincipal": spared, "Action": "kms:Decrypt", "Resource": "*"}
    told = {
        each.found.partition(":role/")[2].split()[0]: each.result
        for each in found(clinic, a_key(ROOT, LOGS, ALARMS, denial))
    }
    assert told == {
        "iot-ingestion-lambda-role-dev": PROBLEM,
        "iot-processor-lambda-role-dev": PROBLEM,
        QUERY: UNKNOWN,
    }


@pytest.mark.parametrize(
    "denial",
    [
        {"Principal": {"AWS": "*"}, "Action": "kms:Decrypt"},
        {"NotPrincipal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:Decrypt"},
        {"Principal": "*", "Action": "kms:D*", "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}}},
    ],
    ids=["everybody", "everybody else", "within the account"],
)
def test_a_denial_counts_however_it_is_written(clinic: Clinic, denial: dict[str, Any]) -> None:
    told = found(clinic, a_key(ROOT, LOGS, ALARMS, {"Effect": "Deny", "Resource": "*", **denial}))
    alarms = [each for each in told if "cloudwatch.amazonaws.com" in each.found]
    assert [each.result for each in alarms] == [PROBLEM]
    assert alarms[0].remedy == "Remove the statement that denies it from the key's policy"


def test_a_denial_that_depends_on_what_aws_alone_knows_is_told(clinic: Clinic) -> None:
    denial = {"Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*"}
    when = {"Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o-example"}}}
    assert {each.result for each in found(clinic, a_key(ROOT, LOGS, ALARMS, denial | when))} == {UNKNOWN}


def test_a_policy_may_name_the_functions_roles_instead_of_letting_iam_decide(clinic: Clinic) -> None:
    roles = [f"arn:aws:iam::{ACCOUNT}:role/iot-{each}-lambda-role-dev" for each in ("ingestion", "processor", "query")]
    named = ROOT | {"Principal": {"AWS": roles}, "Action": ["kms:Decrypt", "kms:GenerateDataKey"]}
    (told,) = found(clinic, a_key(named, LOGS, ALARMS))
    assert told.result == UNKNOWN and "allows the functions' roles" in told.found
    (told,) = found(clinic, a_key(named | {"Principal": {"AWS": roles[:2]}}, LOGS, ALARMS))
    assert told.result == PROBLEM


@pytest.mark.matrix
def test_a_key_that_nothing_can_be_encrypted_with_is_refused(clinic: Clinic) -> None:
    disabled = a_key(ROOT, LOGS, ALARMS)
    boto3.client("kms", region_name="us-east-1").disable_key(KeyId=disabled.rpartition("/")[2])
    (told,) = found(clinic, disabled)
    assert told.found == f"the KMS key {disabled} is in the state Disabled and cannot encrypt anything"
    assert f"aws kms enable-key --key-id {disabled}" in told.remedy

    signing = a_key(ROOT, LOGS, ALARMS, KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")
    (told,) = found(clinic, signing)
    assert "is for SIGN_VERIFY (RSA_2048), and AWS's services encrypt with symmetric keys only" in told.found

    gone = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000"
    assert [each.found for each in found(clinic, gone)] == [f"there is no KMS key {gone}"]

    elsewhere = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000"
    (told,) = found(clinic, elsewhere)
    assert told.found == f"the KMS key {elsewhere} is in eu-west-1, and the environment in us-east-1"


def test_where_the_policy_may_not_be_read_that_is_told_and_up_goes_on(clinic: Clinic) -> None:
    error = {"Code": "AccessDeniedException", "Message": "is not authorized to perform: kms:GetKeyPolicy"}
    clinic.answers["GetKeyPolicy"] = lambda asked: ClientError({"Error": error}, "GetKeyPolicy")
    (told,) = found(clinic, a_key(ROOT))
    assert told.result == UNKNOWN and "kms:GetKeyPolicy" in told.found
    preflight.refuse([told])


def test_a_web_acl_of_another_region_is_refused_before_anything_is_made(clinic: Clinic) -> None:
    acl = f"arn:aws:wafv2:eu-west-1:{ACCOUNT}:regional/webacl/iot/00000000-0000-0000-0000-000000000000"
    _, findings, _ = clinic.planned(declare(settings(f"api: {{web_acl: '{acl}'}}", clinic.directory)))
    with pytest.raises(RefusedError) as refused:
        preflight.refuse(findings)
    assert f"the web ACL {acl} is in eu-west-1, and the environment in us-east-1" in str(refused.value)
    assert not clinic.writes
