"""The form in which each kind of resource declares the IAM actions that iotpipe needs for it.

The actions, the resources that they can be narrowed to and their condition keys are those of AWS's Service
Authorization Reference (https://docs.aws.amazon.com/service-authorization/latest/reference/), one page per service.
Where AWS asks for more than the action that is named like the call, or names the resource otherwise than that
reference, a comment says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

VIEW, DEVICES = "view", "devices"
GROUPS = ("plan", "up", "down", "operate", VIEW, DEVICES)
"""The groups of commands. plan: what only reads. Every other group but ALONE includes `plan`: its commands read first.

up: creates, updates, and deletes what is no longer declared, but no table. down: deletes. operate: sends readings,
queries the API, reads logs, inspects and redrives dead letters. view: looks at how readings flow, at devices, stored
readings and dead letters. devices: enrols, rotates, revokes and removes devices.
"""
ALONE = frozenset({VIEW, DEVICES})
"""The groups whose commands read nothing of what `plan` reads."""

Condition = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Right:
    """Actions of one service on resources of one form.

    `on` and `when` may contain {partition}, {region}, {account}, {environment}, {suffix} of the names, {api} (the API's
    id, * where it is not known yet), {known_api} (nothing then), {boundary}, {key} and {acl} for each KMS key and web
    ACL, {name} of the resource, and {kind} for the name of each resource of that kind that it needs.
    """

    sid: str
    service: str
    on: tuple[str, ...]
    plan: str = ""
    up: str = ""
    down: str = ""
    operate: str = ""
    view: str = ""
    devices: str = ""
    when: Condition = field(default_factory=dict)
    of: str = ""
    """Only granted where there is one: `key` or `acl`, declared or still to be taken off; `known_api`; a kind that the
    resource needs; or `used_by_` and a kind that needs the resource."""
    bounded: bool | None = None
    """True where only roles with a permissions boundary may be created, False where none is required, None for both."""


def regional_arn(service: str, resource: str) -> str:
    """The form of the ARN of a resource in the environment's account and region."""
    return f"arn:{{partition}}:{service}:{{region}}:{{account}}:{resource}"


_TAG = "iotpipe:environment"
TAGGED: Condition = {"StringEquals": {f"aws:ResourceTag/{_TAG}": "{environment}"}}
"""Only resources with the tag of the environment."""
UNTAGGED: Condition = {"Null": {f"aws:ResourceTag/{_TAG}": "true"}}
"""Only resources without the tag of any environment."""
TAGGED_BY_REQUEST: Condition = {"StringEquals": {f"aws:RequestTag/{_TAG}": "{environment}"}}
"""Only requests that set the tag of the environment."""
WITHIN_BOUNDARY: Condition = {"StringEquals": {"iam:PermissionsBoundary": "{boundary}"}}
"""Only roles within the permissions boundary of the environment."""


def passed_to(service: str) -> Condition:
    """Only where the role is passed to this service."""
    return {"StringEquals": {"iam:PassedToService": service}}


def use_key(service: str, plan: str = "", up: str = "", operate: str = "", view: str = "") -> Right:
    """Use of the KMS keys through a service. The end of the service's name differs by partition."""
    via = {"StringLike": {"kms:ViaService": f"{service}.{{region}}.*"}}
    return Right("UseKey", "kms", ("{key}",), plan=plan, up=up, operate=operate, view=view, when=via, of="key")
