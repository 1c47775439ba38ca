"""IAM roles with one inline policy each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from iotpipe.provision.policy_documents import canonical
from iotpipe.provision.resource import Properties, Recorded, Resource, by_name, tag_changes, tag_dict, tag_list
from iotpipe.provision.rights import WITHIN_BOUNDARY, Right, passed_to
from iotpipe.provision.run import Run

POLICY = "iotpipe"
"""The name of the one inline policy."""


@dataclass(frozen=True)
class Allow:
    """One statement: what may be done, on what. `on` holds resources with an `arn`, or texts for what has none."""

    sid: str
    actions: Sequence[str]
    on: Sequence[Any] = field(default=("*",))

    def resources(self, run: Run) -> list[str]:
        return sorted(each if isinstance(each, str) else each.arn(run) for each in self.on)


def _policy_names(run: Run, role: Role) -> list[str]:
    names: list[str] = run.client("iam").list_role_policies(RoleName=role.name)["PolicyNames"]
    return names


def _attached(run: Run, role: Role) -> list[dict[str, str]]:
    found = run.client("iam").list_attached_role_policies(RoleName=role.name)
    policies: list[dict[str, str]] = found["AttachedPolicies"]
    return policies


def _own_policy(run: Run, role: Role) -> Any:
    return _policy(run, role.name, POLICY)


def _policy(run: Run, role: str, name: str) -> Any:
    return run.client("iam").get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]


_ARN = ("arn:{partition}:iam::{account}:role/{name}",)


@dataclass(frozen=True, eq=False)
class Role(Resource):
    """A role that one AWS service assumes, with exactly these permissions and no others.

    `boundary` is the ARN of the policy beyond which it can never go, whatever it is allowed. With `only_for`, the
    service assumes it only for resources of this account and region, and of the service with this prefix in ARNs.
    """

    kind: ClassVar[str] = "role"
    aws_service: ClassVar[str] = "iam"
    assigned: ClassVar[tuple[str, ...]] = ("RoleId",)
    identity: ClassVar[tuple[str, ...]] = ("RoleId",)
    global_name: ClassVar[bool] = True
    grants: ClassVar[str] = "Policies"
    extra_reads: ClassVar = (_policy_names, _attached, _own_policy)
    # Its ARN holds the path: one with another path is there under the name, and cannot be used by it.
    immutable: ClassVar[frozenset[str]] = frozenset({"Path"})
    rights: ClassVar[tuple[Right, ...]] = (
        Right(
            "Roles",
            "iam",
            _ARN,
            plan="GetRole GetRolePolicy ListRolePolicies ListAttachedRolePolicies",
            up="TagRole UntagRole UpdateAssumeRolePolicy UpdateRoleDescription",
            down="DeleteRole DeleteRolePolicy DetachRolePolicy ListInstanceProfilesForRole",
        ),
        Right("Roles", "iam", _ARN, up="CreateRole PutRolePolicy DeleteRolePermissionsBoundary", bounded=False),
        Right(
            "MakeRoles",
            "iam",
            _ARN,
            up="CreateRole PutRolePolicy PutRolePermissionsBoundary",
            when=WITHIN_BOUNDARY,
            bounded=True,
        ),
        # What was left behind is found among all roles.
        Right("Anywhere", "iam", ("*",), plan="ListRoles"),
        Right("PassRoles", "iam", _ARN, up="PassRole", when=passed_to("lambda.amazonaws.com"), of="used_by_function"),
        Right("PassToIot", "iam", _ARN, up="PassRole", when=passed_to("iot.amazonaws.com"), of="used_by_topic-rule"),
        # Only needed where somebody added a role of the environment to one. AWS has no condition for the role that
        # it is; the console names a profile like its role.
        Right(
            "TakeRolesOut",
            "iam",
            ("arn:{partition}:iam::{account}:instance-profile/{name}",),
            down="RemoveRoleFromInstanceProfile",
        ),
    )

    service: str
    # A policy may name what does not exist yet.
    may: Sequence[Allow] = by_name()
    boundary: str | None = None
    only_for: str = ""

    def arn(self, run: Run) -> str:
        return run.aws.role_arn(self.name)

    def desired(self, run: Run) -> Properties:
        return {
            "Path": "/",
            "AssumeRolePolicyDocument": canonical(self._trust(run)),
            "Policies": {POLICY: canonical(self._permissions(run))},
            "ManagedPolicies": [],
            "PermissionsBoundary": self.boundary,
            "Description": _description(run),
            "Tags": run.all_tags,
        }

    def read(self, run: Run) -> Properties | None:
        iam, permissions = run.client("iam"), canonical(self._permissions(run))
        try:
            role = iam.get_role(RoleName=self.name)["Role"]
            names, managed = run.answer(self, _policy_names), run.answer(self, _attached)
            documents = {
                name: run.answer(self, _own_policy) if name == POLICY else _policy(run, self.name, name)
                for name in names
            }
        except iam.exceptions.NoSuchEntityException:
            return None
        return {
            "Path": role["Path"],
            "AssumeRolePolicyDocument": canonical(role["AssumeRolePolicyDocument"], canonical(self._trust(run))),
            "Policies": {name: canonical(each, permissions) for name, each in documents.items()},
            "ManagedPolicies": sorted(each["PolicyArn"] for each in managed),
            "PermissionsBoundary": role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
            "Description": role.get("Description", ""),
            "Tags": tag_dict(role.get("Tags", [])),
            "RoleId": role["RoleId"],
        }

    def create(self, run: Run, desired: Properties) -> Properties:
        made = run.client("iam").create_role(
            RoleName=self.name,
            AssumeRolePolicyDocument=json.dumps(self._trust(run)),
            Description=desired["Description"],
            Tags=tag_list(desired["Tags"]),
            **within(desired["PermissionsBoundary"]),
        )
        self._put_policy(run)
        return {"RoleId": made["Role"]["RoleId"]}

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        iam = run.client("iam")
        # First: IAM may allow the caller to change only roles within the boundary.
        if desired["PermissionsBoundary"] != observed["PermissionsBoundary"]:
            self._set_boundary(run, desired)
        if desired["AssumeRolePolicyDocument"] != observed["AssumeRolePolicyDocument"]:
            iam.update_assume_role_policy(RoleName=self.name, PolicyDocument=json.dumps(self._trust(run)))
        if desired["Policies"][POLICY] != observed["Policies"].get(POLICY):
            self._put_policy(run)
        for name in observed["Policies"].keys() - {POLICY}:
            iam.delete_role_policy(RoleName=self.name, PolicyName=name)
        for arn in observed["ManagedPolicies"]:
            iam.detach_role_policy(RoleName=self.name, PolicyArn=arn)
        if desired["Description"] != observed["Description"]:
            # UpdateRole would also set the session duration back.
            iam.update_role_description(RoleName=self.name, Description=desired["Description"])
        changed, removed = tag_changes(desired, observed)
        if changed:
            iam.tag_role(RoleName=self.name, Tags=tag_list(changed))
        if removed:
            iam.untag_role(RoleName=self.name, TagKeys=removed)
        return {}

    def removed_by_update(self, observed: Properties) -> list[str]:
        inline = [f"the inline policy {name} is deleted" for name in sorted(observed["Policies"].keys() - {POLICY})]
        return inline + [f"the managed policy {arn} is detached" for arn in observed["ManagedPolicies"]]

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        iam = run.client("iam")
        try:
            _delete_policy(run, recorded.name, POLICY)
            iam.delete_role(RoleName=recorded.name)
        except iam.exceptions.NoSuchEntityException:
            return
        except iam.exceptions.DeleteConflictException:
            # Somebody attached more to it: the retry rules repeat the deletion once that is detached.
            _strip(run, recorded.name)
            raise

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        iam = run.client("iam")
        try:
            return tag_dict(iam.get_role(RoleName=recorded.name)["Role"].get("Tags", []))
        except iam.exceptions.NoSuchEntityException:
            return None

    @classmethod
    def identify(cls, run: Run, recorded: Recorded) -> Properties:
        return {"RoleId": run.client("iam").get_role(RoleName=recorded.name)["Role"]["RoleId"]}

    @classmethod
    def search(cls, run: Run) -> Iterator[Recorded]:
        # ListRoles returns descriptions but no tags, and the tagging service does not list roles.
        for page in run.client("iam").get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 1000}):
            for role in page["Roles"]:
                if role.get("Description") == _description(run):
                    yield Recorded(f"{cls.kind}/{role['RoleName']}", cls.kind, role["RoleName"], {})

    def _set_boundary(self, run: Run, desired: Properties) -> None:
        if desired["PermissionsBoundary"]:
            run.client("iam").put_role_permissions_boundary(
                RoleName=self.name, **within(desired["PermissionsBoundary"])
            )
        else:
            run.client("iam").delete_role_permissions_boundary(RoleName=self.name)

    def _put_policy(self, run: Run) -> None:
        document = json.dumps(self._permissions(run))
        run.client("iam").put_role_policy(RoleName=self.name, PolicyName=POLICY, PolicyDocument=document)

    def _trust(self, run: Run) -> dict[str, Any]:
        return _document(
            [_statement("Assume", ["sts:AssumeRole"], Principal={"Service": self.service}, **self._if(run))]
        )

    def _if(self, run: Run) -> dict[str, Any]:
        """The condition without which the service would assume the role for a resource of any account."""
        if not self.only_for:
            return {}
        source = {"aws:SourceArn": run.aws.arn(self.only_for, "*")}
        return {"Condition": {"StringEquals": {"aws:SourceAccount": run.aws.account}, "ArnLike": source}}

    def _permissions(self, run: Run) -> dict[str, Any]:
        return _document([_statement(each.sid, each.actions, Resource=each.resources(run)) for each in self.may])


def _description(run: Run) -> str:
    """Names the environment in listings that do not contain the tags."""
    return f"iotpipe environment {run.environment} in {run.aws.region}"


def within(boundary: str | None) -> dict[str, str]:
    """The parameter of a request that sets a permissions boundary; empty without one."""
    return {"PermissionsBoundary": boundary} if boundary else {}


def _delete_policy(run: Run, role: str, policy: str) -> None:
    iam = run.client("iam")
    try:
        iam.delete_role_policy(RoleName=role, PolicyName=policy)
    except iam.exceptions.NoSuchEntityException:
        return


def _strip(run: Run, role: str) -> None:
    iam = run.client("iam")
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        _delete_policy(run, role, name)
    for each in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=role, PolicyArn=each["PolicyArn"])
    for each in iam.list_instance_profiles_for_role(RoleName=role)["InstanceProfiles"]:
        iam.remove_role_from_instance_profile(RoleName=role, InstanceProfileName=each["InstanceProfileName"])


# Policy documents as they are sent; what AWS makes of them is compared in its canonical form.


def _document(statements: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _statement(sid: str, actions: Sequence[str], **on: Any) -> dict[str, Any]:
    # IAM may give a list of one back as a text: what is sent reads like what comes back.
    action = actions[0] if len(actions) == 1 else sorted(actions)
    return {"Sid": sid, "Effect": "Allow", "Action": action, **on}
