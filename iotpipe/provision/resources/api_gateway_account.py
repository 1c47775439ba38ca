"""The role with which API Gateway writes logs in one account and region."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import Any, ClassVar

from iotpipe.errors import RefusedError
from iotpipe.provision.resource import Properties, Resource, tag_dict
from iotpipe.provision.resources.apigateway_calls import replace
from iotpipe.provision.resources.apigateway_rights import GATEWAY
from iotpipe.provision.resources.role import within
from iotpipe.provision.rights import WITHIN_BOUNDARY, Right, passed_to
from iotpipe.provision.run import MANAGED_TAG, Run

_ROLE_ARN = ("arn:{partition}:iam::{account}:role/iotpipe-api-gateway-logging-{name}",)


@dataclass(frozen=True, eq=False)
class ApiGatewayAccount(Resource):
    """The role with which API Gateway writes logs, one per account and region. `name` is the region.

    It is only set where none is, and then belongs to the account: other APIs may log with it. `boundary` is the ARN
    of its permissions boundary, which must allow what logging needs.
    """

    kind: ClassVar[str] = "api-gateway-account"
    aws_service: ClassVar[str] = "apigateway"
    assigned: ClassVar[tuple[str, ...]] = ("cloudwatchRoleArn",)
    shared: ClassVar[bool] = True
    rights: ClassVar[tuple[Right, ...]] = (
        Right("Account", "apigateway", (f"{GATEWAY}/account",), plan="GET", up="PATCH"),
        Right(
            "LoggingRole",
            "iam",
            _ROLE_ARN,
            plan="GetRole GetRolePolicy ListRolePolicies ListAttachedRolePolicies",
            up="TagRole UpdateAssumeRolePolicy DeleteRolePolicy DetachRolePolicy",
        ),
        Right(
            "LoggingRole",
            "iam",
            _ROLE_ARN,
            up="CreateRole PutRolePolicy DeleteRolePermissionsBoundary",
            bounded=False,
        ),
        Right(
            "MakeLoggingRole",
            "iam",
            _ROLE_ARN,
            up="CreateRole PutRolePolicy PutRolePermissionsBoundary",
            when=WITHIN_BOUNDARY,
            bounded=True,
        ),
        Right("PassLoggingRole", "iam", _ROLE_ARN, up="PassRole", when=passed_to("apigateway.amazonaws.com")),
    )

    boundary: str | None = None

    def desired(self, run: Run) -> Properties:
        return {}

    def read(self, run: Run) -> Properties | None:
        api, arn = run.client("apigateway"), None
        # Where the account never used API Gateway in the region, AWS does not know it: "Invalid Customer identifier".
        with contextlib.suppress(api.exceptions.NotFoundException):
            arn = api.get_account().get("cloudwatchRoleArn")
        if not arn:
            run.once(f"role {self.role_name}", lambda: _role_tags(run, self.role_name))
        return {"cloudwatchRoleArn": arn} if arn else None

    def creation_obstacle(self, run: Run) -> str:
        tags = run.once(f"role {self.role_name}", lambda: _role_tags(run, self.role_name))
        if tags is None or tags.get(MANAGED_TAG) == "iotpipe":
            return ""
        return (
            f"{self.address} needs the role {self.role_name}, and one of that name exists that iotpipe did not make. "
            "Rename or delete it, or set a role for API Gateway's logs yourself (`aws apigateway update-account`), or "
            "set `api.logging: OFF`"
        )

    def create(self, run: Run, desired: Properties) -> Properties:
        if refusal := self.creation_obstacle(run):
            raise RefusedError(refusal)
        name = self.role_name
        if self.make_role(run) and run.aws.eventually_consistent:
            # API Gateway refuses a role that IAM has not propagated, and accepts UpdateAccount only once in 20 s.
            told = "waiting for IAM to propagate the logging role: {:.0f} s left"
            run.count_down(self.address, run.clock.now() + _PROPAGATES, told)
        arn = run.aws.role_arn(name)
        run.client("apigateway").update_account(patchOperations=[replace("/cloudwatchRoleArn", arn)])
        return {"cloudwatchRoleArn": arn}

    @property
    def role_name(self) -> str:
        """The role that iotpipe makes where the account has none."""
        return f"iotpipe-api-gateway-logging-{self.name}"

    def make_role(self, run: Run) -> bool:
        """Create the role and its policy; whether the role did not exist before."""
        iam, name, made = run.client("iam"), self.role_name, True
        try:
            iam.create_role(
                RoleName=name,
                AssumeRolePolicyDocument=json.dumps(LOGGING_TRUST),
                Tags=[{"Key": MANAGED_TAG, "Value": "iotpipe"}],
                **within(self.boundary),
            )
        except iam.exceptions.EntityAlreadyExistsException:
            # Another environment has created it, or an `up` that was interrupted.
            made = False
            if self.boundary:
                iam.put_role_permissions_boundary(RoleName=name, **within(self.boundary))
        iam.put_role_policy(RoleName=name, PolicyName=LOGGING_POLICY, PolicyDocument=json.dumps(LOGGING_RIGHTS))
        return made


def _role_tags(run: Run, name: str) -> dict[str, str] | None:
    """The tags of a role; None where there is none of that name."""
    iam = run.client("iam")
    try:
        return tag_dict(iam.get_role(RoleName=name)["Role"].get("Tags", []))
    except iam.exceptions.NoSuchEntityException:
        return None


_PROPAGATES = 10
"""Seconds after which other services usually accept a new role."""


# What API Gateway demands of the role, on everything, before it accepts it.
_LOGGING = (
    "CreateLogGroup",
    "CreateLogStream",
    "DescribeLogGroups",
    "DescribeLogStreams",
    "PutLogEvents",
    "GetLogEvents",
    "FilterLogEvents",
)


def _policy(statement: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [statement]}


LOGGING_POLICY = "logging"
"""The name of the role's one inline policy."""
LOGGING_RIGHTS = _policy({"Effect": "Allow", "Action": [f"logs:{each}" for each in _LOGGING], "Resource": "*"})
LOGGING_TRUST = _policy(
    {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "apigateway.amazonaws.com"}}
)
