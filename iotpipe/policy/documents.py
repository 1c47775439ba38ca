"""Build the IAM policy document for one environment: exact names, one statement per resource format."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter
from typing import TYPE_CHECKING, Any

from iotpipe.policy.rights import API_KEY, DEVICE_LOG, DOCTOR
from iotpipe.provision.resource import Resource
from iotpipe.provision.rights import ALONE, GROUPS, Right

if TYPE_CHECKING:
    from iotpipe.provision.ledger import Row

Policy = dict[str, Any]
"""A policy document as IAM accepts it."""

MANAGED, INLINE = 6_144, 10_240
"""Characters that a managed policy may have, and all inline policies of a role or a permission set together:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

_Values = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Environment:
    """The environment of a policy: its declared and its recorded resources.

    `boundary` is the permissions boundary that the roles must have; `asks_for_key` says whether readings are only
    taken with the API key. `kms_keys` are the ARNs of the KMS keys that something is or was encrypted with,
    `web_acl` that of the web ACL that the stage is behind.
    """

    name: str
    account: str
    region: str
    declared: Sequence[Resource]
    recorded: Mapping[str, Row] = field(default_factory=dict)
    boundary: str | None = None
    asks_for_key: bool = False
    kms_keys: Sequence[str] = ()
    web_acl: str | None = None
    suffixes: Sequence[str] = ()
    """The endings of the names, by which things belong to the environment; its name if there are none."""

    def resources(self) -> Iterator[tuple[str, str, _Values]]:
        """Kind, name, and the names of what it needs and of what needs it, by kind, of each resource once."""
        declared = [(each.address, tuple(need.address for need in each.needs())) for each in self.declared]
        recorded = [(address, row.needs) for address, row in self.recorded.items()]
        every = list(dict.fromkeys([*declared, *recorded]))
        for address, needed in every:
            kind, _, name = address.partition("/")
            by_kind: dict[str, list[str]] = {}
            for each in needed:
                by_kind.setdefault(each.partition("/")[0], []).append(each.partition("/")[2].replace(" ", ""))
            for user, its_needs in every:
                if address in its_needs:
                    by_kind.setdefault(f"used_by_{user.partition('/')[0]}", []).append(user.partition("/")[2])
            yield kind, name, by_kind

    @property
    def api_ids(self) -> list[str]:
        """The ids of the recorded REST APIs."""
        found = (row.properties.get("RestApiId") for row in self.recorded.values() if row.kind == "rest-api")
        return [each for each in found if each]

    @property
    def values(self) -> _Values:
        """The values of the placeholders in every right."""
        # Only here: with it comes boto3, which `iotpipe --help` must do without.
        from iotpipe.provision.aws import partition

        return {
            "environment": [self.name],
            "suffix": self.suffixes or [self.name],
            "account": [self.account],
            "region": [self.region],
            "partition": [partition(self.region)],
            "boundary": [self.boundary or ""],
            "api": self.api_ids or ["*"],
            "known_api": self.api_ids,
            "key": self._used(self.kms_keys, "KmsMasterKeyId"),
            "acl": self._used([self.web_acl] if self.web_acl else [], "webAclArn"),
        }

    def _used(self, declared: Sequence[str], recorded: str) -> list[str]:
        """The ARNs of what is used: the declared ones, and one that is to be taken off."""
        found = (row.properties.get(recorded) for row in self.recorded.values())
        return list(dict.fromkeys(each for each in (*declared, *found) if each))


def document(environment: Environment, groups: Iterable[str] = GROUPS) -> Policy:
    """The policy that allows the calls of these groups of commands, on this environment's resources only.

    All of them read first what `plan` reads, except those of ALONE.
    """
    asked = [*groups]
    wanted = asked if ALONE.issuperset(asked) else [*asked, "plan"]
    statements: dict[str, dict[str, Any]] = {}
    for right, values in _rights(environment):
        actions = [f"{right.service}:{each}" for each in _actions(right, wanted, *values.get("kind", ()))]
        if not actions:
            continue
        when = {
            operator: {key: _expanded([value], values) for key, value in tests.items()}
            for operator, tests in right.when.items()
        }
        made = statements.setdefault(right.sid, {"Action": {}, "Resource": {}, "Condition": {}})
        made["Action"] |= dict.fromkeys(actions)
        made["Resource"] |= dict.fromkeys(_expanded(right.on, values))
        _merge(made["Condition"], when)
    return {"Version": "2012-10-17", "Statement": [_statement(sid, made) for sid, made in statements.items()]}


def parts(policy: Policy) -> list[Policy]:
    """Split the policy into as few managed policies as possible, keeping the order of the statements."""
    found: list[list[Any]] = [[]]
    for statement in policy["Statement"]:
        if found[-1] and size(policy | {"Statement": [*found[-1], statement]}) > MANAGED:
            found.append([])
        found[-1].append(statement)
    return [policy | {"Statement": statements} for statements in found]


def size(policy: Policy) -> int:
    """The number of characters as IAM counts them, without white space."""
    return len(json.dumps(policy, separators=(",", ":")))


def _rights(environment: Environment) -> Iterator[tuple[Right, _Values]]:
    fits = (None, environment.boundary is not None)
    yield from ((right, environment.values) for right in DOCTOR)
    resources = list(environment.resources())
    published = {name for kind, name, users in resources if kind == "queue" and users.get("used_by_topic-rule")}
    for kind, name, needed in resources:
        values = {**environment.values, **needed, "kind": [kind], "name": [name]}
        rights = Resource.kinds[kind].rights
        if kind == "secret" and environment.asks_for_key:
            rights = (*rights, API_KEY)
        if kind == "event-source-mapping" and published.intersection(needed.get("queue", ())):
            rights = (*rights, DEVICE_LOG)
        for right in rights:
            if right.bounded in fits and (not right.of or values.get(right.of)):
                yield right, values


def _actions(right: Right, groups: Sequence[str], kind: str = "") -> list[str]:
    """What `up` deletes of what is no longer declared is what `down` deletes; what holds data it keeps."""
    by_group: dict[str, list[str]] = {group: getattr(right, group).split() for group in GROUPS}
    if kind and not Resource.kinds[kind].keeps_data():
        by_group["up"] += by_group["down"]
    return list(dict.fromkeys(action for group in GROUPS if group in groups for action in by_group[group]))


def _expanded(forms: Iterable[str], values: _Values) -> list[str]:
    """Fill each format with every combination of its placeholders' values."""
    found = []
    for form in forms:
        names = sorted({name for _, name, _, _ in Formatter().parse(form) if name})
        for chosen in itertools.product(*(values[name] for name in names)):
            found.append(form.format(**dict(zip(names, chosen, strict=True))))
    return found


def _merge(conditions: dict[str, dict[str, list[str]]], more: Mapping[str, Mapping[str, list[str]]]) -> None:
    for operator, tests in more.items():
        for key, allowed in tests.items():
            known = conditions.setdefault(operator, {}).setdefault(key, [])
            known += [each for each in allowed if each not in known]


def _statement(sid: str, made: Mapping[str, Any]) -> dict[str, Any]:
    statement = {"Sid": sid, "Effect": "Allow", "Action": sorted(made["Action"]), "Resource": list(made["Resource"])}
    when = {
        operator: {key: allowed if len(allowed) > 1 else allowed[0] for key, allowed in tests.items()}
        for operator, tests in made["Condition"].items()
    }
    return statement | ({"Condition": when} if when else {})
