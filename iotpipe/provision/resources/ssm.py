"""SSM parameters: one with the handlers' settings, one with a secret that iotpipe makes and never reads."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from iotpipe.provision.resource import (
    KEY,
    Properties,
    Recorded,
    Resource,
    optional,
    optional_found,
    tag_changes,
    tag_dict,
    tag_list,
)
from iotpipe.provision.run import Run

ACCOUNTS_KEY = "alias/aws/ssm"
"""With which SSM encrypts where no other key is named."""

_TIER = "Standard"
"""Of a new one. A request without a tier gets the account's default, also where it overwrites: a standard parameter
would become an advanced one for good, and of an advanced one AWS would refuse it:
https://docs.aws.amazon.com/systems-manager/latest/userguide/ps-default-tier.html"""


@dataclass(frozen=True, eq=False)
class _Named(Resource):
    """What the kinds of parameters have in common. `name` is the parameter's path."""

    cool_down: ClassVar[int] = 30

    def arn(self, run: Run) -> str:
        return run.aws.arn("ssm", f"parameter{self.name}")

    def _retag(self, run: Run, desired: Properties, observed: Properties) -> None:
        changed, removed = tag_changes(desired, observed)
        which = {"ResourceType": "Parameter", "ResourceId": self.name}
        if changed:
            run.client("ssm").add_tags_to_resource(**which, Tags=tag_list(changed))
        if removed:
            run.client("ssm").remove_tags_from_resource(**which, TagKeys=removed)

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        ssm = run.client("ssm")
        try:
            ssm.delete_parameter(Name=recorded.name)
        except ssm.exceptions.ParameterNotFound:
            return

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        return _tags(run, recorded.name)


@dataclass(frozen=True, eq=False)
class Parameter(_Named):
    """A String parameter that holds a JSON object."""

    kind: ClassVar[str] = "parameter"
    arn_form: ClassVar[str] = r"ssm:parameter(?P<name>/.+(?<!-key))"
    immutable: ClassVar[frozenset[str]] = frozenset({"Type"})

    value: Mapping[str, Any]

    def desired(self, run: Run) -> Properties:
        return {"Type": "String", "Value": dict(self.value), "Tags": run.all_tags}

    def read(self, run: Run) -> Properties | None:
        ssm, tags = run.client("ssm"), _known_tags(run, self.name)
        if tags is None:
            return None
        try:
            found = ssm.get_parameter(Name=self.name)["Parameter"]
        except ssm.exceptions.ParameterNotFound:
            return None
        return {"Type": found["Type"], "Value": _decoded(found["Value"]), "Tags": tags}

    def create(self, run: Run, desired: Properties) -> Properties:
        text = json.dumps(desired["Value"], sort_keys=True)
        run.client("ssm").put_parameter(
            Name=self.name, Type="String", Tier=_TIER, Value=text, Overwrite=False, Tags=tag_list(desired["Tags"])
        )
        return {}

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        if desired["Value"] != observed["Value"]:
            # Overwriting and tagging cannot go into one call.
            text = json.dumps(desired["Value"], sort_keys=True)
            run.client("ssm").put_parameter(
                Name=self.name, Type="String", Tier=tier(run, self.name), Value=text, Overwrite=True
            )
        self._retag(run, desired, observed)
        return {}


@dataclass(frozen=True, eq=False)
class Secret(_Named):
    """A SecureString with a random value, made once, which never changes.

    `kms_key` is the ARN of the KMS key that encrypts it; None leaves that to the account's own of SSM. The value is
    only read where the key changes, since SSM encrypts nothing anew by itself: it goes from SSM's answer into the next
    request and nowhere else.
    """

    kind: ClassVar[str] = "secret"
    # An ARN does not tell a parameter's type: the name has to.
    arn_form: ClassVar[str] = r"ssm:parameter(?P<name>/.+-key)"
    holds: ClassVar[str] = KEY
    immutable: ClassVar[frozenset[str]] = frozenset({"Type"})

    kms_key: str | None = None

    def desired(self, run: Run) -> Properties:
        return {"Type": "SecureString", **optional(run, self, "KeyId", self.kms_key, ""), "Tags": run.all_tags}

    def read(self, run: Run) -> Properties | None:
        tags = _known_tags(run, self.name)
        if tags is None:
            return None
        # It knows type and key without touching the value, and may not list what was only just made.
        found = described(run, self.name) or {"Type": "SecureString", "KeyId": self.kms_key or ACCOUNTS_KEY}
        key = found.get("KeyId", ACCOUNTS_KEY)
        return {
            "Type": found["Type"],
            **optional_found(run, self, "KeyId", "" if key == ACCOUNTS_KEY else key),
            "Tags": tags,
        }

    def create(self, run: Run, desired: Properties) -> Properties:
        run.client("ssm").put_parameter(
            Name=self.name,
            Type="SecureString",
            Tier=_TIER,
            Value=secrets.token_urlsafe(32),
            Overwrite=False,
            Tags=tag_list(desired["Tags"]),
            **({"KeyId": desired["KeyId"]} if desired.get("KeyId") else {}),
        )
        return {}

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        if "KeyId" in desired and desired["KeyId"] != observed.get("KeyId"):
            value = run.client("ssm").get_parameter(Name=self.name, WithDecryption=True)["Parameter"]["Value"]
            run.client("ssm").put_parameter(
                Name=self.name,
                Type="SecureString",
                Tier=tier(run, self.name),
                Value=value,
                KeyId=desired["KeyId"] or ACCOUNTS_KEY,
                Overwrite=True,
            )
        self._retag(run, desired, observed)
        return {}


def described(run: Run, name: str) -> dict[str, Any]:
    """What DescribeParameters tells of the parameter; nothing where it is not there or not listed yet.

    It is slow, because it looks through all parameters of the account: one call serves all of the environment.
    """
    names = sorted({name, *(each.name for each in run.resources if isinstance(each, _Named))})
    return run.once(f"parameters {names}", lambda: _describe(run, names)).get(name, {})


def tier(run: Run, name: str) -> str:
    """The tier of the parameter, to be said with each request that overwrites it."""
    return str(described(run, name).get("Tier", _TIER))


def _describe(run: Run, names: list[str]) -> dict[str, dict[str, Any]]:
    wanted = [name for name in names if _known_tags(run, name) is not None]
    filters = [{"Key": "Name", "Option": "Equals", "Values": wanted}]
    # It may answer with thousands of empty pages: none is asked for when everything is found.
    asked = (
        run.client("ssm")
        .get_paginator("describe_parameters")
        .paginate(ParameterFilters=filters, PaginationConfig={"PageSize": 50})
    )
    found: dict[str, dict[str, Any]] = {}
    for page in asked if wanted else ():
        found |= {each["Name"]: each for each in page["Parameters"]}
        if found.keys() >= set(wanted):
            break
    return found


def _known_tags(run: Run, name: str) -> dict[str, str] | None:
    """The tags, asked for once per command; None where there is no such parameter."""
    return run.once(f"tags of the parameter {name}", lambda: _tags(run, name))


def _decoded(value: str) -> Any:
    """The JSON object, or, where somebody wrote something else, the text itself."""
    try:
        decoded = json.loads(value)
    except ValueError:
        return value
    return decoded if isinstance(decoded, dict) else value


def _tags(run: Run, name: str) -> dict[str, str] | None:
    ssm = run.client("ssm")
    try:
        found = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=name)
    except ssm.exceptions.InvalidResourceId:
        return None
    return tag_dict(found["TagList"])
