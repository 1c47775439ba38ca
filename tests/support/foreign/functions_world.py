"""A pipeline that is up, what somebody changes of it by hand, and what the checks then find and remove."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data

from iotpipe.provision import ledger
from iotpipe.provision import plan as planning
from iotpipe.provision.foreign import Foreign
from iotpipe.provision.resource import Resource, everything
from iotpipe.provision.run import Run
from tests.support.engine_world import declared
from tests.support.manual_edits import REGION, client
from tests.support.resource_contract import QuickWorld


@dataclass(frozen=True)
class ByHand:
    """A change by hand, and the one finding that it is: its risk and a part of its text."""

    what: str
    act: Callable[[], Any]
    address: str
    risk: str
    found: str


KINDS = ("role", "function", "permission", "layer", "event-source-mapping", "rest-api", "route", "stage")


class Pipeline(QuickWorld):
    """These kinds of the shipped pipeline on moto, whose answers get all that AWS itself puts into them."""

    resources: Sequence[Resource] = ()
    tags: dict[str, str]

    @classmethod
    def brought_up(cls, directory: Path, config_dir: Path) -> Pipeline:
        BackendDict.reset()
        reset_model_data()
        made = cls(directory)
        every, made.tags = declared(config_dir)
        made.resources = everything(*(each for each in every if each.kind in KINDS))
        made.up(made.resources, tags=made.tags)
        made.after = as_on_aws
        return made

    def looked_at(self) -> tuple[planning.Plan, list[Foreign], Run]:
        """What `plan` reads and what the checks find, as in one command."""
        run = self.run("plan", self.tags)
        plan = self.planned(run)
        return plan, list(plan.foreign), run

    def planned(self, run: Run) -> planning.Plan:
        contents = ledger.read(self.path)
        return planning.plan(self.resources, run, contents.rows if contents else {}, foreign=True)


def as_on_aws(operation: str, answered: dict[str, Any]) -> None:
    """What AWS says of what is as it was made, and moto leaves out."""
    if operation == "GetFunction":
        configuration = answered["Configuration"]
        group = f"/aws/lambda/{configuration['FunctionName']}"
        configuration.setdefault("LoggingConfig", {"LogFormat": "Text", "LogGroup": group})
        configuration["RuntimeVersionConfig"] = {"RuntimeVersionArn": f"arn:aws:lambda:{REGION}::runtime:0"}
        empty = {"SubnetIds": [], "SecurityGroupIds": [], "VpcId": "", "Ipv6AllowedForDualStack": False}
        configuration["VpcConfig"] = configuration.get("VpcConfig") or empty
    elif operation == "ListEventSourceMappings":
        for each in answered["EventSourceMappings"]:
            each.setdefault("StateTransitionReason", "USER_INITIATED")
            if each.get("KMSKeyArn"):
                each.pop("FilterCriteria", None)
    elif operation == "GetRestApis":
        for each in answered["items"]:
            each["endpointConfiguration"] = {"ipAddressType": "ipv4"} | each["endpointConfiguration"]
            if each.get("policy"):
                each["policy"] = each["policy"].replace('"', '\\"')
    elif operation == "GetResources" and "items" in answered:
        for each in answered["items"]:
            for method in (each.get("resourceMethods") or {}).values():
                _as_a_fresh_integration(method.get("methodIntegration") or {}, each["id"])
    elif operation == "GetGatewayResponses":
        own = {each["responseType"] for each in answered["items"]}
        usual = {"UNAUTHORIZED": "401", "THROTTLED": "429", "DEFAULT_4XX": ""}
        answered["items"] += [
            {"responseType": kind, "defaultResponse": True} | ({"statusCode": code} if code else {})
            for kind, code in usual.items()
            if kind not in own
        ]
    elif operation == "GetStages":
        for each in answered["item"]:
            each.setdefault("cacheClusterStatus", "NOT_AVAILABLE")


def _as_a_fresh_integration(integration: dict[str, Any], resource: str) -> None:
    usual = {"timeoutInMillis": 29000, "cacheNamespace": resource, "responseTransferMode": "BUFFERED"}
    integration |= {key: value for key, value in usual.items() if integration.get(key) is None}
    for key in [key for key, value in integration.items() if value is None]:
        del integration[key]


def api_id() -> str:
    [found] = client("apigateway").get_rest_apis()["items"]
    identifier: str = found["id"]
    return identifier


def at(operation: str, act: Callable[[], Any]) -> Callable[[str, Any], None]:
    """For `World.before`: does this ahead of the call."""

    def before(called: str, parameters: Any) -> None:
        if called == operation:
            act()

    return before
