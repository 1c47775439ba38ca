"""API Gateway: the REST API, its routes, the stage that serves them, and the account's logging role."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from botocore.exceptions import ClientError

from iotpipe.errors import RefusedError, ResourceError
from iotpipe.provision.adoption import advised
from iotpipe.provision.resource import (
    URL,
    Properties,
    Recorded,
    Resource,
    by_name,
    optional,
    optional_found,
    tag_changes,
    tag_dict,
)
from iotpipe.provision.resources.iam import within
from iotpipe.provision.resources.logs import (
    LogGroup,
    delete_log_group,
    describe_log_group,
    encrypt_log_group,
    log_groups,
    make_log_group,
)
from iotpipe.provision.retry_rules import code_and_message
from iotpipe.provision.run import ENVIRONMENT_TAG, MANAGED_TAG, Run
from iotpipe.times import timestamp

if TYPE_CHECKING:
    from iotpipe.provision.resources.awslambda import Function


@dataclass(frozen=True, eq=False)
class RestApi(Resource):
    """A regional REST API. Names of APIs are not unique and can be changed: the recorded id, and the tags, tell.

    Where neither does, one of its name without any environment's tags is in its place: to make a second one would
    give the devices a URL that they do not call. Another environment's of the same name is nobody's business.
    """

    kind: ClassVar[str] = "rest-api"
    assigned: ClassVar[tuple[str, ...]] = ("RestApiId", "RootResourceId")
    identity: ClassVar[tuple[str, ...]] = ("RestApiId", "Name")
    arn_form: ClassVar[str] = r"apigateway:/restapis/(?P<name>(?P<RestApiId>[^/]+))"
    holds: ClassVar[str] = URL
    finishes: ClassVar[bool] = True
    leaves: ClassVar[bool] = True
    chosen_by: ClassVar[str] = "RestApiId"

    description: str

    def arn(self, run: Run) -> str:
        return _api_arn(run, run.assigned(self, "RestApiId"))

    def desired(self, run: Run) -> Properties:
        return {
            "Name": self.name,
            "Description": self.description,
            "EndpointConfiguration": {"types": ["REGIONAL"]},
            "Tags": run.all_tags,
        }

    def read(self, run: Run) -> Properties | None:
        found = _find(run, self.name, run.recorded(self).get("RestApiId"))
        if found is None:
            strangers = _strangers(run, self.name)
            if len(strangers) != 1:
                return None
            [found] = strangers
        return {
            **found,
            "Name": found["name"],
            "Description": found.get("description", ""),
            "EndpointConfiguration": {"types": found["endpointConfiguration"]["types"]},
            "Tags": found.get("tags", {}),
            "RestApiId": found["id"],
            "RootResourceId": found.get("rootResourceId"),
        }

    def create(self, run: Run, desired: Properties) -> Properties:
        made = run.client("apigateway").create_rest_api(
            name=desired["Name"],
            description=desired["Description"],
            endpointConfiguration=desired["EndpointConfiguration"],
            tags=desired["Tags"],
        )
        run.once(_DEPLOYMENTS, dict)  # a new one has none: nobody need ask
        run.new_apis.add(self.address)
        self._wait_until_available(run, made)
        return {"RestApiId": made["id"], "RootResourceId": made["rootResourceId"]}

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        api = run.client("apigateway")
        # First of all: rights on an API that has lost its tags, or is adopted, may depend on them.
        if not _is_ours(run, {"tags": observed["Tags"]}):
            run.new_apis.add(self.address)
        _retag(run, _api_arn(run, observed["RestApiId"]), desired, observed)
        named = (("/name", "Name"), ("/description", "Description"))
        changes = [_replace(path, desired[key]) for path, key in named if desired[key] != observed[key]]
        before, after = (each["EndpointConfiguration"]["types"][0] for each in (observed, desired))
        if before != after:
            changes.append(_replace(f"/endpointConfiguration/types/{before}", after))
        if changes:
            changed = api.update_rest_api(restApiId=observed["RestApiId"], patchOperations=changes)
            self._wait_until_available(run, changed)
        return {}

    def _wait_until_available(self, run: Run, answered: Mapping[str, Any]) -> None:
        """API Gateway refuses further changes of an API until it has taken over the last one."""
        status, identifier = answered.get("apiStatus"), answered["id"]

        def available() -> bool:
            nonlocal status
            if status in _CHANGING:
                status = (_get(run, identifier) or {}).get("apiStatus")
            if status == "FAILED":
                raise ResourceError(f"cannot update {self.address}: API Gateway reports FAILED", address=self.address)
            return status not in _CHANGING

        run.until(self.address, "waiting until API Gateway has applied the change", available)

    def namesakes(self, run: Run) -> list[str]:
        return [f"{each['id']} (made {_created(each)})" for each in _strangers(run, self.name)]

    def obstacle(self, run: Run) -> str:
        found = self.namesakes(run)
        if len(found) < 2:
            return ""
        return (
            f"{self.address} may be each of {len(found)} APIs of that name without any environment's tags: "
            f"{', '.join(found)}. Choose one with `iotpipe up {advised(self.address)}=ID`, or choose another `suffix`"
        )

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        api = run.client("apigateway")
        identifier = recorded.properties.get("RestApiId")
        if identifier is None:
            # It was being made when the command died: only what bears our tags can be it.
            found = _find(run, recorded.name)
            identifier = found["id"] if found else None
        if identifier is None:
            return
        try:
            api.delete_rest_api(restApiId=identifier)
        except api.exceptions.NotFoundException:
            return
        except ClientError as error:
            # Who may only delete what bears our tags is denied what is gone as well, since that bears none; and also
            # of an API that is gone it is said that another change of it is under way.
            if code_and_message(error)[0] not in ("AccessDeniedException", _BUSY) or _get(run, identifier):
                raise

    @classmethod
    def finish(cls, run: Run, recorded: Recorded) -> None:
        # The ledger need not know all its stages: one of the same name in another API may have taken a row over.
        if "RestApiId" in recorded.properties:
            for each in log_groups(run, execution_logs(recorded.properties["RestApiId"])):
                delete_log_group(run, each)

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        found = _recorded_api(run, recorded)
        return found.get("tags", {}) if found else None

    @classmethod
    def identify(cls, run: Run, recorded: Recorded) -> Properties:
        found = _recorded_api(run, recorded) or {}
        return {"RestApiId": found.get("id"), "Name": found.get("name")}

    @classmethod
    def search(cls, run: Run) -> Iterator[Recorded]:
        # The tagging service does not list at once what another machine has just made.
        for each in _apis(run):
            if _is_ours(run, each):
                yield Recorded(f"{cls.kind}/{each['id']}", cls.kind, each["id"], {"RestApiId": each["id"]})


_CHANGING = ("UPDATING", "PENDING")
_BUSY = "ConflictException"


def _recorded_api(run: Run, recorded: Recorded) -> dict[str, Any] | None:
    """The API that a row is about: by its id, or, where it was being made when a command died, by name and tags."""
    identifier = recorded.properties.get("RestApiId")
    return _get(run, identifier) if identifier else _find(run, recorded.name)


def _get(run: Run, identifier: str) -> dict[str, Any] | None:
    api = run.client("apigateway")
    try:
        found: dict[str, Any] = api.get_rest_api(restApiId=identifier)
    except api.exceptions.NotFoundException:
        return None
    return found


def _find(run: Run, name: str, recorded: str | None = None) -> dict[str, Any] | None:
    """The API that the ledger names, or one that bears our tags; another of the same name is nobody's business."""
    every = _apis(run)
    there = next((each for each in every if each["id"] == recorded), None)
    ours = [each for each in every if each["name"] == name and _is_ours(run, each)]
    # A state file that was copied or edited may have the id of another environment's.
    if there and (not ours or there.get("tags", {}).get(ENVIRONMENT_TAG) in (None, run.environment)):
        return there
    # The oldest: where two machines each made one at the same time, both go on with the same.
    return min(ours, key=lambda each: (str(each.get("createdDate", "")), each["id"]), default=there)


def _strangers(run: Run, name: str) -> list[dict[str, Any]]:
    """The APIs of the name that bear no environment's tags, the oldest first."""
    found = [each for each in _apis(run) if each["name"] == name and ENVIRONMENT_TAG not in each.get("tags", {})]
    return sorted(found, key=lambda each: (str(each.get("createdDate", "")), each["id"]))


def _apis(run: Run) -> list[dict[str, Any]]:
    return run.once("APIs", lambda: _list_apis(run))


def _list_apis(run: Run) -> list[dict[str, Any]]:
    pages = run.client("apigateway").get_paginator("get_rest_apis").paginate(PaginationConfig={"PageSize": 500})
    return [each for page in pages for each in page["items"]]


def _is_ours(run: Run, api: dict[str, Any]) -> bool:
    return bool(run.owner_tags.items() <= api.get("tags", {}).items())


@dataclass(frozen=True, eq=False)
class Route(Resource):
    """One method on one path, signed by the caller (AWS_IAM), passed on whole to a function.

    The paths above it, such as `/devices` of `/devices/latest`, are made with it and deleted with the last route below.
    """

    kind: ClassVar[str] = "route"
    assigned: ClassVar[tuple[str, ...]] = ("ResourceId",)
    inside: ClassVar[str] = "api"

    api: RestApi
    method: str
    path: str
    # API Gateway asks for the function only when it is called.
    function: Function = by_name()

    def desired(self, run: Run) -> Properties:
        return {"RestApiId": run.assigned(self.api, "RestApiId"), **self.definition(run)}

    def definition(self, run: Run) -> Properties:
        """What a deployment makes public of this route."""
        function = f"arn:{run.aws.partition}:apigateway:{run.aws.region}:lambda:path/2015-03-31/functions/"
        return {
            "path": self.path,
            "httpMethod": self.method,
            "authorizationType": "AWS_IAM",
            "integration": {
                "type": "AWS_PROXY",
                "httpMethod": "POST",
                "uri": f"{function}{self.function.arn(run)}/invocations",
            },
        }

    def read(self, run: Run) -> Properties | None:
        api = run.look(self.api)
        if api is None:
            return None
        resource = known_paths(run, api["RestApiId"]).get(self.path)
        if resource is None:
            return None
        return {
            **resource.get("resourceMethods", {}).get(self.method, {}),
            "RestApiId": api["RestApiId"],
            **self.found_in(resource),
            "ResourceId": resource["id"],
        }

    def found_in(self, resource: Mapping[str, Any]) -> Properties:
        """What AWS has at the route's path, in the shape of `definition`."""
        # A path without its method or integration is one that was left half made.
        method = resource.get("resourceMethods", {}).get(self.method, {})
        integration = method.get("methodIntegration") or {}
        return {
            "path": self.path,
            "httpMethod": method.get("httpMethod"),
            "authorizationType": method.get("authorizationType"),
            "integration": {key: integration.get(key) for key in ("type", "httpMethod", "uri")},
        }

    def create(self, run: Run, desired: Properties) -> Properties:
        api = desired["RestApiId"]
        with run.exclusive(self.api.address):
            resource = self._make_path(run, api)
            self._put_method(run, desired, resource)
            self._put_integration(run, desired, resource)
        return {"ResourceId": resource}

    def _make_path(self, run: Run, api: str) -> str:
        """Make the path, with those above it that are not there; answers with its id."""
        parts = self.path[1:].split("/")
        known: dict[str, str] = run.once(f"paths made in {api}", dict)
        # Another machine may have made those above it by now.
        if len(parts) > 1:
            known.update({path: found["id"] for path, found in paths(run, api).items()})
        resource, path = run.assigned(self.api, "RootResourceId"), ""
        for part in parts:
            path += f"/{part}"
            if path not in known:
                made = run.client("apigateway").create_resource(restApiId=api, parentId=resource, pathPart=part)
                known[path] = made["id"]
            resource = known[path]
        return str(resource)

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        whole = any(desired[key] != observed[key] for key in ("httpMethod", "authorizationType"))
        if whole or desired["integration"] != observed["integration"]:
            with run.exclusive(self.api.address):
                self.make_anew(run, desired, observed, whole)
        return {}

    def make_anew(self, run: Run, desired: Properties, observed: Properties, whole: bool) -> None:
        """Make the integration anew, and the method as well if `whole`, with nothing but what is declared."""
        resource = observed["ResourceId"]
        if whole:
            # Callers notice nothing: a stage serves its deployment, not the API as it stands.
            if observed["httpMethod"]:
                run.client("apigateway").delete_method(**self._where(desired, resource))
            self._put_method(run, desired, resource)
        self._put_integration(run, desired, resource)

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        api = run.client("apigateway")
        identifier, method = recorded.properties["RestApiId"], recorded.properties["httpMethod"]
        try:
            # Two routes that are deleted at the same moment would each leave their common parent to the other.
            with run.exclusive(f"paths of {identifier}"):
                there = paths(run, identifier)
                empty = _empty_without(there, recorded)
                for path in empty:
                    api.delete_resource(restApiId=identifier, resourceId=there[path]["id"])
                if not empty and _has_method(there, recorded):
                    resource = there[recorded.properties["path"]]["id"]
                    api.delete_method(restApiId=identifier, resourceId=resource, httpMethod=method)
        except api.exceptions.NotFoundException:
            return

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        """The API's tags; None where the API has nothing of this route."""
        api, identifier = run.client("apigateway"), recorded.properties["RestApiId"]
        try:
            there = paths(run, identifier)
        except api.exceptions.NotFoundException:
            return None
        found = _has_method(there, recorded) or _empty_without(there, recorded)
        return (_get(run, identifier) or {}).get("tags", {}) if found else None

    def _where(self, desired: Properties, resource: str) -> dict[str, str]:
        return {"restApiId": desired["RestApiId"], "resourceId": resource, "httpMethod": self.method}

    def _put_method(self, run: Run, desired: Properties, resource: str) -> None:
        run.client("apigateway").put_method(
            **self._where(desired, resource), authorizationType=desired["authorizationType"]
        )

    def _put_integration(self, run: Run, desired: Properties, resource: str) -> None:
        integration = desired["integration"]
        run.client("apigateway").put_integration(
            **self._where(desired, resource),
            type=integration["type"],
            integrationHttpMethod=integration["httpMethod"],
            uri=integration["uri"],
        )


def _has_method(there: Mapping[str, Any], route: Recorded) -> bool:
    resource = there.get(route.properties["path"], {})
    return route.properties["httpMethod"] in resource.get("resourceMethods", {})


def _empty_without(there: Mapping[str, Any], route: Recorded) -> list[str]:
    """The route's path and those above it, the longest first, as far as nothing is left in them without the route.

    A path that is deleted takes those below it along: one with another method or a path below it has to stay.
    """
    own, method = route.properties["path"], route.properties["httpMethod"]
    left, found = dict(there), []
    path = own
    while path:
        methods = set(left.get(path, {}).get("resourceMethods", {})) - ({method} if path == own else set())
        if methods or any(each.startswith(f"{path}/") for each in left):
            break
        if left.pop(path, None):
            found.append(path)
        path = path.rpartition("/")[0]
    return found


def known_paths(run: Run, api: str) -> dict[str, dict[str, Any]]:
    """The paths of the API with their methods and integrations, asked for once per command."""
    return run.once("paths of the API", lambda: paths(run, api))


def paths(run: Run, api: str) -> dict[str, dict[str, Any]]:
    """The paths of the API with their methods and integrations, as they are now."""
    pages = (
        run.client("apigateway")
        .get_paginator("get_resources")
        .paginate(restApiId=api, embed=["methods"], PaginationConfig={"PageSize": 500})
    )
    return {each["path"]: each for page in pages for each in page["items"]}


def _its_stages(run: Run, stage: Stage) -> dict[str, dict[str, Any]]:
    api = run.look(stage.api)
    return known_stages(run, api["RestApiId"]) if api else {}


def _its_deployments(run: Run, stage: Stage) -> dict[str, str]:
    api = run.look(stage.api)
    return run.once(_DEPLOYMENTS, lambda: _deployments(run, api["RestApiId"])) if api else {}


def its_log_group(run: Run, stage: Stage) -> dict[str, Any] | None:
    """What CloudWatch Logs tells of the group that API Gateway writes to, where it logs anything."""
    api = run.look(stage.api) if stage.logs else None
    return describe_log_group(run, execution_logs(api["RestApiId"]) + stage.name) if api else None


@dataclass(frozen=True, eq=False)
class Stage(Resource):
    """Serves a deployment of the API. Rate in requests/s; `logging` is INFO, ERROR or OFF, `log_retention` in days.

    The log group that API Gateway writes to is part of it, since its name follows from the API's id: where it is not
    there API Gateway makes one itself, which keeps everything for ever. Who called what is written to `access_log`.

    A deployment is a snapshot: what changes in the routes is only served by a new one. The hash of the routes'
    definition, kept in the deployment's description, tells whether one is due.
    """

    kind: ClassVar[str] = "stage"
    arn_form: ClassVar[str] = r"apigateway:/restapis/(?P<RestApiId>[^/]+)/stages/(?P<name>[^/]+)"
    holds: ClassVar[str] = URL
    assigned: ClassVar[tuple[str, ...]] = ("DeploymentId", "createdDate")
    identity: ClassVar[tuple[str, ...]] = ("RestApiId", "createdDate")
    questions: ClassVar = (_its_stages, _its_deployments, its_log_group)
    inside: ClassVar[str] = "api"
    finishes: ClassVar[bool] = True

    api: RestApi
    routes: Sequence[Route]
    account: Account | None
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
        """Whether API Gateway logs anything of the requests."""
        return self.logging != "OFF"

    def desired(self, run: Run) -> Properties:
        return {
            "RestApiId": run.assigned(self.api, "RestApiId"),
            "Deployment": self._definition_hash(run),
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
        wanted: Properties = {"retentionInDays": self.log_retention}
        if self.kms_key:
            return wanted | {"kmsKeyId": self.kms_key}
        encrypted = run.recorded(self).get("executionLogGroup", {}).get("kmsKeyId")
        return wanted | ({"kmsKeyId": ""} if encrypted else {})

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
        settings = found.get("methodSettings", {}).get("*/*", {})
        ours = run.answer(self, _its_deployments)
        return {
            **found,
            **self._log_group_found(run),
            # API Gateway tells it with the stage: WAF need not be asked.
            **optional_found(run, self, "webAclArn", found.get("webAclArn") or ""),
            "RestApiId": parent["RestApiId"],
            # One that somebody made by hand is not among ours, and is no definition of ours.
            "Deployment": ours.get(found["deploymentId"], ""),
            "OutdatedDeployments": _outdated(there, ours, self._definition_hash(run)),
            "tracingEnabled": found.get("tracingEnabled", False),
            "methodSettings": {
                "throttlingRateLimit": settings.get("throttlingRateLimit"),
                "throttlingBurstLimit": settings.get("throttlingBurstLimit"),
                "metricsEnabled": settings.get("metricsEnabled", False),
                "loggingLevel": settings.get("loggingLevel", "OFF"),
            },
            "accessLogSettings": found.get("accessLogSettings") or {},
            "Tags": found.get("tags", {}),
            "DeploymentId": found["deploymentId"],
            "createdDate": _created(found),
        }

    def _log_group_found(self, run: Run) -> Properties:
        found = run.answer(self, its_log_group)
        if found is None:
            return {}
        # Only what is declared: the retention where there is one, and the key where it is iotpipe's to set.
        known = run.recorded(self).get("executionLogGroup", {})
        live = {key: "" for key in ("kmsKeyId",) if key in known} | found
        return {"executionLogGroup": {key: live[key] for key in self._log_group(run) if key in live}}

    def create(self, run: Run, desired: Properties) -> Properties:
        api = run.client("apigateway")
        # Before the first request can be logged.
        self._keep_log_group(run, desired, {})
        with run.exclusive(self.api.address):
            deployment = _deployment(run, desired)
            made = api.create_stage(
                restApiId=desired["RestApiId"],
                stageName=self.name,
                deploymentId=deployment,
                tracingEnabled=desired["tracingEnabled"],
                tags=desired["Tags"],
            )
            access_log = _access_log(desired.get("accessLogSettings", {}))
            self._patch(run, desired, [*_settings(desired["methodSettings"]), *access_log])
        if desired.get("webAclArn"):
            self._protect(run, desired)
        return {"DeploymentId": deployment, "createdDate": _created(made)}

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        changes, before, after = [], observed["methodSettings"], desired["methodSettings"]
        changes += _settings({key: value for key, value in after.items() if value != before[key]})
        if desired["tracingEnabled"] != observed["tracingEnabled"]:
            changes.append(_replace("/tracingEnabled", _text(desired["tracingEnabled"])))
        access_log = desired.get("accessLogSettings")
        if access_log is not None and access_log != observed["accessLogSettings"]:
            changes += _access_log(access_log) or [{"op": "remove", "path": "/accessLogSettings"}]
        self._keep_log_group(run, desired, observed)
        deployment: str = observed["DeploymentId"]
        moves_on = desired["Deployment"] != observed["Deployment"]
        with run.exclusive(self.api.address):
            if moves_on:
                deployment = _deployment(run, desired)
                changes.append(_replace("/deploymentId", deployment))
            if changes:
                self._patch(run, desired, changes)
            # Only now: API Gateway deletes no deployment that a stage serves.
            if moves_on or observed["OutdatedDeployments"]:
                _delete_outdated(run, desired["RestApiId"], desired["Deployment"])
            _retag(run, self._arn(run, desired), desired, observed)
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
            if code_and_message(error)[0] != _BUSY or _get(run, identifier):
                raise
        # The API stays, or nobody would take its stage away alone: what only this stage served would stay with it.
        with contextlib.suppress(api.exceptions.NotFoundException):
            _delete_outdated(run, identifier, "")

    @classmethod
    def finish(cls, run: Run, recorded: Recorded) -> None:
        delete_log_group(run, execution_logs(recorded.properties["RestApiId"]) + recorded.name)

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        found = _get_stage(run, recorded)
        if found:
            return dict(found.get("tags", {}))
        # A stage leaves deployments and logs behind, which belong to whom the API belongs.
        api = _get(run, recorded.properties["RestApiId"])
        return None if api is None or _is_ours(run, api) else dict(api.get("tags", {}))

    @classmethod
    def identify(cls, run: Run, recorded: Recorded) -> Properties:
        found = _get_stage(run, recorded) or {}
        return {"RestApiId": recorded.properties["RestApiId"], "createdDate": _created(found)}

    @classmethod
    def search(cls, run: Run) -> Iterator[Recorded]:
        # Those of this environment's APIs: another stage than the declared one may have been left there.
        for each in _apis(run):
            if _is_ours(run, each):
                for name, stage in known_stages(run, each["id"]).items():
                    if _is_ours(run, stage):
                        yield Recorded(f"{cls.kind}/{name}", cls.kind, name, {"RestApiId": each["id"]})

    def withdraw(self, run: Run, api: str) -> None:
        """Let no deployment count as that of the declared routes any more: it may hold more than these.

        From then on until `serve_anew` has succeeded a plan shows that a deployment is due.
        """
        wanted = self._definition_hash(run)
        for deployment, definition in _deployments(run, api).items():
            if definition == wanted:
                operations = [_replace("/description", f"{_DEPLOYMENT}withdrawn")]
                run.client("apigateway").update_deployment(
                    restApiId=api, deploymentId=deployment, patchOperations=operations
                )

    def serve_anew(self, run: Run, api: str) -> None:
        """Serve a new deployment of the routes.

        Where a route is not as declared, the stage is left as it is: `up` first corrects the route.
        """
        there = paths(run, api)
        declared = all(each.found_in(there.get(each.path, {})) == each.definition(run) for each in self.routes)
        if declared and self.name in stages(run, api):
            desired = {"RestApiId": api, "Deployment": self._definition_hash(run)}
            description = _DEPLOYMENT + desired["Deployment"]
            made = run.client("apigateway").create_deployment(restApiId=api, description=description)["id"]
            self._patch(run, desired, [_replace("/deploymentId", made)])
            self.delete_outdated(run, api)

    def delete_outdated(self, run: Run, api: str) -> None:
        """Delete iotpipe's deployments of other definitions that no stage serves any more."""
        _delete_outdated(run, api, self._definition_hash(run))

    def _definition_hash(self, run: Run) -> str:
        definition = [route.definition(run) for route in self.routes]
        return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:16]

    def _arn(self, run: Run, desired: Properties) -> str:
        return f"{_api_arn(run, desired['RestApiId'])}/stages/{self.name}"

    def _protect(self, run: Run, desired: Properties) -> None:
        """Put the stage behind the web ACL, in place of any other, or take it from behind one."""
        waf, stage = run.client("wafv2"), self._arn(run, desired)
        if desired["webAclArn"]:
            waf.associate_web_acl(WebACLArn=desired["webAclArn"], ResourceArn=stage)
        else:
            waf.disassociate_web_acl(ResourceArn=stage)

    def _keep_log_group(self, run: Run, desired: Properties, observed: Properties) -> None:
        wanted, live = (each.get("executionLogGroup") for each in (desired, observed))
        name = execution_logs(desired["RestApiId"]) + self.name
        if not wanted:
            return
        if live is None:
            make_log_group(run, name)
            live = {}
        if wanted["retentionInDays"] != live.get("retentionInDays"):
            run.client("logs").put_retention_policy(logGroupName=name, retentionInDays=wanted["retentionInDays"])
        if wanted.get("kmsKeyId", "") != live.get("kmsKeyId", ""):
            encrypt_log_group(run, name, wanted.get("kmsKeyId", ""))

    def _patch(self, run: Run, desired: Properties, operations: list[dict[str, str]]) -> None:
        run.client("apigateway").update_stage(
            restApiId=desired["RestApiId"], stageName=self.name, patchOperations=operations
        )


_DEPLOYMENT = "iotpipe "
_DEPLOYMENTS = "deployments of the API"

_FIELDS = {
    "requestId": "requestId",
    "ip": "identity.sourceIp",
    "caller": "identity.caller",
    "user": "identity.user",
    "requestTime": "requestTime",
    "httpMethod": "httpMethod",
    "resourcePath": "resourcePath",
    "status": "status",
    "protocol": "protocol",
    "responseLength": "responseLength",
}
ACCESS_LOG = json.dumps({name: f"$context.{variable}" for name, variable in _FIELDS.items()})
"""What is logged of each request, as one line of JSON. API Gateway demands the request's id."""

_PATHS = {
    "throttlingRateLimit": "throttling/rateLimit",
    "throttlingBurstLimit": "throttling/burstLimit",
    "metricsEnabled": "metrics/enabled",
    "loggingLevel": "logging/loglevel",
}


def _settings(settings: Properties) -> list[dict[str, str]]:
    return [_replace(f"/*/*/{_PATHS[key]}", _text(value)) for key, value in settings.items()]


def _access_log(settings: Properties) -> list[dict[str, str]]:
    return [_replace(f"/accessLogSettings/{key}", value) for key, value in settings.items()]


def _replace(path: str, value: str) -> dict[str, str]:
    return {"op": "replace", "path": path, "value": value}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _deployment(run: Run, desired: Properties) -> str:
    """The id of the deployment of this definition, made unless it is there."""
    api = desired["RestApiId"]
    ours = run.once(_DEPLOYMENTS, lambda: _deployments(run, api))
    made = next((each for each, served in ours.items() if served == desired["Deployment"]), None)
    if made is None:
        description = _DEPLOYMENT + desired["Deployment"]
        made = run.client("apigateway").create_deployment(restApiId=api, description=description)["id"]
    return str(made)


def _outdated(there: Mapping[str, Any], ours: Mapping[str, str], wanted: str) -> list[str]:
    """Our deployments of other definitions, but for those that a stage serves, be it one that somebody else made."""
    served = {stage["deploymentId"] for stage in there.values()}
    served |= {(stage.get("canarySettings") or {}).get("deploymentId") for stage in there.values()}
    return sorted(each for each, definition in ours.items() if each not in served and definition != wanted)


def _delete_outdated(run: Run, api: str, wanted: str) -> None:
    for each in _outdated(stages(run, api), _deployments(run, api), wanted):
        run.client("apigateway").delete_deployment(restApiId=api, deploymentId=each)


def known_stages(run: Run, api: str) -> dict[str, dict[str, Any]]:
    """The stages of the API by name, asked for once per command."""
    return run.once(f"stages of {api}", lambda: stages(run, api))


def stages(run: Run, api: str) -> dict[str, dict[str, Any]]:
    """The stages of the API by name, as they are now."""
    return {each["stageName"]: each for each in run.client("apigateway").get_stages(restApiId=api).get("item", [])}


def _created(found: Mapping[str, Any]) -> str | None:
    """When the API or stage was made, in UTC: botocore tells times in the time zone of the machine."""
    made: datetime | None = found.get("createdDate")
    return timestamp(made.timestamp()) if made else None


def _get_stage(run: Run, recorded: Recorded) -> dict[str, Any] | None:
    api = run.client("apigateway")
    try:
        found: dict[str, Any] = api.get_stage(restApiId=recorded.properties["RestApiId"], stageName=recorded.name)
    except api.exceptions.NotFoundException:
        return None
    return found


def _deployments(run: Run, api: str) -> dict[str, str]:
    """The ids of the deployments that iotpipe made, and the hash of the definition that each serves."""
    listing = run.client("apigateway").get_paginator("get_deployments")
    pages = listing.paginate(restApiId=api, PaginationConfig={"PageSize": 500})
    found = ((each["id"], each.get("description", "")) for page in pages for each in page["items"])
    return {identifier: text.removeprefix(_DEPLOYMENT) for identifier, text in found if text.startswith(_DEPLOYMENT)}


def execution_logs(api: str) -> str:
    """How the names of the groups begin that API Gateway writes to, one per stage, and leaves behind."""
    return f"API-Gateway-Execution-Logs_{api}/"


def _api_arn(run: Run, identifier: str) -> str:
    return f"arn:{run.aws.partition}:apigateway:{run.aws.region}::/restapis/{identifier}"


def _retag(run: Run, arn: str, desired: Properties, observed: Properties) -> None:
    changed, removed = tag_changes(desired, observed)
    if changed:
        run.client("apigateway").tag_resource(resourceArn=arn, tags=changed)
    if removed:
        run.client("apigateway").untag_resource(resourceArn=arn, tagKeys=removed)


@dataclass(frozen=True, eq=False)
class Account(Resource):
    """The role with which API Gateway writes logs, one per account and region. `name` is the region.

    It is only set where none is, and then belongs to the account: other APIs may log with it. `boundary` is the ARN
    of its permissions boundary, which must allow what logging needs.
    """

    kind: ClassVar[str] = "api-gateway-account"
    assigned: ClassVar[tuple[str, ...]] = ("cloudwatchRoleArn",)
    shared: ClassVar[bool] = True

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

    def obstacle(self, run: Run) -> str:
        tags = run.once(f"role {self.role_name}", lambda: _role_tags(run, self.role_name))
        if tags is None or tags.get(MANAGED_TAG) == "iotpipe":
            return ""
        return (
            f"{self.address} needs the role {self.role_name}, and one of that name exists that iotpipe did not make. "
            "Rename or delete it, or set a role for API Gateway's logs yourself (`aws apigateway update-account`), or "
            "set `api.logging: OFF`"
        )

    def create(self, run: Run, desired: Properties) -> Properties:
        if refusal := self.obstacle(run):
            raise RefusedError(refusal)
        name = self.role_name
        if self.make_role(run) and run.aws.keeps_names_back:
            # Asked before IAM has told of the role, API Gateway refuses; and it may be asked once in 20 s only.
            told = "waiting for IAM to propagate the logging role: {:.0f} s left"
            run.count_down(self.address, run.clock.now() + _PROPAGATES, told)
        arn = run.aws.role_arn(name)
        run.client("apigateway").update_account(patchOperations=[_replace("/cloudwatchRoleArn", arn)])
        return {"cloudwatchRoleArn": arn}

    @property
    def role_name(self) -> str:
        """The role that iotpipe makes where the account has none."""
        return f"iotpipe-api-gateway-logging-{self.name}"

    def make_role(self, run: Run) -> bool:
        """Whether it had to be made."""
        iam, name, made = run.client("iam"), self.role_name, True
        try:
            iam.create_role(
                RoleName=name,
                AssumeRolePolicyDocument=json.dumps(LOGGING_TRUST),
                Tags=[{"Key": MANAGED_TAG, "Value": "iotpipe"}],
                **within(self.boundary),
            )
        except iam.exceptions.EntityAlreadyExistsException:
            # Another environment's `up`, or one that was cut short, has made it.
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
"""Seconds after which the other services mostly know a new role."""


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
