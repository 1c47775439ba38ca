"""One method on one path of a REST API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from iotpipe.provision.resource import Properties, Recorded, Resource, by_name
from iotpipe.provision.resources.apigateway_rights import IN_APIS, READ_APIS
from iotpipe.provision.resources.function import Function
from iotpipe.provision.resources.rest_api import RestApi
from iotpipe.provision.resources.rest_api_lookup import get_api
from iotpipe.provision.resources.rest_api_paths import known_paths, paths
from iotpipe.provision.rights import TAGGED, Right
from iotpipe.provision.run import Run


@dataclass(frozen=True, eq=False)
class Route(Resource):
    """One method on one path, signed by the caller (AWS_IAM), passed on whole to a function.

    The paths above it, such as `/devices` of `/devices/latest`, are made with it and deleted with the last route below.
    """

    kind: ClassVar[str] = "route"
    aws_service: ClassVar[str] = "apigateway"
    assigned: ClassVar[tuple[str, ...]] = ("ResourceId",)
    inside: ClassVar[str] = "api"
    rights: ClassVar[tuple[Right, ...]] = (
        READ_APIS,
        Right("Apis", "apigateway", (IN_APIS,), up="POST PUT DELETE", when=TAGGED),
    )

    api: RestApi
    method: str
    path: str
    # API Gateway looks for the function only when the route is called.
    function: Function = by_name()

    def desired(self, run: Run) -> Properties:
        return {"RestApiId": run.assigned(self.api, "RestApiId"), **self.definition(run)}

    def definition(self, run: Run) -> Properties:
        """The part of the route that a deployment contains."""
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
        """The live route at its path, in the shape of `definition`."""
        # A creation that was interrupted leaves a path without its method or integration.
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
        """Put the integration again, and the method too if `whole`, with the declared settings alone."""
        resource = observed["ResourceId"]
        if whole:
            # Callers notice nothing: a stage serves its deployment, not the current API.
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
        return (get_api(run, identifier) or {}).get("tags", {}) if found else None

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
