"""Lambda: layers, functions, who may call them, and what feeds them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from iotpipe.errors import ResourceError
from iotpipe.provision.resource import Properties, Recorded, Resource, optional, optional_found, tag_changes
from iotpipe.provision.resources.apigateway import RestApi
from iotpipe.provision.resources.iam import Role
from iotpipe.provision.resources.logs import LogGroup
from iotpipe.provision.resources.sqs import Queue
from iotpipe.provision.run import Run
from iotpipe.provision.tag_search import tags_of

_MARK = "iotpipe "


@dataclass(frozen=True, eq=False)
class Layer(Resource):
    """The handlers' dependencies. `digest` is a hash of what it is built from, `content` builds its zip.

    Layer versions cannot be changed and every publication makes a new one, also of the same bytes: the digest, kept
    in the description, decides whether there is anything to publish. Layers cannot bear tags: the description also
    tells the environment.
    """

    kind: ClassVar[str] = "layer"
    assigned: ClassVar[tuple[str, ...]] = ("LayerVersionArn",)
    renewed: ClassVar[bool] = True

    digest: str
    content: Callable[[], bytes]
    runtime: str
    architecture: str

    def desired(self, run: Run) -> Properties:
        return {
            "Description": self._description(run),
            "CompatibleRuntimes": [self.runtime],
            "CompatibleArchitectures": [self.architecture],
        }

    def read(self, run: Run) -> Properties | None:
        ours = _ours(run, layer_versions(run, self))
        wanted = self._description(run)
        found = next((each for each in ours if each["Description"] == wanted), ours[0] if ours else None)
        if found is None:
            return None
        return {
            "Description": found["Description"],
            "CompatibleRuntimes": found.get("CompatibleRuntimes", []),
            "CompatibleArchitectures": found.get("CompatibleArchitectures", []),
            "LayerVersionArn": found["LayerVersionArn"],
        }

    def create(self, run: Run, desired: Properties) -> Properties:
        return self._publish(run, desired, self.content())

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        # What cannot be built must not cost the versions there are.
        content = self.content()
        # Functions keep a copy of their layers, so a version in use can go. It goes first: once the new one is
        # there, nothing would be left to do for the next command, were this one to die before it has tidied up.
        _delete_versions(run, self.name)
        return self._publish(run, desired, content)

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        _delete_versions(run, recorded.name)

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        """The tags that the versions would bear if layers could."""
        return run.owner_tags if _ours(run, _versions(run, recorded.name)) else None

    @classmethod
    def search(cls, run: Run) -> Iterator[Recorded]:
        for page in run.client("lambda").get_paginator("list_layers").paginate():
            for layer in page["Layers"]:
                if _is_of(run, layer["LatestMatchingVersion"]):
                    yield Recorded(f"{cls.kind}/{layer['LayerName']}", cls.kind, layer["LayerName"], {})

    def _description(self, run: Run) -> str:
        return f"{_MARK}{self.digest} {run.environment}"

    def _publish(self, run: Run, desired: Properties, content: bytes) -> Properties:
        published = run.client("lambda").publish_layer_version(
            LayerName=self.name, Content={"ZipFile": content}, **desired
        )
        return {"LayerVersionArn": published["LayerVersionArn"]}


def _delete_versions(run: Run, name: str) -> None:
    for each in _ours(run, _versions(run, name)):
        run.client("lambda").delete_layer_version(LayerName=name, VersionNumber=each["Version"])


def layer_versions(run: Run, layer: Layer) -> list[dict[str, Any]]:
    """All versions in the layer's name, asked for once per command."""
    return run.once(f"versions of {layer.address}", lambda: _versions(run, layer.name))


def published_by_iotpipe(version: Mapping[str, Any]) -> bool:
    """Whether iotpipe published the version, for any environment. Layers cannot bear tags: the description tells."""
    description: str = version.get("Description", "")
    return description.startswith(_MARK)


def _ours(run: Run, versions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in versions if _is_of(run, each)]


def _is_of(run: Run, version: Mapping[str, Any]) -> bool:
    description: str = version.get("Description", "")
    return published_by_iotpipe(version) and description.endswith(f" {run.environment}")


def _versions(run: Run, name: str) -> list[dict[str, Any]]:
    """All versions in the name, the newest first."""
    client = run.client("lambda")
    pages = client.get_paginator("list_layer_versions").paginate(LayerName=name)
    try:
        return [each for page in pages for each in page["LayerVersions"]]
    except client.exceptions.ResourceNotFoundException:
        return []


@dataclass(frozen=True, eq=False)
class Function(Resource):
    """A Lambda function; memory in MB, timeout in seconds. `code` is its zip, `code_sha256` the zip's hash as
    Lambda gives it (base64). A `reserved_concurrency` of None leaves it to the account's common pool. `kms_key` is the
    ARN of the KMS key that encrypts the environment; None leaves that to a key of AWS's own."""

    kind: ClassVar[str] = "function"
    arn_form: ClassVar[str] = r"lambda:function:(?P<name>[^:]+)"
    immutable: ClassVar[frozenset[str]] = frozenset({"PackageType"})

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
    environment: Mapping[str, Callable[[Run], str]]
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
            "Environment": {"Variables": {name: value(run) for name, value in self.environment.items()}},
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
        _retag(run, self.arn(run), desired, observed)
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


def _retag(run: Run, arn: str, desired: Properties, observed: Properties) -> None:
    changed, removed = tag_changes(desired, observed)
    if changed:
        run.client("lambda").tag_resource(Resource=arn, Tags=changed)
    if removed:
        run.client("lambda").untag_resource(Resource=arn, TagKeys=removed)


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


@dataclass(frozen=True, eq=False)
class Permission(Resource):
    """Lets one route of the API call a function. `name` is the statement's id."""

    kind: ClassVar[str] = "permission"
    inside: ClassVar[str] = "function"

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
        _remove_statement(run, self.function.name, self.name)
        return self.create(run, desired)

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        _remove_statement(run, recorded.properties["FunctionName"], recorded.name)

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        """The function's tags; None where it has no such statement."""
        function = recorded.properties["FunctionName"]
        if recorded.name not in policy_statements(run, function):
            return None
        return Function.tags(run, Recorded(f"function/{function}", "function", function, {}))


def _remove_statement(run: Run, function: str, sid: str) -> None:
    """Remove a statement of the function's resource policy; that it is gone already is success."""
    client = run.client("lambda")
    with contextlib.suppress(client.exceptions.ResourceNotFoundException):
        client.remove_permission(FunctionName=function, StatementId=sid)


def statements(run: Run, function: Function) -> dict[str, dict[str, Any]]:
    """The function's resource policy by the ids of its statements, asked for once per command."""
    return run.once(f"policy of {function.address}", lambda: policy_statements(run, function.name))


def policy_statements(run: Run, function: str, **qualifier: str) -> dict[str, dict[str, Any]]:
    """The resource policy of a function, or of its version or alias, by the ids of its statements."""
    client = run.client("lambda")
    try:
        policy = json.loads(client.get_policy(FunctionName=function, **qualifier)["Policy"])
    except client.exceptions.ResourceNotFoundException:
        return {}
    return {each["Sid"]: each for each in policy["Statement"]}


@dataclass(frozen=True, eq=False)
class EventSourceMapping(Resource):
    """Feeds a queue's messages to a function, at most `batch_size` at once; the window is in seconds.

    One that is not `enabled` leaves the messages in the queue.
    """

    kind: ClassVar[str] = "event-source-mapping"
    assigned: ClassVar[tuple[str, ...]] = ("UUID",)
    identity: ClassVar[tuple[str, ...]] = ("UUID", "EventSourceArn")
    arn_form: ClassVar[str] = r"lambda:event-source-mapping:(?P<name>(?P<UUID>[^:]+))"
    finishes: ClassVar[bool] = True

    queue: Queue
    function: Function
    batch_size: int
    batching_window: int
    maximum_concurrency: int
    enabled: bool = True

    def desired(self, run: Run) -> Properties:
        return {
            "EventSourceArn": self.queue.arn(run),
            "FunctionArn": self.function.arn(run),
            "Enabled": self.enabled,
            "BatchSize": self.batch_size,
            "MaximumBatchingWindowInSeconds": self.batching_window,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": {"MaximumConcurrency": self.maximum_concurrency},
            "Tags": run.all_tags,
        }

    def read(self, run: Run) -> Properties | None:
        found = _mapping(run, self.queue.arn(run), self.function.arn(run))
        if found is None:
            return None
        uuid = found["UUID"]
        tags = tags_of(run, _mapping_arn(run, uuid), lambda: _mapping_tags(run, uuid))
        if tags is None:
            return None
        return {
            **found,
            "EventSourceArn": found["EventSourceArn"],
            "FunctionArn": found["FunctionArn"],
            # While it is made or changed its state does not tell, and nobody else can change it then.
            "Enabled": _ENABLED.get(found["State"], self.enabled),
            "BatchSize": found["BatchSize"],
            "MaximumBatchingWindowInSeconds": found.get("MaximumBatchingWindowInSeconds", 0),
            "FunctionResponseTypes": found.get("FunctionResponseTypes", []),
            "ScalingConfig": found.get("ScalingConfig", {}),
            "Tags": tags,
            "UUID": found["UUID"],
        }

    def create(self, run: Run, desired: Properties) -> Properties:
        settings = {key: value for key, value in desired.items() if key != "FunctionArn"}
        made = run.client("lambda").create_event_source_mapping(FunctionName=desired["FunctionArn"], **settings)
        return {"UUID": made["UUID"]}

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        client = run.client("lambda")
        fixed = ("EventSourceArn", "FunctionArn", "Tags")
        settings = {key: desired[key] for key in desired if key not in fixed and desired[key] != observed[key]}
        # First of all: Lambda may refuse to tag what it is still updating.
        _retag(run, _mapping_arn(run, observed["UUID"]), desired, observed)
        if settings:
            client.update_event_source_mapping(UUID=observed["UUID"], **settings)
        return {}

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        client = run.client("lambda")
        uuid = _uuid(run, recorded)
        if uuid is None:
            return
        try:
            client.delete_event_source_mapping(UUID=uuid)
        except client.exceptions.ResourceNotFoundException:
            return

    @classmethod
    def finish(cls, run: Run, recorded: Recorded) -> None:
        # Its deletion takes seconds to minutes, and nothing else of the teardown has to wait for it.
        uuid = _uuid(run, recorded)
        if uuid is not None:
            reason = "waiting until the event source mapping is gone"
            run.until(recorded.address, reason, lambda: not _exists(run, uuid))

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        uuid, client = _uuid(run, recorded), run.client("lambda")
        try:
            # A mapping that is being deleted is as good as gone.
            if uuid is None or client.get_event_source_mapping(UUID=uuid)["State"] == "Deleting":
                return None
        except client.exceptions.ResourceNotFoundException:
            return None
        return _mapping_tags(run, uuid)

    @classmethod
    def identify(cls, run: Run, recorded: Recorded) -> Properties:
        found: Properties = run.client("lambda").get_event_source_mapping(UUID=_uuid(run, recorded))
        return found

    @classmethod
    def search(cls, run: Run) -> Iterator[Recorded]:
        for each in run.resources:
            if isinstance(each, EventSourceMapping):
                found = _mapping(run, each.queue.arn(run), each.function.arn(run))
                if found:
                    yield Recorded(f"{cls.kind}/{found['UUID']}", cls.kind, found["UUID"], {"UUID": found["UUID"]})


_ENABLED = {"Enabled": True, "Enabling": True, "Disabled": False, "Disabling": False}


def live_mappings(run: Run) -> list[dict[str, Any]]:
    """Every event source mapping of the account: a filter by queue or function would take a call for each."""
    every = run.once("event source mappings", lambda: _mappings(run))
    return [each for each in every if each["State"] != "Deleting"]


def _mappings(run: Run) -> list[dict[str, Any]]:
    pages = run.client("lambda").get_paginator("list_event_source_mappings").paginate()
    return [each for page in pages for each in page["EventSourceMappings"]]


def _mapping(run: Run, queue_arn: str, function_arn: str) -> dict[str, Any] | None:
    same = (e for e in live_mappings(run) if (e.get("EventSourceArn"), e["FunctionArn"]) == (queue_arn, function_arn))
    return next(same, None)


def _uuid(run: Run, recorded: Recorded) -> str | None:
    if "UUID" in recorded.properties:
        return str(recorded.properties["UUID"])
    found = _mapping(run, recorded.properties["EventSourceArn"], recorded.properties["FunctionArn"])
    return found["UUID"] if found else None


def _exists(run: Run, uuid: str) -> bool:
    client = run.client("lambda")
    try:
        client.get_event_source_mapping(UUID=uuid)
    except client.exceptions.ResourceNotFoundException:
        return False
    return True


def _mapping_tags(run: Run, uuid: str) -> dict[str, str] | None:
    """Its tags; None where it is gone since it was listed."""
    client = run.client("lambda")
    try:
        tags: dict[str, str] = client.list_tags(Resource=_mapping_arn(run, uuid))["Tags"]
    except client.exceptions.ResourceNotFoundException:
        return None
    return tags


def _mapping_arn(run: Run, uuid: str) -> str:
    return run.aws.arn("lambda", f"event-source-mapping:{uuid}")
