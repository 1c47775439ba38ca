"""API Gateway REST APIs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from iotpipe.errors import ResourceError
from iotpipe.provision.adoption import adopt_option
from iotpipe.provision.call_errors import code_and_message
from iotpipe.provision.resource import URL, Properties, Recorded, Resource
from iotpipe.provision.resources.apigateway_calls import BUSY, api_arn, created_at, replace, retag
from iotpipe.provision.resources.apigateway_rights import APIS, GATEWAY, IN_APIS, READ_APIS
from iotpipe.provision.resources.deployments import DEPLOYMENTS
from iotpipe.provision.resources.execution_logs import execution_logs
from iotpipe.provision.resources.log_group import FIND_LOG_GROUPS, delete_log_group, log_groups
from iotpipe.provision.resources.rest_api_lookup import (
    apis,
    apis_without_owner,
    belongs_to_environment,
    find_api,
    get_api,
    recorded_api,
)
from iotpipe.provision.rights import TAGGED, TAGGED_BY_REQUEST, Right, regional_arn
from iotpipe.provision.run import Run

# AWS asks for PUT here also when an API or a stage is created with tags. It knows no tags of what is tagged here: who
# may tag any API could make it one of this environment's. Therefore the API's id is named as soon as it is known.
_API_TAGS = f"{GATEWAY}/tags/arn%3A{{partition}}%3Aapigateway%3A{{region}}%3A%3A%2Frestapis%2F{{api}}"
_TAGS_ARN = (_API_TAGS, f"{_API_TAGS}%2Fstages%2F*")
_ARN = (f"{GATEWAY}/restapis/{{api}}", f"{GATEWAY}/restapis/{{api}}/*")


@dataclass(frozen=True, eq=False)
class RestApi(Resource):
    """A regional REST API. API names are not unique and can change: the recorded id and the tags identify it.

    Where neither does, a single API of that name without the tags of any environment counts as it: a second API would
    have another URL than the one that devices call. An API of another environment is ignored.
    """

    kind: ClassVar[str] = "rest-api"
    aws_service: ClassVar[str] = "apigateway"
    assigned: ClassVar[tuple[str, ...]] = ("RestApiId", "RootResourceId")
    identity: ClassVar[tuple[str, ...]] = ("RestApiId", "Name")
    arn_form: ClassVar[str] = r"apigateway:/restapis/(?P<name>(?P<RestApiId>[^/]+))"
    holds: ClassVar[str] = URL
    needs_final_cleanup: ClassVar[bool] = True
    leaves_residue: ClassVar[bool] = True
    chosen_by: ClassVar[str] = "RestApiId"
    rights: ClassVar[tuple[Right, ...]] = (
        READ_APIS,
        Right("MakeApis", "apigateway", (APIS,), up="POST", when=TAGGED_BY_REQUEST),
        Right("Apis", "apigateway", (IN_APIS,), up="PATCH", down="DELETE", when=TAGGED),
        # AWS asks for it besides PATCH where the resource policy is taken off.
        Right("ApiPolicy", "apigateway", (IN_APIS,), up="UpdateRestApiPolicy", when=TAGGED),
        Right("ApiTags", "apigateway", _TAGS_ARN, up="PUT DELETE"),
        # As these AWS has refused the tags of a stage's, where a policy names its resources:
        # https://github.com/mattclay/aws-terminator/pull/284
        Right("ApiTagging", "apigateway", _ARN, up="TagResource UntagResource"),
        # API Gateway creates these groups itself: their names contain the API's id, and they have no tags.
        FIND_LOG_GROUPS,
        Right(
            "ApiLogGroups",
            "logs",
            (regional_arn("logs", "log-group:API-Gateway-Execution-Logs_{api}/*"),),
            down="DeleteLogGroup",
        ),
    )

    description: str

    def arn(self, run: Run) -> str:
        return api_arn(run, run.assigned(self, "RestApiId"))

    def desired(self, run: Run) -> Properties:
        return {
            "Name": self.name,
            "Description": self.description,
            "EndpointConfiguration": {"types": ["REGIONAL"]},
            "Tags": run.all_tags,
        }

    def read(self, run: Run) -> Properties | None:
        found = find_api(run, self.name, run.recorded(self).get("RestApiId"))
        if found is None:
            strangers = apis_without_owner(run, self.name)
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
        run.once(DEPLOYMENTS, dict)  # a new API has none: no call is needed
        run.new_apis.add(self.address)
        self._wait_until_available(run, made)
        return {"RestApiId": made["id"], "RootResourceId": made["rootResourceId"]}

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        api = run.client("apigateway")
        # First of all: rights on an API that has lost its tags, or is adopted, may depend on them.
        if not belongs_to_environment(run, {"tags": observed["Tags"]}):
            run.new_apis.add(self.address)
        retag(run, api_arn(run, observed["RestApiId"]), desired, observed)
        named = (("/name", "Name"), ("/description", "Description"))
        changes = [replace(path, desired[key]) for path, key in named if desired[key] != observed[key]]
        before, after = (each["EndpointConfiguration"]["types"][0] for each in (observed, desired))
        if before != after:
            changes.append(replace(f"/endpointConfiguration/types/{before}", after))
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
                status = (get_api(run, identifier) or {}).get("apiStatus")
            if status == "FAILED":
                raise ResourceError(f"cannot update {self.address}: API Gateway reports FAILED", address=self.address)
            return status not in _CHANGING

        run.until(self.address, "waiting until API Gateway has applied the change", available)

    def namesakes(self, run: Run) -> list[str]:
        return [f"{each['id']} (made {created_at(each)})" for each in apis_without_owner(run, self.name)]

    def creation_obstacle(self, run: Run) -> str:
        found = self.namesakes(run)
        if len(found) < 2:
            return ""
        return (
            f"{self.address} may be each of {len(found)} APIs of that name without any environment's tags: "
            f"{', '.join(found)}. Choose one with `iotpipe up {adopt_option(self.address)}=ID`, "
            "or choose another `suffix`"
        )

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        api = run.client("apigateway")
        identifier = recorded.properties.get("RestApiId")
        if identifier is None:
            # The command died during the creation: only an API with the environment's tags can be it.
            found = find_api(run, recorded.name)
            identifier = found["id"] if found else None
        if identifier is None:
            return
        try:
            api.delete_rest_api(restApiId=identifier)
        except api.exceptions.NotFoundException:
            return
        except ClientError as error:
            # Where IAM only allows the deletion of tagged APIs, AWS denies that of one that is gone, which has no tags.
            # It may also answer that another change of such an API is in progress.
            if code_and_message(error)[0] not in ("AccessDeniedException", BUSY) or get_api(run, identifier):
                raise

    @classmethod
    def final_cleanup(cls, run: Run, recorded: Recorded) -> None:
        # The ledger need not know all its stages: one of the same name in another API may have taken a row over.
        if "RestApiId" in recorded.properties:
            for each in log_groups(run, execution_logs(recorded.properties["RestApiId"])):
                delete_log_group(run, each)

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        found = recorded_api(run, recorded)
        return found.get("tags", {}) if found else None

    @classmethod
    def identify(cls, run: Run, recorded: Recorded) -> Properties:
        found = recorded_api(run, recorded) or {}
        return {"RestApiId": found.get("id"), "Name": found.get("name")}

    @classmethod
    def search(cls, run: Run) -> Iterator[Recorded]:
        # The tagging service lags behind: it may not list an API that another machine has just created.
        for each in apis(run):
            if belongs_to_environment(run, each):
                yield Recorded(f"{cls.kind}/{each['id']}", cls.kind, each["id"], {"RestApiId": each["id"]})


_CHANGING = ("UPDATING", "PENDING")
