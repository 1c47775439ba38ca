"""AWS IoT policies, which say what a certificate may do over MQTT."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from iotpipe.provision.resource import Properties, Recorded, Resource, tag_list
from iotpipe.provision.resources.iot_tags import known_tags, live_tags, retag
from iotpipe.provision.resources.topic_rule import TopicRule
from iotpipe.provision.rights import Right, regional_arn
from iotpipe.provision.run import Run

_MOST_VERSIONS = 5
"""AWS IoT keeps no more versions of a policy."""


@dataclass(frozen=True)
class Permit:
    """One statement: an action of AWS IoT, and on what, as the last part of ARNs such as `topic/a/b`."""

    action: str
    on: Sequence[str]
    condition: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class IotPolicy(Resource):
    """What every certificate that the policy is attached to may do.

    `rules` are the topic rules that have to exist before a device can publish: with Basic Ingest, what is published to
    a rule that does not exist is lost.
    """

    kind: ClassVar[str] = "iot-policy"
    aws_service: ClassVar[str] = "iot"
    arn_form: ClassVar[str] = r"iot:policy/(?P<name>.+)"
    rights: ClassVar[tuple[Right, ...]] = (
        Right(
            "DevicePolicies",
            "iot",
            (regional_arn("iot", "policy/{name}"),),
            plan="GetPolicy ListTagsForResource",
            up="CreatePolicy CreatePolicyVersion ListPolicyVersions DeletePolicyVersion TagResource UntagResource",
            down="DeletePolicy ListPolicyVersions DeletePolicyVersion ListTargetsForPolicy",
        ),
        Right(
            "Things",
            "iot",
            (regional_arn("iot", "thing/{suffix}:*"),),
            devices="CreateThing DescribeThing UpdateThing DeleteThing ListThingPrincipals",
            view="DescribeThing ListThingPrincipals",
        ),
        # IAM knows a certificate by nothing but its random id: these rights reach every certificate of the account.
        Right(
            "Certificates",
            "iot",
            (regional_arn("iot", "cert/*"),),
            devices="DescribeCertificate UpdateCertificate DeleteCertificate ListPrincipalThings AttachPolicy"
            " DetachPolicy",
            view="DescribeCertificate",
        ),
        Right(
            "AttachThings",
            "iot",
            (regional_arn("iot", "cert/*"),),
            devices="AttachThingPrincipal DetachThingPrincipal",
            when={"ArnLike": {"iot:thingArn": regional_arn("iot", "thing/{suffix}:*")}},
        ),
        Right(
            "AnyDevice",
            "iot",
            ("*",),
            plan="ListThings",
            devices="CreateCertificateFromCsr DescribeEndpoint ListThings ListCertificates",
            view="ListThings ListCertificates",
        ),
        Right(
            "Connections",
            "iot",
            (regional_arn("iot", "client/{suffix}:*"),),
            devices="DeleteConnection GetConnection",
            view="GetConnection",
        ),
    )

    may: Sequence[Permit]
    rules: Sequence[TopicRule] = ()

    def arn(self, run: Run) -> str:
        return _arn(run, self.name)

    def desired(self, run: Run) -> Properties:
        return {"policyDocument": self._document(run), "Tags": run.all_tags}

    def read(self, run: Run) -> Properties | None:
        document = _live_document(run, self.name)
        if document is None:
            return None
        return {"policyDocument": _parsed(document), "Tags": known_tags(run, self.arn(run))}

    def create(self, run: Run, desired: Properties) -> Properties:
        document = json.dumps(desired["policyDocument"])
        run.client("iot").create_policy(policyName=self.name, policyDocument=document, tags=tag_list(desired["Tags"]))
        return {}

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        if desired["policyDocument"] != observed["policyDocument"]:
            _make_room(run, self.name)
            document = json.dumps(desired["policyDocument"])
            run.client("iot").create_policy_version(policyName=self.name, policyDocument=document, setAsDefault=True)
        retag(run, self.arn(run), desired, observed)
        return {}

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        iot = run.client("iot")
        try:
            for version in _replaced_versions(run, recorded.name):
                iot.delete_policy_version(policyName=recorded.name, policyVersionId=version)
            iot.delete_policy(policyName=recorded.name)
        except iot.exceptions.ResourceNotFoundException:
            return

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        return live_tags(run, _arn(run, recorded.name), lambda: _live_document(run, recorded.name) is not None)

    @classmethod
    def deletion_obstacle(cls, run: Run, recorded: Recorded) -> str:
        iot = run.client("iot")
        try:
            targets = iot.list_targets_for_policy(policyName=recorded.name, pageSize=100)["targets"]
        except iot.exceptions.ResourceNotFoundException:
            return ""
        if not targets:
            return ""
        return (
            f"AWS IoT deletes no policy that is attached to certificates, as {recorded.name} is: devices are enrolled. "
            "Remove them first, with `iotpipe down --delete-devices` or `iotpipe device remove`"
        )

    def _document(self, run: Run) -> dict[str, Any]:
        statements = [
            {
                "Effect": "Allow",
                "Action": each.action,
                "Resource": [run.aws.arn("iot", part) for part in each.on],
                **({"Condition": each.condition} if each.condition else {}),
            }
            for each in self.may
        ]
        return {"Version": "2012-10-17", "Statement": statements}


def _arn(run: Run, name: str) -> str:
    return run.aws.arn("iot", f"policy/{name}")


def _live_document(run: Run, name: str) -> str | None:
    """The text of the version in force; None if the policy does not exist."""
    iot = run.client("iot")
    try:
        return str(iot.get_policy(policyName=name)["policyDocument"])
    except iot.exceptions.ResourceNotFoundException:
        return None


def _parsed(document: str) -> Any:
    """The document; its text where somebody has stored one that is no JSON object."""
    try:
        return json.loads(document)
    except ValueError:
        return document


def _replaced_versions(run: Run, name: str) -> list[str]:
    """The ids of the versions that are not in force, the oldest first."""
    versions = run.client("iot").list_policy_versions(policyName=name)["policyVersions"]
    ids = [each["versionId"] for each in versions if not each["isDefaultVersion"]]
    return sorted(ids, key=int)


def _make_room(run: Run, name: str) -> None:
    """Delete the oldest version if there is no room for another."""
    replaced = _replaced_versions(run, name)
    if len(replaced) + 1 >= _MOST_VERSIONS:
        run.client("iot").delete_policy_version(policyName=name, policyVersionId=replaced[0])
