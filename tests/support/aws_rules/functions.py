"""Lambda's functions: Pending at first, InProgress after a change, with roles that it cannot assume yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.support.aws_rules.layer import Asked, Refused, Service

INVALID, CONFLICT = "InvalidParameterValueException", "ResourceConflictException"
_BY_LAMBDA = "lambda.amazonaws.com"


@dataclass
class KnownFunction:
    arn: str
    made: float
    role: str
    bound_to: str
    """The id of the role that it is bound to: a role of the same name made later is another one."""
    timeout: int
    busy_until: float
    statements: dict[str, float] = field(default_factory=dict)
    reserved: int = 0
    update_fails: str = ""


class Functions(Service):
    def __init__(self, reality: Any) -> None:
        super().__init__(reality)
        self.functions: dict[str, KnownFunction] = {}
        self.layers: dict[str, float] = {}
        self.next_update_fails = ""

    def known(self, asked: Asked) -> KnownFunction | None:
        return self.functions.get(asked["FunctionName"].rsplit(":", 1)[-1])

    # Roles, dead letters, layers

    def _check(self, asked: Asked, role: str) -> None:
        """What is looked at before a function is made or changed."""
        iam = self.reality.iam
        if not iam.assumable(role, _BY_LAMBDA):
            raise Refused(INVALID, "The role defined for the function cannot be assumed by Lambda.")
        found = iam.role(role)
        if asked.get("Environment") and self.now < found.made + self.delays.grant:
            raise Refused(INVALID, _GRANT)
        target = asked.get("DeadLetterConfig", {}).get("TargetArn")
        if target and not (iam.may(role, "sqs:SendMessage", target) and self.reality.sqs.usable(target)):
            raise Refused(INVALID, "The provided execution role does not have permissions to call SendMessage on SQS")
        for layer in asked.get("Layers", []):
            if self.now < self.layers.get(layer, self.now + 1) + self.delays.layer:
                raise Refused(INVALID, f"Layer version {layer} does not exist.")

    def after_publish_layer_version(self, asked: Asked, answer: Any) -> None:
        self.layers[answer["LayerVersionArn"]] = self.now

    # Functions

    def before_create_function(self, asked: Asked) -> None:
        if asked["FunctionName"] in self.functions:
            raise Refused(CONFLICT, f"Function already exist: {asked['FunctionName']}", 409)
        self._check(asked, asked["Role"])

    def after_create_function(self, asked: Asked, answer: Any) -> None:
        role = self.reality.iam.role(asked["Role"])
        made = KnownFunction(
            answer["FunctionArn"],
            self.now,
            asked["Role"],
            role.identifier,
            asked.get("Timeout", 3),
            self.now + self.delays.pending,
        )
        self.functions[asked["FunctionName"]] = made
        self._show(made, answer)

    def _show(self, function: KnownFunction, answer: Any) -> None:
        answer["State"], answer["LastUpdateStatus"] = "Active", "Successful"
        if self.now < function.made + self.delays.pending:
            answer["State"] = "Pending"
            del answer["LastUpdateStatus"]
        elif self.now < function.busy_until:
            answer["LastUpdateStatus"] = "InProgress"
        elif function.update_fails:
            answer["LastUpdateStatus"] = "Failed"
            answer["LastUpdateStatusReasonCode"] = function.update_fails
            answer["LastUpdateStatusReason"] = "The function could not be updated."

    def _read(self, asked: Asked) -> None:
        function = self.known(asked)
        if function and self.now < function.made + self.delays.unseen:
            raise _missing(function)

    def before_get_function(self, asked: Asked) -> None:
        self._read(asked)

    def before_get_function_configuration(self, asked: Asked) -> None:
        self._read(asked)

    def after_get_function(self, asked: Asked, answer: Any) -> None:
        self._show(self.functions[asked["FunctionName"]], answer["Configuration"])

    def after_get_function_configuration(self, asked: Asked, answer: Any) -> None:
        self._show(self.functions[asked["FunctionName"]], answer)

    def _change(self, asked: Asked) -> None:
        """What cannot be done to a function that is being made or updated."""
        function = self.known(asked)
        if function is None or self.now >= function.busy_until:
            return
        if self.now < function.made + self.delays.pending:
            state = "The function is currently in the following state: Pending"
        else:
            state = f"An update is in progress for resource: {function.arn}"
        raise Refused(CONFLICT, f"The operation cannot be performed at this time. {state}", 409)

    def _changed(self, asked: Asked, answer: Any) -> None:
        function = self.functions[asked["FunctionName"]]
        function.busy_until = self.now + self.delays.updating
        function.update_fails, self.next_update_fails = self.next_update_fails, ""
        self._show(function, answer)

    def before_update_function_code(self, asked: Asked) -> None:
        self._change(asked)
        if function := self.known(asked):
            self._check({}, function.role)

    def before_update_function_configuration(self, asked: Asked) -> None:
        self._change(asked)
        function = self.known(asked)
        if function is None:
            return
        self._check(asked, asked.get("Role", function.role))
        self.fits_its_queues(function, asked.get("Timeout", function.timeout))

    def fits_its_queues(self, function: KnownFunction, timeout: int) -> None:
        """Refuse a timeout beyond the visibility timeout of a queue that feeds the function."""

    def after_update_function_code(self, asked: Asked, answer: Any) -> None:
        self._changed(asked, answer)

    def after_update_function_configuration(self, asked: Asked, answer: Any) -> None:
        function = self.functions[asked["FunctionName"]]
        function.timeout = asked.get("Timeout", function.timeout)
        if "Role" in asked:
            function.role = asked["Role"]
            function.bound_to = self.reality.iam.role(asked["Role"]).identifier
        self._changed(asked, answer)

    def before_delete_function(self, asked: Asked) -> None:
        self._change(asked)

    def after_delete_function(self, asked: Asked, answer: Any) -> None:
        name = asked["FunctionName"]
        function = self.functions.pop(name)
        self.reality.logs.deliver_late(f"/aws/lambda/{name}", function.role)

    # Concurrency

    def before_put_function_concurrency(self, asked: Asked) -> None:
        self._write(asked)
        self._change(asked)
        limits, function = self.reality.limits, self.known(asked)
        others = sum(each.reserved for each in self.functions.values() if each is not function)
        if limits.concurrency - others - asked["ReservedConcurrentExecutions"] < limits.unreserved:
            raise Refused(
                INVALID,
                "Specified ReservedConcurrentExecutions for function decreases account's "
                f"UnreservedConcurrentExecution below its minimum value of [{limits.unreserved}].",
            )

    def after_put_function_concurrency(self, asked: Asked, answer: Any) -> None:
        self.functions[asked["FunctionName"]].reserved = asked["ReservedConcurrentExecutions"]

    def before_delete_function_concurrency(self, asked: Asked) -> None:
        self._change(asked)

    def after_delete_function_concurrency(self, asked: Asked, answer: Any) -> None:
        self.functions[asked["FunctionName"]].reserved = 0

    def _write(self, asked: Asked) -> None:
        function = self.known(asked)
        if function and self.now < function.made + self.delays.unwritable:
            raise _missing(function)

    # Permissions

    def before_add_permission(self, asked: Asked) -> None:
        self._write(asked)
        function, sid = self.known(asked), asked["StatementId"]
        if function and sid in function.statements:
            raise Refused(
                CONFLICT,
                f"The statement id ({sid}) provided already exists. Please provide a new statement id, or remove the "
                "existing statement.",
                409,
            )
        self._alone_with_the_policy(asked)

    def after_add_permission(self, asked: Asked, answer: Any) -> None:
        self.functions[asked["FunctionName"]].statements[asked["StatementId"]] = self.now

    def before_remove_permission(self, asked: Asked) -> None:
        function, sid = self.known(asked), asked["StatementId"]
        if function is None:
            arn = f"arn:aws:lambda:us-east-1:123456789012:function:{asked['FunctionName']}"
            raise _absent(f"No policy found for: {arn}")
        if not function.statements:
            raise _absent("No policy is associated with the given resource.")
        if sid not in function.statements:
            raise _absent(f"Statement {sid} is not found in resource policy.")
        self._alone_with_the_policy(asked)

    def after_remove_permission(self, asked: Asked, answer: Any) -> None:
        self.functions[asked["FunctionName"]].statements.pop(asked["StatementId"], None)

    def _alone_with_the_policy(self, asked: Asked) -> None:
        self.alone(f"policy {asked['FunctionName']}", Refused(CONFLICT, _BESIDE, 409))

    def before_get_policy(self, asked: Asked) -> None:
        function = self.known(asked)
        statements = function.statements.values() if function else ()
        if statements and all(self.now < since + self.delays.unseen for since in statements):
            raise _absent("The resource you requested does not exist.")

    # The account

    def before_get_account_settings(self, asked: Asked) -> Any:
        limits = self.reality.limits
        free = limits.concurrency - sum(each.reserved for each in self.functions.values())
        return {
            "AccountLimit": {
                "ConcurrentExecutions": limits.concurrency,
                "UnreservedConcurrentExecutions": free,
            }
        }


_GRANT = (
    "Lambda was unable to configure your environment variables because the KMS key is invalid for CreateGrant. "
    "Please check your KMS key settings. KMS Exception: InvalidArnException KMS Message: ARN does not refer to a "
    "valid principal"
)


_BESIDE = "The function could not be updated due to a concurrent update operation"


def _missing(function: KnownFunction) -> Refused:
    return _absent(f"Function not found: {function.arn}")


def _absent(text: str) -> Refused:
    return Refused("ResourceNotFoundException", text, 404)
