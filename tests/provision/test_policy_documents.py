"""Policy documents that mean the same are equal in their canonical form, and those that do not are not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iotpipe.provision.policy_documents import canonical

QUEUE = "arn:aws:sqs:us-east-1:123456789012:q"


def document(*statements: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements), **changes}


def statement(**changes: Any) -> dict[str, Any]:
    plain = {"Sid": "Send", "Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sqs:SendMessage"}
    return {**plain, "Resource": QUEUE, **changes}


def condition(operator: str, key: str, value: Any) -> dict[str, Any]:
    return statement(Condition={operator: {key: value}})


SAME = {
    "a list of one action": (statement(), statement(Action=["sqs:SendMessage"])),
    "a list of one resource": (statement(), statement(Resource=[QUEUE])),
    "a list of one principal": (statement(), statement(Principal={"AWS": ["123456789012"]})),
    "actions in another order": (statement(Action=["sqs:a", "sqs:b"]), statement(Action=["sqs:b", "sqs:a"])),
    "an action twice": (statement(), statement(Action=["sqs:SendMessage", "sqs:SendMessage"])),
    "the case of an action": (statement(), statement(Action="SQS:sendMessage")),
    "excluded actions": (statement(NotAction=["a:B", "c:D"]), statement(NotAction=["C:d", "A:b"])),
    "resources in another order": (statement(Resource=["a", "b"]), statement(Resource=["b", "a"])),
    "excluded resources": (statement(NotResource="a"), statement(NotResource=["a"])),
    "the root of an account": (statement(), statement(Principal={"AWS": "arn:aws:iam::123456789012:root"})),
    "the root of an account in China": (
        statement(),
        statement(Principal={"AWS": ["arn:aws-cn:iam::123456789012:root"]}),
    ),
    "excluded principals": (
        statement(NotPrincipal={"AWS": ["1" * 12, "2" * 12]}),
        statement(NotPrincipal={"AWS": ["2" * 12, f"arn:aws:iam::{'1' * 12}:root"]}),
    ),
    "everybody": (statement(Principal="*"), statement(Principal={"AWS": "*"})),
    "the case of a condition key": (
        condition("ArnLike", "AWS:SourceArn", "arn:x"),
        condition("ArnLike", "aws:sourceArn", ["arn:x"]),
    ),
    "values of a condition in another order": (
        condition("StringEquals", "aws:SourceAccount", ["1", "2"]),
        condition("StringEquals", "aws:SourceAccount", ["2", "1"]),
    ),
    "true as a text": (
        condition("Bool", "aws:SecureTransport", True),
        condition("Bool", "aws:SecureTransport", "true"),
    ),
    "a number as a text": (
        condition("NumericLessThan", "aws:MultiFactorAuthAge", 300),
        condition("NumericLessThan", "aws:MultiFactorAuthAge", "300"),
    ),
    "the case that an operator ignores": (
        condition("StringEqualsIgnoreCase", "aws:username", "Anna"),
        condition("StringEqualsIgnoreCase", "aws:username", "anna"),
    ),
    "an empty condition": (statement(), statement(Condition={})),
    "an empty operator": (statement(), statement(Condition={"StringEquals": {}})),
}


@pytest.mark.parametrize("what", SAME)
def test_the_form_of_a_statement_does_not_count(what: str) -> None:
    one, other = SAME[what]
    assert canonical(document(one)) == canonical(document(other))


DIFFERENT = {
    "an action more": (statement(), statement(Action=["sqs:SendMessage", "sqs:ReceiveMessage"])),
    "the effect": (statement(), statement(Effect="Deny")),
    "the case of a resource": (statement(Resource="arn:q"), statement(Resource="arn:Q")),
    "another account": (statement(), statement(Principal={"AWS": "arn:aws:iam::123456789013:root"})),
    "a role of the account": (statement(), statement(Principal={"AWS": "arn:aws:iam::123456789012:role/root"})),
    "a service of that name": (statement(), statement(Principal={"Service": "123456789012"})),
    "everybody but": (statement(), statement(NotPrincipal="*")),
    "no action": (statement(), {key: value for key, value in statement().items() if key != "Action"}),
    "a condition": (statement(), condition("StringEquals", "aws:SourceAccount", "1")),
    "another operator": (
        condition("StringEquals", "aws:SourceAccount", "1"),
        condition("StringNotEquals", "aws:SourceAccount", "1"),
    ),
    "the case of a value": (
        condition("StringEquals", "aws:username", "Anna"),
        condition("StringEquals", "aws:username", "anna"),
    ),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_what_means_something_else_stays_something_else(what: str) -> None:
    one, other = DIFFERENT[what]
    assert canonical(document(one)) != canonical(document(other))


def test_a_lone_statement_needs_no_list() -> None:
    assert canonical(document(Statement=statement())) == canonical(document(statement()))


def test_an_id_means_nothing() -> None:
    assert canonical(document(statement(), Id="__default_policy_ID")) == canonical(document(statement()))


def test_no_version_is_the_oldest_one_and_another_version_is_another_language() -> None:
    versionless = {"Statement": [statement()]}
    assert canonical(versionless) == canonical(document(statement(), Version="2008-10-17"))
    assert canonical(versionless) != canonical(document(statement()))


def test_a_document_without_statements_has_none() -> None:
    assert canonical({})["Statement"] == {}


def test_statements_stand_under_their_sid_and_the_others_are_numbered_by_their_content() -> None:
    first, second = statement(Sid="", Action="a:b"), statement(Action="c:d")
    del second["Sid"]
    found = canonical(document(second, statement(), first))["Statement"]
    assert {name: made["Action"] for name, made in found.items()} == {
        "#1": ["a:b"],
        "#2": ["c:d"],
        "Send": ["sqs:sendmessage"],
    }
    assert canonical(document(first, statement(), second))["Statement"] == found


def test_no_statement_hides_another_of_the_same_sid() -> None:
    found = canonical(document(statement(), statement(Action="sqs:*")))["Statement"]
    assert sorted(made["Action"] for made in found.values()) == [["sqs:*"], ["sqs:sendmessage"]]


@pytest.mark.parametrize("sid", [{}, {"Sid": "Renamed"}])
def test_a_statement_is_matched_by_what_it_says_whatever_its_sid(sid: dict[str, str]) -> None:
    wanted = canonical(document(statement(), statement(Sid="Receive", Action="sqs:ReceiveMessage")))
    nameless = {key: value for key, value in statement().items() if key != "Sid"}
    live = document({**nameless, **sid}, statement(Sid="Receive"))
    found = canonical(live, wanted)["Statement"]
    assert found["Send"] == wanted["Statement"]["Send"]
    assert found["Receive"] != wanted["Statement"]["Receive"], "it says something else than it should"


def test_a_statement_that_has_lost_its_sid_hides_none_that_has_it() -> None:
    wanted = canonical(document(statement()))
    nameless = {key: value for key, value in statement().items() if key != "Sid"}
    found = canonical(document(statement(Action="sqs:*"), nameless), wanted)["Statement"]
    assert sorted(made["Action"] for made in found.values()) == [["sqs:*"], ["sqs:sendmessage"]]


def test_the_canonical_form_is_json() -> None:
    made = canonical(document(condition("Bool", "aws:SecureTransport", False)))
    assert json.loads(json.dumps(made)) == made
