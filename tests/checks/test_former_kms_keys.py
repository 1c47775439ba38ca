"""A KMS key is taken off or exchanged without a moment in which a function cannot read what waits for it."""

from __future__ import annotations

import json
import time

import boto3
import pytest

from iotpipe.checks import kms_key, preflight
from iotpipe.checks.finding import WARNING, Finding
from iotpipe.errors import RefusedError
from iotpipe.provision.adoption import adoption
from tests.checks.test_kms_key_check import ALARMS, LOGS, ROOT, a_key
from tests.support.checks_world import ACCOUNT, Clinic, declare, settings

pytestmark = pytest.mark.matrix

DEAD_LETTERS = f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/iot-dlq-dev"
ENCRYPTING = ("UpdateTable", "SetQueueAttributes", "SetTopicAttributes", "UpdateFunctionConfiguration", "PutParameter")


@pytest.fixture
def clinic(clinic: Clinic) -> Clinic:
    """SQS dates what it changes by the time that it is."""
    clinic.clock.time = time.time()
    return clinic


def brought_up(clinic: Clinic, text: str) -> list[Finding]:
    """`up` with these settings, and a second one, which writes nothing; answers with what was told."""
    resources = declare(settings(text, clinic.directory))
    _, findings, _ = clinic.planned(resources)
    preflight.refuse(findings)
    clinic.up(resources)
    written = clinic.writes
    clinic.up(resources)
    assert not clinic.writes
    clinic.calls[:] = written
    return [each for each in findings if each.check == kms_key.CHECK]


def refused(clinic: Clinic, text: str) -> str:
    """What `up` says that refuses these settings; it has written nothing."""
    _, findings, _ = clinic.planned(declare(settings(text, clinic.directory)))
    with pytest.raises(RefusedError) as error:
        preflight.refuse(findings)
    assert not clinic.writes
    return str(error.value)


def usable(role: str) -> list[str]:
    """The keys that the role of this function may use."""
    policy = boto3.client("iam").get_role_policy(RoleName=f"iot-{role}-lambda-role-dev", PolicyName="iotpipe")
    statements = policy["PolicyDocument"]["Statement"]
    found = next((each["Resource"] for each in statements if each["Sid"] == "Encrypt"), [])
    return sorted([found] if isinstance(found, str) else found)


def test_a_key_is_set_exchanged_taken_off_and_set_again(clinic: Clinic) -> None:
    first, second = a_key(ROOT, LOGS, ALARMS), a_key(ROOT, LOGS, ALARMS)
    steps = [
        ("", []),
        (f"kms_key: {first}", [first]),
        (f"{{kms_key: '{second}', former_kms_keys: ['{first}']}}", [first, second]),
        (f"former_kms_keys: ['{second}', '{first}']", [first, second]),
        (f"{{kms_key: '{first}', former_kms_keys: ['{second}']}}", [first, second]),
    ]
    for text, keys in steps:
        assert brought_up(clinic, text) == []
        for role in ("ingestion", "processor", "query"):
            assert usable(role) == sorted(keys)


@pytest.mark.parametrize("parallel", [1, 16])
def test_the_roles_get_the_right_before_anything_is_encrypted_with_the_key(clinic: Clinic, parallel: int) -> None:
    first, second = a_key(ROOT, LOGS, ALARMS), a_key(ROOT, LOGS, ALARMS)
    clinic.parallel = parallel
    brought_up(clinic, "")
    for text in (f"kms_key: {first}", f"{{kms_key: '{second}', former_kms_keys: ['{first}']}}"):
        brought_up(clinic, text)
        dead_letters = clinic.writes.index("SetQueueAttributes")
        assert "PutRolePolicy" not in clinic.writes[dead_letters:], "all three roles send to it"
        assert {*ENCRYPTING} <= {*clinic.writes}


@pytest.mark.sampled(1)
@pytest.mark.parametrize("then", ["another", "none"])
def test_a_key_that_encrypts_something_must_stay_usable(clinic: Clinic, then: str) -> None:
    used, other = a_key(ROOT, LOGS, ALARMS), a_key(ROOT, LOGS, ALARMS)
    brought_up(clinic, f"kms_key: {used}")
    clinic.path.unlink()
    told = refused(clinic, f"kms_key: {other}" if then == "another" else "")
    assert f"would lose their right to the KMS key {used}" in told
    assert "queue/iot-dlq-dev" in told and "table/raw-sensor-data-dev" in told and "are encrypted with it" in told
    assert f"Add {used} to former_kms_keys" in told


def test_a_former_key_may_go_when_no_message_can_be_encrypted_with_it(clinic: Clinic) -> None:
    old, new = a_key(ROOT, LOGS, ALARMS), a_key(ROOT, LOGS, ALARMS)
    brought_up(clinic, f"kms_key: {old}")
    sqs = boto3.client("sqs", region_name="us-east-1")
    sqs.send_message(QueueUrl=DEAD_LETTERS, MessageBody="sent with the old key")
    brought_up(clinic, f"{{kms_key: '{new}', former_kms_keys: ['{old}']}}")

    told = refused(clinic, f"kms_key: {new}")
    assert "queue/iot-dlq-dev holds messages that may have been sent with it, until " in told
    assert "queue/iot-ingestion-queue-dev was changed less than 60 s ago" in told
    changed = clinic.clock.time
    clinic.clock.time = changed + 90
    assert "queue/iot-ingestion-queue-dev" not in refused(clinic, f"kms_key: {new}")

    clinic.clock.time = changed + 1_209_600 - 90
    assert "queue/iot-dlq-dev" in refused(clinic, f"kms_key: {new}")
    clinic.clock.time = changed + 1_209_600 + 90
    _, findings, _ = clinic.planned(declare(settings(f"kms_key: {new}", clinic.directory)))
    assert findings == [], "SQS has dropped what was sent with it"

    clinic.clock.time = changed + 90
    sqs.purge_queue(QueueUrl=DEAD_LETTERS)
    brought_up(clinic, f"kms_key: {new}")
    assert [usable(role) for role in ("ingestion", "processor", "query")] == [[new]] * 3


def test_a_former_key_that_cannot_be_used_is_a_warning_and_stops_nothing(clinic: Clinic) -> None:
    old, new = a_key(ROOT, LOGS, ALARMS), a_key(ROOT, LOGS, ALARMS)
    brought_up(clinic, f"kms_key: {old}")
    brought_up(clinic, f"{{kms_key: '{new}', former_kms_keys: ['{old}']}}")
    boto3.client("kms", region_name="us-east-1").disable_key(KeyId=old.rpartition("/")[2])
    (told,) = brought_up(clinic, f"{{kms_key: '{new}', former_kms_keys: ['{old}']}}")
    assert told.result == WARNING
    assert f"the KMS key {old} is in the state Disabled" in told.found
    assert "Pending messages may be encrypted with it" in told.found


@pytest.mark.sampled(1)
@pytest.mark.parametrize("by_hand", ["deleted", "renamed"])
def test_a_key_with_which_messages_were_sent_is_known_whatever_became_of_the_roles(
    clinic: Clinic, by_hand: str
) -> None:
    old, new = a_key(ROOT, LOGS, ALARMS), a_key(ROOT, LOGS, ALARMS)
    brought_up(clinic, f"kms_key: {old}")
    boto3.client("sqs", region_name="us-east-1").send_message(
        QueueUrl=DEAD_LETTERS, MessageBody="sent with the old key"
    )
    clinic.clock.time += 90
    iam = boto3.client("iam")
    for name in (f"iot-{each}-lambda-role-dev" for each in ("ingestion", "processor", "query")):
        policy = {"RoleName": name, "PolicyName": "iotpipe"}
        if by_hand == "deleted":
            iam.delete_role_policy(**policy)
        else:
            document = json.dumps(iam.get_role_policy(**policy)["PolicyDocument"]).replace('"Encrypt"', '"Another"')
            iam.put_role_policy(**policy, PolicyDocument=document)
    clinic.path.unlink()
    told = refused(clinic, f"kms_key: {new}")
    assert "queue/iot-dlq-dev" in told and f"Add {old} to former_kms_keys" in told
    brought_up(clinic, f"{{kms_key: '{new}', former_kms_keys: ['{old}']}}")
    assert [usable(role) for role in ("ingestion", "processor", "query")] == [sorted([old, new])] * 3


@pytest.mark.sampled(1)
@pytest.mark.parametrize("form", ["ARN", "id"])
def test_messages_sent_with_a_key_that_one_queue_was_given_by_hand_stay_readable(clinic: Clinic, form: str) -> None:
    mine, another = a_key(ROOT, LOGS, ALARMS), a_key(ROOT, LOGS, ALARMS)
    brought_up(clinic, f"kms_key: {mine}")
    sqs = boto3.client("sqs", region_name="us-east-1")
    given = another if form == "ARN" else another.rpartition("/")[2]
    sqs.set_queue_attributes(QueueUrl=DEAD_LETTERS, Attributes={"KmsMasterKeyId": given})
    sqs.send_message(QueueUrl=DEAD_LETTERS, MessageBody="sent with the other key")
    told = refused(clinic, f"kms_key: {mine}")
    assert f"queue/iot-dlq-dev is encrypted with the KMS key {another}" in told
    assert f"Add {another} to former_kms_keys" in told
    clinic.clock.time += 90
    sqs.purge_queue(QueueUrl=DEAD_LETTERS)
    brought_up(clinic, f"kms_key: {mine}")


def test_the_key_that_aws_manages_for_sqs_stops_nothing(clinic: Clinic) -> None:
    brought_up(clinic, "")
    sqs = boto3.client("sqs", region_name="us-east-1")
    sqs.set_queue_attributes(QueueUrl=DEAD_LETTERS, Attributes={"KmsMasterKeyId": "alias/aws/sqs"})
    sqs.send_message(QueueUrl=DEAD_LETTERS, MessageBody="sent with AWS's own key")
    brought_up(clinic, "")


def test_what_is_adopted_alone_is_not_encrypted_before_the_roles_may_use_the_key(clinic: Clinic) -> None:
    new = a_key(ROOT, LOGS, ALARMS)
    brought_up(clinic, "")
    clinic.path.unlink()
    resources = declare(settings(f"kms_key: {new}", clinic.directory))
    names = [f"iot-{each}-lambda-role-dev" for each in ("ingestion", "processor", "query")]
    alone = adoption(False, ["queue/iot-dlq-dev"], resources)
    _, findings, _ = clinic.planned(resources, alone)
    with pytest.raises(RefusedError) as error:
        preflight.refuse(findings)
    assert f"queue/iot-dlq-dev would be encrypted with the KMS key {new} before" in str(error.value)
    assert all(f"--adopt role/{name}" in str(error.value) for name in names)
    assert not clinic.writes

    together = adoption(False, ["queue/iot-dlq-dev", *(f"role/{name}" for name in names)], resources)
    _, findings, _ = clinic.planned(resources, together)
    preflight.refuse(findings)
    clinic.up(resources, together)
    boto3.client("sqs", region_name="us-east-1").send_message(QueueUrl=DEAD_LETTERS, MessageBody="sent with the key")
    _, findings, _ = clinic.planned(resources, alone)
    preflight.refuse(findings)


def test_a_role_that_is_adopted_alone_keeps_the_key_that_others_need(clinic: Clinic) -> None:
    old, new = a_key(ROOT, LOGS, ALARMS), a_key(ROOT, LOGS, ALARMS)
    brought_up(clinic, f"kms_key: {old}")
    clinic.path.unlink()
    resources = declare(settings(f"kms_key: {new}", clinic.directory))
    _, findings, _ = clinic.planned(resources, adoption(False, ["role/iot-processor-lambda-role-dev"], resources))
    with pytest.raises(RefusedError, match=f"Add {old} to former_kms_keys"):
        preflight.refuse(findings)
