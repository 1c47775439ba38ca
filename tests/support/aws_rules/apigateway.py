"""API Gateway: its small quotas, one change of an API at a time, and the role with which it may log."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from tests.support.aws_rules.layer import Asked, Bucket, Late, Refused, Service

_TOO_MANY = "Too Many Requests"
_ALONE = frozenset(
    (
        *("CreateResource", "DeleteResource", "PutMethod", "DeleteMethod", "PutIntegration", "UpdateRestApi"),
        *("CreateDeployment", "DeleteDeployment", "CreateStage", "UpdateStage", "DeleteStage"),
    )
)


def quotas() -> dict[str, Bucket]:
    """Calls per second and account that nobody can have raised."""
    return {
        "CreateRestApi": Bucket(1 / 3, 1),
        "CreateResource": Bucket(5, 5),
        "DeleteResource": Bucket(5, 5),
        "GetResources": Bucket(5 / 2, 5),
        "CreateDeployment": Bucket(1 / 5, 1),
        "DeleteRestApi": Bucket(1 / 30, 1),
        "UpdateAccount": Bucket(1 / 20, 1),
    }


@dataclass
class KnownApi:
    paths: dict[str, float] = field(default_factory=dict)
    methods: set[tuple[str, str]] = field(default_factory=set)
    integrated: set[tuple[str, str]] = field(default_factory=set)
    stages: dict[str, float] = field(default_factory=dict)
    served: dict[str, str] = field(default_factory=dict)
    logging: set[str] = field(default_factory=set)
    made: float = 0.0
    changed: float = 0.0


class ApiGateway(Service):
    def __init__(self, reality: Any) -> None:
        super().__init__(reality)
        self.apis: dict[str, KnownApi] = {}
        self.account = Late(0, None)
        self._quotas, self._all = quotas(), Bucket(10, 40)
        self._codes = itertools.cycle(("TooManyRequestsException", "LimitExceededException"))

    def every_call(self, operation: str, asked: Asked) -> None:
        if not self._all.take(self.now):
            # Both codes have been seen.
            raise Refused(next(self._codes), _TOO_MANY, 429)
        if operation in self._quotas and not self._quotas[operation].take(self.now):
            raise Refused("TooManyRequestsException", _TOO_MANY, 429)
        if operation in _ALONE:
            text = "Unable to complete operation due to concurrent modification. Please try again later."
            self.alone(f"api {asked['restApiId']}", Refused("ConflictException", text, 409))
            self._may(operation, asked)

    def _may(self, operation: str, asked: Asked) -> None:
        """Whether the caller has the rights by now that depend on the API's tags."""
        if self.now < self._api(asked).made + self.delays.api_tags:
            on = f"arn:aws:apigateway:us-east-1::/restapis/{asked['restApiId']}"
            who = "User: arn:aws:iam::123456789012:user/me is not authorized to perform: apigateway:POST on resource: "
            why = f"{who}{on} because no identity-based policy allows the apigateway:POST action"
            raise Refused("AccessDeniedException", why, 403)

    # The API

    def after_create_rest_api(self, asked: Asked, answer: Any) -> None:
        self._api({"restApiId": answer["id"]}).made = self.now

    def before_update_rest_api(self, asked: Asked) -> None:
        if self._changing(asked):
            raise Refused("BadRequestException", "There is already an update in progress")

    def after_update_rest_api(self, asked: Asked, answer: Any) -> None:
        self._api(asked).changed = self.now
        self.after_get_rest_api(asked, answer)

    def after_get_rest_api(self, asked: Asked, answer: Any) -> None:
        answer["apiStatus"] = "UPDATING" if self._changing(asked) else "AVAILABLE"

    def _changing(self, asked: Asked) -> bool:
        api = self._api(asked)
        return bool(api.changed) and self.now < api.changed + self.delays.api_changing

    def _api(self, asked: Asked) -> KnownApi:
        return self.apis.setdefault(asked["restApiId"], KnownApi())

    # Routes

    def before_create_resource(self, asked: Asked) -> None:
        if asked["pathPart"] in self._api(asked).paths:
            name = asked["pathPart"]
            text = f"Another resource with the same parent already has this name: {name}"
            raise Refused("ConflictException", text, 409)

    def after_create_resource(self, asked: Asked, answer: Any) -> None:
        self._api(asked).paths[asked["pathPart"]] = self.now

    def after_get_resources(self, asked: Asked, answer: Any) -> None:
        paths = self._api(asked).paths
        answer["items"] = [
            each for each in answer["items"] if self.now >= paths.get(each.get("pathPart", ""), 0) + self.delays.unseen
        ]

    def after_delete_resource(self, asked: Asked, answer: Any) -> None:
        found = self.reality.plain("apigateway").get_resources(restApiId=asked["restApiId"])["items"]
        api, left = self._api(asked), {each["id"] for each in found}
        names = {each.get("pathPart") for each in found}
        api.paths = {name: since for name, since in api.paths.items() if name in names}
        api.methods = {each for each in api.methods if each[0] in left}

    def before_put_method(self, asked: Asked) -> None:
        if _method(asked) in self._api(asked).methods:
            raise Refused("ConflictException", "Method already exists for this resource", 409)

    def after_put_method(self, asked: Asked, answer: Any) -> None:
        self._api(asked).methods.add(_method(asked))

    def after_delete_method(self, asked: Asked, answer: Any) -> None:
        self._api(asked).methods.discard(_method(asked))
        self._api(asked).integrated.discard(_method(asked))

    def after_put_integration(self, asked: Asked, answer: Any) -> None:
        self._api(asked).integrated.add(_method(asked))

    # Deployments and stages

    def before_create_deployment(self, asked: Asked) -> None:
        api = self._api(asked)
        if not api.methods:
            raise Refused("BadRequestException", "The REST API doesn't contain any methods")
        if api.methods - api.integrated:
            raise Refused("BadRequestException", "No integration defined for method")

    def before_delete_deployment(self, asked: Asked) -> None:
        if asked["deploymentId"] in self._api(asked).served.values():
            text = "Active stages pointing to this deployment must be moved or deleted"
            raise Refused("BadRequestException", text)

    def before_create_stage(self, asked: Asked) -> None:
        if asked["stageName"] in self._api(asked).stages:
            raise Refused("ConflictException", "Stage already exists", 409)

    def after_create_stage(self, asked: Asked, answer: Any) -> None:
        api = self._api(asked)
        api.stages[asked["stageName"]], api.served[asked["stageName"]] = self.now, asked["deploymentId"]

    def after_get_stages(self, asked: Asked, answer: Any) -> None:
        stages = self._api(asked).stages
        found = answer.get("item", [])
        answer["item"] = [each for each in found if self.now >= stages[each["stageName"]] + self.delays.unseen]

    def before_update_stage(self, asked: Asked) -> None:
        logs = [each for each in asked["patchOperations"] if each["path"].endswith("/logging/loglevel")]
        if any(each["value"] != "OFF" for each in logs) and not self.account.seen(self.now):
            text = "CloudWatch Logs role ARN must be set in account settings to enable logging"
            raise Refused("BadRequestException", text)

    def after_update_stage(self, asked: Asked, answer: Any) -> None:
        api, stage = self._api(asked), asked["stageName"]
        for each in asked["patchOperations"]:
            if each["path"] == "/deploymentId":
                api.served[stage] = each["value"]
            if each["path"].endswith("/logging/loglevel") and each["value"] != "OFF":
                # API Gateway makes the group itself, and leaves it behind.
                self.reality.logs.make(f"API-Gateway-Execution-Logs_{asked['restApiId']}/{stage}")

    def after_delete_stage(self, asked: Asked, answer: Any) -> None:
        self._api(asked).stages.pop(asked["stageName"], None)
        self._api(asked).served.pop(asked["stageName"], None)

    # The account's logging role

    def before_update_account(self, asked: Asked) -> None:
        role, iam = asked["patchOperations"][0]["value"], self.reality.iam
        if not role:
            return
        if not iam.assumable(role, "apigateway.amazonaws.com") or not iam.will(role, "logs:CreateLogGroup", "*"):
            raise Refused(
                "BadRequestException",
                "The role ARN does not have required permissions configured. Please grant trust permission for API "
                "Gateway and add the required role policy.",
            )
        if not iam.may(role, "logs:CreateLogGroup", "*"):
            text = "API Gateway could not successfully write to CloudWatch Logs using the ARN specified"
            raise Refused("BadRequestException", text)

    def after_update_account(self, asked: Asked, answer: Any) -> None:
        self.account.set(self.now, asked["patchOperations"][0]["value"], self.delays.account)


def _method(asked: Asked) -> tuple[str, str]:
    return asked["resourceId"], asked["httpMethod"]
