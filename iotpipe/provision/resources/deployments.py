"""The deployments of a REST API: snapshots of its routes. A stage serves one of them.

The description of a deployment that iotpipe made holds a hash of the routes' definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iotpipe.provision.resources.apigateway_calls import replace
from iotpipe.provision.resources.stage_lookup import stages
from iotpipe.provision.run import Run

DEPLOYMENTS = "deployments of the API"
"""Under this name `Run.once` keeps them."""

_MARK = "iotpipe "


def known_deployments(run: Run, api: str) -> dict[str, str]:
    """The API's deployments that iotpipe made, listed once per command: the definition's hash by id."""
    return run.once(DEPLOYMENTS, lambda: deployments(run, api))


def deployments(run: Run, api: str) -> dict[str, str]:
    """The API's deployments that iotpipe made, as they are now: the definition's hash by id."""
    listing = run.client("apigateway").get_paginator("get_deployments")
    pages = listing.paginate(restApiId=api, PaginationConfig={"PageSize": 500})
    found = ((each["id"], each.get("description", "")) for page in pages for each in page["items"])
    return {identifier: text.removeprefix(_MARK) for identifier, text in found if text.startswith(_MARK)}


def deployment_for(run: Run, api: str, definition: str) -> str:
    """The id of the deployment of this definition, which is created if there is none."""
    known = known_deployments(run, api)
    return next((each for each, made_of in known.items() if made_of == definition), "") or deploy(run, api, definition)


def deploy(run: Run, api: str, definition: str) -> str:
    """Create a deployment and return its id."""
    made = run.client("apigateway").create_deployment(restApiId=api, description=_MARK + definition)
    return str(made["id"])


def withdraw_deployments(run: Run, api: str, definition: str) -> None:
    """Describe the deployments of this definition otherwise, so that none of them counts as one of it any more."""
    operations = [replace("/description", f"{_MARK}withdrawn")]
    for deployment, made_of in deployments(run, api).items():
        if made_of == definition:
            run.client("apigateway").update_deployment(
                restApiId=api, deploymentId=deployment, patchOperations=operations
            )


def outdated_deployments(live_stages: Mapping[str, Any], known: Mapping[str, str], definition: str) -> list[str]:
    """The deployments that iotpipe made of other definitions and that no stage serves, whoever made the stage."""
    served = {stage["deploymentId"] for stage in live_stages.values()}
    served |= {(stage.get("canarySettings") or {}).get("deploymentId") for stage in live_stages.values()}
    return sorted(each for each, made_of in known.items() if each not in served and made_of != definition)


def delete_outdated_deployments(run: Run, api: str, definition: str) -> None:
    """Delete the deployments that iotpipe made of other definitions and that no stage serves."""
    for each in outdated_deployments(stages(run, api), deployments(run, api), definition):
        run.client("apigateway").delete_deployment(restApiId=api, deploymentId=each)
