"""Lambda functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from iotpipe.errors import ResourceError
from iotpipe.provision.resource import Properties, Recorded, Resource, by_name, optional, optional_found
from iotpipe.provision.resources.lambda_tags import retag
from iotpipe.provision.resources.layer import Layer
from iotpipe.provision.resources.log_group import LogGroup
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.references import Reference
from iotpipe.provision.resources.role import Role
from iotpipe.provision.rights import Right, regional_arn, use_key
from iotpipe.provision.run import Run

_ARN = (regional_arn("lambda", "function:{name}"),)
_OF_THIS_FUNCTION = {"ArnEqualsIfExists": {"lambda:FunctionArn": regional_arn("lambda", "function:{name}")}}
# AWS assigns the id of a mapping: it is only known once the mapping exists.
_MAPPINGS_ARN = (regional_arn("lambda", "event-source-mapping:*"),)


@dataclass(frozen=True, eq=False)
class Function(Resource):
    """A Lambda function; memory in MB, timeout in seconds. `code` is its zip, `code_sha256` the zip's hash as
    Lambda gives it (base64). A `reserved_concurrency` of None leaves it to the account's common pool. `kms_key` is the
    ARN of the KMS key that encrypts the environment; None leaves that to a key of AWS's own."""

    kind: ClassVar[str] = "function"
    aws_service: ClassVar[str] = "lambda"
    arn_form: ClassVar[str] = r"lambda:function:(?P<name>[^:]+)"
    immutable: ClassVar[frozenset[str]] = frozenset({"PackageType"})
    rights: ClassVar[tuple[Right, ...]] = (
        Right(
            "Functions",
            "lambda",
            _ARN,
            # GetFunction answers with tags only to who may list them.
            plan="GetFunction ListTags GetPolicy ListFunctionUrlConfigs ListVersionsByFunction ListAliases",
            up="CreateFunction UpdateFunctionCode UpdateFunctionConfiguration GetFunctionConfiguration"
            " PutFunctionConcurrency DeleteFunctionConcurrency TagResource UntagResource"
            " RemovePermission DeleteFunctionUrlConfig ListAliases DeleteAlias",
            down="DeleteFunction",
        ),
        # Versions that others published; AWS asks about them by their number.
        Right("FunctionVersions", "lambda", (regional_arn("lambda", "function:{name}:*"),), up="DeleteFunction"),
        # For mappings that others created for the function. There is no right to delete the mappings of functions
        # outside the pipeline that consume its queues.
        Right("Feeds", "lambda", _MAPPINGS_ARN, up="DeleteEventSourceMapping", when=_OF_THIS_FUNCTION),
        # Without Decrypt Lambda omits the environment from its answer:
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html
        use_key("lambda", plan="Decrypt", up="CreateGrant Encrypt"),
        # Called where a reservation is created or raised.
        Right("Anywhere", "lambda", ("*",), plan="GetAccountSettings"),
    )

    handler: str
    code: bytes
    code_sha256: str
    runtime: str
    architecture: str
    memory: int
    timeout: int
    reserved_concurrency: int | None
    role: Role
    layer: Layer
    dead_letter: Queue
    log_group: LogGroup
    # Lambda does not look at the values: what they name may be created later.
    environment: Mapping[str, str | Reference] = by_name()
    kms_key: str | None = None

    def arn(self, run: Run) -> str:
        return run.aws.arn("lambda", f"function:{self.name}")

    def desired(self, run: Run) -> Properties:
        return {
            "PackageType": "Zip",
            "Runtime": self.runtime,
            "Architectures": [self.architecture],
            "Handler": self.handler,
            "Role": self.role.arn(run),
            "RoleId": run.assigned(self.role, "RoleId"),
            "MemorySize": self.memory,
            "Timeout": self.timeout,
            "Layers": [run.assigned(self.layer, "LayerVersionArn")],
            "Environment": {"Variables": self._variables(run)},
            "TracingConfig": {"Mode": "Active"},
            "DeadLetterConfig": {"TargetArn": self.dead_letter.arn(run)},
            "CodeSha256": self.code_sha256,
            "ReservedConcurrentExecutions": self.reserved_concurrency,
            **optional(run, self, "KMSKeyArn", self.kms_key, ""),
            "Tags": run.all_tags,
        }

    def read(self, run: Run) -> Properties | None:
        client = run.client("lambda")
        try:
            found = client.get_function(FunctionName=self.name)
        except client.exceptions.ResourceNotFoundException:
            return None
        configuration = found["Configuration"]
        return {
            **configuration,
            "PackageType": configuration.get("PackageType", "Zip"),
            "Runtime": configuration.get("Runtime"),
            "Architectures": configuration.get("Architectures", ["x86_64"]),
            "Handler": configuration.get("Handler"),
            "Role": configuration["Role"],
            "RoleId": self._bound_to(run),
            "MemorySize": configuration["MemorySize"],
            "Timeout": configuration["Timeout"],
            "Layers": [each["Arn"] for each in configuration.get("Layers", [])],
            "Environment": {
                "Variables": self._without_secrets(configuration.get("Environment", {}).get("Variables", {}))
            },
            "TracingConfig": {"Mode": configuration.get("TracingConfig", {}).get("Mode", "PassThrough")},
            "DeadLetterConfig": {"TargetArn": configuration.get("DeadLetterConfig", {}).get("TargetArn", "")},
            "CodeSha256": configuration["CodeSha256"],
            **optional_found(run, self, "KMSKeyArn", configuration.get("KMSKeyArn") or ""),
            "SourceKMSKeyArn": found.get("Code", {}).get("SourceKMSKeyArn"),
            "ReservedConcurrentExecutions": found.get("Concurrency", {}).get("ReservedConcurrentExecutions"),
            "Tags": found.get("Tags", {}),
        }

    def create(self, run: Run, desired: Properties) -> Properties:
        given = (*_CONFIGURATION, "PackageType", "Architectures", "Tags")
        settings = {key: desired[key] for key in given if key in desired}
        run.client("lambda").create_function(FunctionName=self.name, Code={"ZipFile": self.code}, **settings)
        # Accepted while the function is still Pending; only calling it has to wait.
        if desired["ReservedConcurrentExecutions"] is not None:
            self._set_concurrency(run, desired)
        return {}

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        client = run.client("lambda")
        # First of all: Lambda may refuse to tag what it is still updating.
        retag(run, self.arn(run), desired, observed)
        changed = {key for key in desired if desired[key] != observed.get(key)}
        if "RoleId" in changed:
            changed |= {"Role", "Environment"}
        if changed & {"CodeSha256", "Architectures"}:
            self.upload(run)
        # Each value is sent, also an empty one: Lambda keeps what a request leaves out.
        if settings := {key: desired[key] for key in _CONFIGURATION if key in changed}:
            client.update_function_configuration(FunctionName=self.name, **settings)
            self.wait_until_updated(run)
        if "ReservedConcurrentExecutions" in changed:
            self._set_concurrency(run, desired)
        return {}

    def _variables(self, run: Run) -> dict[str, str]:
        return {name: each if isinstance(each, str) else each.value(run) for name, each in self.environment.items()}

    def _without_secrets(self, variables: Mapping[str, str]) -> dict[str, str]:
        """The variables without the values of those that are not declared: what others put there may be a secret."""
        return {name: value if name in self.environment else "(not shown)" for name, value in variables.items()}

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        client = run.client("lambda")
        try:
            client.delete_function(FunctionName=recorded.name)
        except client.exceptions.ResourceNotFoundException:
            return

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        client = run.client("lambda")
        try:
            found: dict[str, str] = client.get_function(FunctionName=recorded.name).get("Tags", {})
        except client.exceptions.ResourceNotFoundException:
            return None
        return found

    def _bound_to(self, run: Run) -> str | None:
        """The id of the role that the function was last given: one of the same name made later is another one.

        Lambda goes on with the old one, and cannot decrypt the function's environment any more, until it is given
        the role again. It does not tell which it has: only the ledger knows, and where it does not, all is well.
        """
        known: str | None = run.recorded(self).get("RoleId")
        return known or (run.look(self.role) or {}).get("RoleId")

    def _set_concurrency(self, run: Run, desired: Properties) -> None:
        reserved = desired["ReservedConcurrentExecutions"]
        if reserved is None:
            run.client("lambda").delete_function_concurrency(FunctionName=self.name)
        else:
            run.client("lambda").put_function_concurrency(FunctionName=self.name, ReservedConcurrentExecutions=reserved)

    def upload(self, run: Run) -> None:
        """Give Lambda the declared code, encrypted with its own key as long as the request names none."""
        run.client("lambda").update_function_code(
            FunctionName=self.name, ZipFile=self.code, Architectures=[self.architecture]
        )
        self.wait_until_updated(run)

    def wait_until_updated(self, run: Run) -> None:
        """Lambda refuses further changes until it has taken over the last one."""

        def updated() -> bool:
            found = run.client("lambda").get_function_configuration(FunctionName=self.name)
            if found.get("LastUpdateStatus") == "Failed":
                said = (found.get(f"LastUpdateStatusReason{part}") for part in ("Code", ""))
                reason = ": ".join(filter(None, said)) or "Lambda gives no reason"
                raise ResourceError(f"cannot update {self.address}: {reason}", address=self.address)
            # A function that is Pending has no such status yet.
            return bool(found.get("State") != "Pending" and found.get("LastUpdateStatus", "Successful") == "Successful")

        run.until(self.address, "waiting until Lambda has applied the update", updated)


_CONFIGURATION = (
    "Runtime",
    "Handler",
    "Role",
    "MemorySize",
    "Timeout",
    "Layers",
    "Environment",
    "TracingConfig",
    "DeadLetterConfig",
    "KMSKeyArn",
)
