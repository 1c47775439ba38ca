"""Stages of a REST API."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from iotpipe.provision.call_errors import code_and_message
from iotpipe.provision.resource import URL, Properties, Recorded, Resource, optional, optional_found
from iotpipe.provision.resources.api_gateway_account import ApiGatewayAccount
from iotpipe.provision.resources.apigateway_calls import BUSY, api_arn, created_at, replace, retag
from iotpipe.provision.resources.apigateway_rights import GATEWAY, IN_APIS, READ_APIS
from iotpipe.provision.resources.deployments import (
    delete_outdated_deployments,
    deployment_for,
    known_deployments,
    outdated_deployments,
)
from iotpipe.provision.resources.execution_logs import (
    declared_settings,
    desired_execution_log_group,
    execution_logs,
    set_up_execution_log_group,
)
from iotpipe.provision.resources.log_group import FIND_LOG_GROUPS, LogGroup, delete_log_group, describe_log_group
from iotpipe.provision.resources.rest_api import RestApi
from iotpipe.provision.resources.rest_api_lookup import apis, belongs_to_environment, get_api
from iotpipe.provision.resources.route import Route
from iotpipe.provision.resources.stage_lookup import get_stage, known_stages
from iotpipe.provision.resources.stage_settings import (
    ACCESS_LOG,
    changed_settings,
    found_settings,
    set_access_log,
    set_settings,
)
from iotpipe.provision.rights import TAGGED, Right, regional_arn
from iotpipe.provision.run import Run


def _its_stages(run: Run, stage: Stage) -> dict[str, dict[str, Any]]:
    api = run.look(stage.api)
    return known_stages(run, api["RestApiId"]) if api else {}


def _its_deployments(run: Run, stage: Stage) -> dict[str, str]:
    api = run.look(stage.api)
    return known_deployments(run, api["RestApiId"]) if api else {}


def its_log_group(run: Run, stage: Stage) -> dict[str, Any] | None:
    """The execution log group as CloudWatch Logs describes it; None where the stage logs nothing or it is missing."""
    api = run.look(stage.api) if stage.logs else None
    return describe_log_group(run, execution_logs(api["RestApiId"]) + stage.name) if api else None


_ARN = f"{GATEWAY}/restapis/{{api}}/stages/{{name}}"
_LOG_GROUP_ARN = tuple(
    regional_arn("logs", f"log-group:API-Gateway-Execution-Logs_{{api}}/{{name}}{streams}") for streams in ("", ":*")
)

TRACING_ROLE = Right(
    "TracingRole",
    "iam",
    ("arn:{partition}:iam::{account}:role/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway",),
    up="CreateServiceLinkedRole",
    when={"StringEquals": {"iam:AWSServiceName": "ops.apigateway.amazonaws.com"}},
)
"""Lets API Gateway create its own role, with which it sends traces. There is one per account, created with the first
stage that traces: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-enabling-xray.html"""


@dataclass(frozen=True, eq=False)
class Stage(Resource):
    """Serves a deployment of the API. Rate in requests/s; `logging` is INFO, ERROR or OFF, `log_retention` in days.

    The execution log group is part of the stage, since its name contains the API's id. Where it is missing, API Gateway
    creates it without a retention. The requests are logged to `access_log`.

    A deployment is a snapshot: changes of the routes are only served by a new one. The hash of the routes' definition
    in the deployment's description shows whether one is due.
    """

    kind: ClassVar[str] = "stage"
    aws_service: ClassVar[str] = "apigateway"
    arn_form: ClassVar[str] = r"apigateway:/restapis/(?P<RestApiId>[^/]+)/stages/(?P<name>[^/]+)"
    holds: ClassVar[str] = URL
    assigned: ClassVar[tuple[str, ...]] = ("DeploymentId", "createdDate")
    identity: ClassVar[tuple[str, ...]] = ("RestApiId", "createdDate")
    extra_reads: ClassVar = (_its_stages, _its_deployments, its_log_group)
    inside: ClassVar[str] = "api"
    needs_final_cleanup: ClassVar[bool] = True
    rights: ClassVar[tuple[Right, ...]] = (
        READ_APIS,
        Right("Apis", "apigateway", (IN_APIS,), up="POST PATCH DELETE", when=TAGGED),
        TRACING_ROLE,
        # The name contains the API's id, and an API that is created again has another id.
        FIND_LOG_GROUPS,
        Right(
            "StageLogGroups",
            "logs",
            _LOG_GROUP_ARN,
            plan="DescribeSubscriptionFilters",
            up="CreateLogGroup PutRetentionPolicy DeleteSubscriptionFilter DisassociateKmsKey"
            " DeleteDataProtectionPolicy PutLogGroupDeletionProtection",
        ),
        Right("StageLogGroups", "logs", _LOG_GROUP_ARN, up="AssociateKmsKey", of="key"),
        # AWS asks about the web ACL, about the stage, and API Gateway whether the stage may be put behind one:
        # https://docs.aws.amazon.com/waf/latest/developerguide/security_iam_service-with-iam.html
        Right("UseWebAcl", "wafv2", ("{acl}", _ARN), up="AssociateWebACL", of="acl"),
        Right("LeaveWebAcl", "wafv2", (_ARN,), up="DisassociateWebACL", of="acl"),
        Right("Protect", "apigateway", (_ARN,), up="SetWebACL", of="acl"),
        Right(
            "Invoke",
            "execute-api",
            (regional_arn("execute-api", "{known_api}/{name}/{route}"),),
            operate="Invoke",
            of="known_api",
        ),
    )

    api: RestApi
    routes: Sequence[Route]
    account: ApiGatewayAccount | None
    rate: float
    burst: int
    metrics: bool
    tracing: bool
    logging: str
    log_retention: int
    access_log: LogGroup | None = None
    kms_key: str | None = None
    """The ARN of the KMS key that encrypts what is logged; None leaves that to CloudWatch Logs."""
    web_acl: str | None = None
    """The ARN of the regional web ACL of WAFv2 that decides which requests reach the stage; None for none."""

    @property
    def logs(self) -> bool:
        """Whether API Gateway writes execution logs."""
        return self.logging != "OFF"

    def desired(self, run: Run) -> Properties:
        return {
            "RestApiId": run.assigned(self.api, "RestApiId"),
            "Deployment": self.definition_hash(run),
            "OutdatedDeployments": [],
            "tracingEnabled": self.tracing,
            "methodSettings": {
                "throttlingRateLimit": float(self.rate),
                "throttlingBurstLimit": self.burst,
                "metricsEnabled": self.metrics,
                "loggingLevel": self.logging,
            },
            **({"executionLogGroup": self._log_group(run)} if self.logs else {}),
            **optional(run, self, "accessLogSettings", self._access_log_settings(run), {}),
            **optional(run, self, "webAclArn", self.web_acl, ""),
            "Tags": run.all_tags,
        }

    def _log_group(self, run: Run) -> Properties:
        recorded = run.recorded(self).get("executionLogGroup", {})
        return desired_execution_log_group(self.log_retention, self.kms_key, recorded)

    def _access_log_settings(self, run: Run) -> Properties:
        return {"destinationArn": self.access_log.arn(run), "format": ACCESS_LOG} if self.access_log else {}

    def read(self, run: Run) -> Properties | None:
        parent = run.look(self.api)
        if parent is None:
            return None
        there = run.answer(self, _its_stages)
        found = there.get(self.name)
        if found is None:
            return None
        deployments = run.answer(self, _its_deployments)
        return {
            **found,
            **self._log_group_found(run),
            # GetStages answers with it: WAF need not be asked.
            **optional_found(run, self, "webAclArn", found.get("webAclArn") or ""),
            "RestApiId": parent["RestApiId"],
            # A deployment that somebody else made has no hash.
            "Deployment": deployments.get(found["deploymentId"], ""),
            "OutdatedDeployments": outdated_deployments(there, deployments, self.definition_hash(run)),
            "tracingEnabled": found.get("tracingEnabled", False),
            "methodSettings": found_settings(found),
            "accessLogSettings": found.get("accessLogSettings") or {},
            "Tags": found.get("tags", {}),
            "DeploymentId": found["deploymentId"],
            "createdDate": created_at(found),
        }

    def _log_group_found(self, run: Run) -> Properties:
        found = run.answer(self, its_log_group)
        if found is None:
            return {}
        recorded = run.recorded(self).get("executionLogGroup", {})
        return {"executionLogGroup": declared_settings(found, self._log_group(run), recorded)}

    def create(self, run: Run, desired: Properties) -> Properties:
        api = run.client("apigateway")
        # Before the first request can be logged.
        self._keep_log_group(run, desired, {})
        with run.exclusive(self.api.address):
            deployment = deployment_for(run, desired["RestApiId"], desired["Deployment"])
            made = api.create_stage(
                restApiId=desired["RestApiId"],
                stageName=self.name,
                deploymentId=deployment,
                tracingEnabled=desired["tracingEnabled"],
                tags=desired["Tags"],
            )
            access_log = set_access_log(desired.get("accessLogSettings", {}))
            self.patch(run, desired["RestApiId"], [*set_settings(desired["methodSettings"]), *access_log])
        if desired.get("webAclArn"):
            self._protect(run, desired)
        return {"DeploymentId": deployment, "createdDate": created_at(made)}

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        changes = changed_settings(desired, observed)
        self._keep_log_group(run, desired, observed)
        deployment: str = observed["DeploymentId"]
        moves_on = desired["Deployment"] != observed["Deployment"]
        with run.exclusive(self.api.address):
            if moves_on:
                deployment = deployment_for(run, desired["RestApiId"], desired["Deployment"])
                changes.append(replace("/deploymentId", deployment))
            if changes:
                self.patch(run, desired["RestApiId"], changes)
            # Only now: API Gateway deletes no deployment that a stage serves.
            if moves_on or observed["OutdatedDeployments"]:
                delete_outdated_deployments(run, desired["RestApiId"], desired["Deployment"])
            retag(run, self._arn(run, desired), desired, observed)
        if "webAclArn" in desired and desired["webAclArn"] != observed.get("webAclArn"):
            self._protect(run, desired)
        return {"DeploymentId": deployment}

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        api, identifier = run.client("apigateway"), recorded.properties["RestApiId"]
        try:
            api.delete_stage(restApiId=identifier, stageName=recorded.name)
        except api.exceptions.NotFoundException:
            pass
        except ClientError as error:
            if code_and_message(error)[0] != BUSY or get_api(run, identifier):
                raise
        # Where the API is kept, the deployments that only this stage served would stay with it.
        with contextlib.suppress(api.exceptions.NotFoundException):
            delete_outdated_deployments(run, identifier, "")

    @classmethod
    def final_cleanup(cls, run: Run, recorded: Recorded) -> None:
        delete_log_group(run, execution_logs(recorded.properties["RestApiId"]) + recorded.name)

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        found = get_stage(run, recorded)
        if found:
            return dict(found.get("tags", {}))
        # What is left of a stage, its deployments and logs, belongs to the owner of the API.
        api = get_api(run, recorded.properties["RestApiId"])
        return None if api is None or belongs_to_environment(run, api) else dict(api.get("tags", {}))

    @classmethod
    def identify(cls, run: Run, recorded: Recorded) -> Properties:
        found = get_stage(run, recorded) or {}
        return {"RestApiId": recorded.properties["RestApiId"], "createdDate": created_at(found)}

    @classmethod
    def search(cls, run: Run) -> Iterator[Recorded]:
        # The environment's APIs may have a stage left over that is no longer declared.
        for each in apis(run):
            if belongs_to_environment(run, each):
                for name, stage in known_stages(run, each["id"]).items():
                    if belongs_to_environment(run, stage):
                        yield Recorded(f"{cls.kind}/{name}", cls.kind, name, {"RestApiId": each["id"]})

    def definition_hash(self, run: Run) -> str:
        """Identifies the routes' definition in the description of a deployment."""
        definition = [route.definition(run) for route in self.routes]
        return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:16]

    def _arn(self, run: Run, desired: Properties) -> str:
        return f"{api_arn(run, desired['RestApiId'])}/stages/{self.name}"

    def _protect(self, run: Run, desired: Properties) -> None:
        """Associate the stage with the declared web ACL, or with none."""
        waf, stage = run.client("wafv2"), self._arn(run, desired)
        if desired["webAclArn"]:
            waf.associate_web_acl(WebACLArn=desired["webAclArn"], ResourceArn=stage)
        else:
            waf.disassociate_web_acl(ResourceArn=stage)

    def _keep_log_group(self, run: Run, desired: Properties, observed: Properties) -> None:
        wanted, live = (each.get("executionLogGroup") for each in (desired, observed))
        if wanted:
            set_up_execution_log_group(run, execution_logs(desired["RestApiId"]) + self.name, wanted, live)

    def patch(self, run: Run, api: str, operations: list[dict[str, str]]) -> None:
        """Change the stage by these operations of UpdateStage."""
        run.client("apigateway").update_stage(restApiId=api, stageName=self.name, patchOperations=operations)
