"""Permissions of API Gateway to invoke a Lambda function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from iotpipe.provision.resource import Properties, Recorded, Resource
from iotpipe.provision.resources.function import Function
from iotpipe.provision.resources.function_policy import policy_statements, remove_statement, statements
from iotpipe.provision.resources.rest_api import RestApi
from iotpipe.provision.rights import Right, regional_arn
from iotpipe.provision.run import Run

_FUNCTION_ARN = (regional_arn("lambda", "function:{function}"),)


@dataclass(frozen=True, eq=False)
class Permission(Resource):
    """Lets one route of the API call a function. `name` is the statement's id."""

    kind: ClassVar[str] = "permission"
    aws_service: ClassVar[str] = "lambda"
    inside: ClassVar[str] = "function"
    rights: ClassVar[tuple[Right, ...]] = (
        Right("Functions", "lambda", _FUNCTION_ARN, plan="GetPolicy", up="RemovePermission"),
        Right(
            "LetApiInvoke",
            "lambda",
            _FUNCTION_ARN,
            up="AddPermission",
            when={"StringEquals": {"lambda:Principal": "apigateway.amazonaws.com"}},
        ),
    )

    function: Function
    api: RestApi
    method: str
    path: str

    def desired(self, run: Run) -> Properties:
        api = run.assigned(self.api, "RestApiId")
        return {
            "FunctionName": self.function.name,
            "Action": "lambda:InvokeFunction",
            "Principal": "apigateway.amazonaws.com",
            # Any stage: the stage's name may change, the route is what counts.
            "SourceArn": run.aws.arn("execute-api", f"{api}/*/{self.method}{self.path}"),
        }

    def read(self, run: Run) -> Properties | None:
        statement = statements(run, self.function).get(self.name)
        if statement is None:
            return None
        principal = statement["Principal"]
        return {
            "FunctionName": self.function.name,
            "Action": statement["Action"],
            "Principal": principal.get("Service") if isinstance(principal, dict) else principal,
            "SourceArn": statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn"),
        }

    def create(self, run: Run, desired: Properties) -> Properties:
        run.client("lambda").add_permission(StatementId=self.name, **desired)
        return {}

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        remove_statement(run, self.function.name, self.name)
        return self.create(run, desired)

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        remove_statement(run, recorded.properties["FunctionName"], recorded.name)

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        """The function's tags; None where it has no such statement."""
        function = recorded.properties["FunctionName"]
        if recorded.name not in policy_statements(run, function):
            return None
        return Function.tags(run, Recorded(f"function/{function}", "function", function, {}))
