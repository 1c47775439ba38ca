"""The registry of AWS IoT in the embedded AWS refuses what AWS refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.mqtt_devices import NOT_AUTHORIZED, V5, Fleet, request

pytestmark = pytest.mark.embedded


def policy(characters: int = 0) -> str:
    """Return a policy document that allows nothing of importance, of so many characters without white space."""
    document: dict[str, Any] = {"Statement": [{"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn"}]}
    missing = characters - len(json.dumps(document).replace(" ", ""))
    document["Statement"][0]["Resource"] += max(0, missing) * "x"
    return json.dumps(document)


MALFORMED = {
    "no JSON": "{",
    "no object": "[]",
    "no statement": "{}",
    "an empty statement": json.dumps({"Statement": []}),
    "no effect": json.dumps({"Statement": [{"Action": "iot:Connect", "Resource": "*"}]}),
    "no action": json.dumps({"Statement": [{"Effect": "Allow", "Resource": "*"}]}),
    "too long": policy(2049),
}


@pytest.mark.parametrize("document", MALFORMED)
def test_a_malformed_policy_is_refused(fleet: Fleet, document: str) -> None:
    with pytest.raises(fleet.iot.exceptions.MalformedPolicyException):
        fleet.iot.create_policy(policyName="malformed", policyDocument=MALFORMED[document])


def test_a_policy_has_at_most_five_versions_of_2048_characters(fleet: Fleet) -> None:
    name = "+=,.@-_"
    fleet.iot.create_policy(policyName=name, policyDocument=policy(2048) + 1000 * " ")
    for _ in range(4):
        fleet.iot.create_policy_version(policyName=name, policyDocument=policy())
    with pytest.raises(fleet.iot.exceptions.VersionsLimitExceededException):
        fleet.iot.create_policy_version(policyName=name, policyDocument=policy())
    fleet.iot.delete_policy_version(policyName=name, policyVersionId="2")
    with pytest.raises(fleet.iot.exceptions.MalformedPolicyException):
        fleet.iot.create_policy_version(policyName=name, policyDocument=policy(2049))
    fleet.iot.create_policy_version(policyName=name, policyDocument=policy())


def test_names_that_aws_does_not_allow_are_refused(fleet: Fleet) -> None:
    rule = {"sql": "SELECT * FROM 'a'", "actions": []}
    attempts = [
        lambda: fleet.iot.create_policy(policyName="a:b", policyDocument=policy()),
        lambda: fleet.iot.create_thing(thingName="a.b"),
        lambda: fleet.iot.create_topic_rule(ruleName="a-b", topicRulePayload=rule),
    ]
    for attempt in attempts:
        with pytest.raises(fleet.iot.exceptions.InvalidRequestException):
            attempt()


def test_a_thing_is_updated_only_as_the_version_that_was_read(fleet: Fleet) -> None:
    fleet.iot.create_thing(thingName="versioned")
    version = fleet.iot.describe_thing(thingName="versioned")["version"]
    update = {"thingName": "versioned", "attributePayload": {"attributes": {"a": "1"}}, "expectedVersion": version}
    fleet.iot.update_thing(**update)
    with pytest.raises(fleet.iot.exceptions.VersionConflictException):
        fleet.iot.update_thing(**update)
    fleet.iot.update_thing(**update | {"expectedVersion": version + 1})


def test_a_thing_without_a_type_has_at_most_three_attributes(fleet: Fleet) -> None:
    iot, invalid = fleet.iot, fleet.iot.exceptions.InvalidRequestException
    four = {"attributes": dict.fromkeys("abcd", "1")}
    with pytest.raises(invalid):
        iot.create_thing(thingName="attributes", attributePayload=four)
    for attributes in ({"a b": "1"}, {"a": "1 2"}, {"a": 801 * "x"}):
        with pytest.raises(invalid):
            iot.create_thing(thingName="attributes", attributePayload={"attributes": attributes})
    iot.create_thing(thingName="attributes", attributePayload={"attributes": dict.fromkeys("abc", "1")})
    more = {"attributes": {"d": "1"}, "merge": True}
    with pytest.raises(invalid):
        iot.update_thing(thingName="attributes", attributePayload=more)
    iot.update_thing(thingName="attributes", attributePayload={"attributes": {"a": "", "d": "1"}, "merge": True})
    assert iot.describe_thing(thingName="attributes")["attributes"] == dict.fromkeys("bcd", "1")
    iot.create_thing_type(thingTypeName="type")
    iot.create_thing(thingName="typed", thingTypeName="type", attributePayload=four)


def test_a_certificate_is_attached_to_one_thing_exclusively(fleet: Fleet) -> None:
    iot, owner = fleet.iot, fleet.enrolled("dev:exclusive")
    iot.create_thing(thingName="dev:second")
    for more in ({}, {"thingPrincipalType": "EXCLUSIVE_THING"}):
        with pytest.raises(iot.exceptions.InvalidRequestException):
            iot.attach_thing_principal(thingName="dev:second", principal=owner.arn, **more)
    iot.attach_thing_principal(thingName="dev:exclusive", principal=owner.arn, thingPrincipalType="EXCLUSIVE_THING")
    assert fleet.refused("dev:second", owner) == NOT_AUTHORIZED
    iot.detach_thing_principal(thingName="dev:exclusive", principal=owner.arn)
    for thing in ("dev:exclusive", "dev:second"):
        iot.attach_thing_principal(thingName=thing, principal=owner.arn)
        with fleet.connect(thing, owner) as device:
            assert device.connected
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.attach_thing_principal(thingName="dev:second", principal=owner.arn, thingPrincipalType="EXCLUSIVE_THING")


def test_the_variables_of_an_exclusive_thing_do_not_depend_on_the_client_id(fleet: Fleet) -> None:
    owner = fleet.enrolled("dev:one")
    statement = {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}
    fleet.iot.create_policy(policyName="connect", policyDocument=json.dumps({"Statement": [statement]}))
    fleet.iot.attach_policy(policyName="connect", target=owner.arn)
    with fleet.connect("any", owner, version=V5) as device:
        assert fleet.data.get_connection(clientId="any")["thingName"] == "dev:one"
        assert device.publish("iotpipe/dev/dev:one/readings", "{}") == 0
        assert device.publish("iotpipe/dev/any/readings", "{}") == NOT_AUTHORIZED


@pytest.mark.parametrize("signed", ["weak", "broken"])
def test_a_weak_or_broken_request_for_a_certificate_is_refused(fleet: Fleet, signed: str) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    text = request(key, "dev:weak") if signed == "weak" else "-----BEGIN CERTIFICATE REQUEST-----"
    with pytest.raises(ClientError, match=r"InvalidRequestException.*CSR violates constraints"):
        fleet.iot.create_certificate_from_csr(certificateSigningRequest=text)


def test_rules_and_policies_are_found_by_their_tags(fleet: Fleet) -> None:
    rule = {"sql": "SELECT * FROM 'a'", "actions": []}
    fleet.iot.create_topic_rule(ruleName="tagged", topicRulePayload=rule, tags="team=a")
    fleet.iot.create_policy(policyName="tagged", policyDocument=policy(), tags=[{"Key": "team", "Value": "a"}])
    asked = {"TagFilters": [{"Key": "team", "Values": ["a"]}]}
    found = fleet.machine.client("resourcegroupstaggingapi").get_resources(**asked)["ResourceTagMappingList"]
    account = "arn:aws:iot:us-east-1:000000000000"
    assert {each["ResourceARN"] for each in found} == {f"{account}:rule/tagged", f"{account}:policy/tagged"}
