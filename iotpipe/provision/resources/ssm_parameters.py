"""What both kinds of SSM parameters share: their tags, their deletion, and what DescribeParameters answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from iotpipe.provision.resource import Properties, Recorded, Resource, tag_changes, tag_dict, tag_list
from iotpipe.provision.rights import Right, regional_arn
from iotpipe.provision.run import Run

ACCOUNTS_KEY = "alias/aws/ssm"
"""With which SSM encrypts where no other key is named."""

TIER = "Standard"
"""Of a new one. A request without a tier gets the account's default, also where it overwrites: a standard parameter
would become an advanced one for good, and of an advanced one AWS would refuse it:
https://docs.aws.amazon.com/systems-manager/latest/userguide/ps-default-tier.html"""


PARAMETER_ARN = (regional_arn("ssm", "parameter{name}"),)
WRITE_PARAMETERS = Right(
    "Parameters",
    "ssm",
    PARAMETER_ARN,
    plan="ListTagsForResource",
    up="PutParameter AddTagsToResource RemoveTagsFromResource",
    down="DeleteParameter",
)
# It answers with types and names, never with a value, and cannot be narrowed to one parameter.
FIND_PARAMETERS = Right("FindParameters", "ssm", (regional_arn("ssm", "*"),), plan="DescribeParameters")


@dataclass(frozen=True, eq=False)
class SsmParameter(Resource):
    """The base of both kinds of parameters. `name` is the path of the parameter."""

    name_reuse_delay: ClassVar[int] = 30

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


def described(run: Run, name: str) -> dict[str, Any]:
    """The parameter as DescribeParameters answers; empty if it does not exist or is not listed yet.

    It is slow, because it looks through all parameters of the account: one call serves all of the environment.
    """
    names = sorted({name, *(each.name for each in run.resources if isinstance(each, SsmParameter))})
    return run.once(f"parameters {names}", lambda: _describe(run, names)).get(name, {})


def tier(run: Run, name: str) -> str:
    """The tier of the parameter, which every request that overwrites it has to name."""
    return str(described(run, name).get("Tier", TIER))


def _describe(run: Run, names: list[str]) -> dict[str, dict[str, Any]]:
    wanted = [name for name in names if known_tags(run, name) is not None]
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


def known_tags(run: Run, name: str) -> dict[str, str] | None:
    """The tags, read once per command; None if the parameter does not exist."""
    return run.once(f"tags of the parameter {name}", lambda: _tags(run, name))


def _tags(run: Run, name: str) -> dict[str, str] | None:
    ssm = run.client("ssm")
    try:
        found = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=name)
    except ssm.exceptions.InvalidResourceId:
        return None
    return tag_dict(found["TagList"])
