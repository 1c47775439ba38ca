"""Removals from an API. They take effect for callers when the stage serves a new deployment."""

from __future__ import annotations

from collections.abc import Callable

from iotpipe.provision.resources.apigateway_calls import replace
from iotpipe.provision.resources.deployments import delete_outdated_deployments, deploy, withdraw_deployments
from iotpipe.provision.resources.rest_api import RestApi
from iotpipe.provision.resources.rest_api_paths import paths
from iotpipe.provision.resources.stage import Stage
from iotpipe.provision.resources.stage_lookup import stages
from iotpipe.provision.run import Run


def then_deploy(run: Run, api: RestApi, identifier: str, act: Callable[[], None]) -> Callable[[], None]:
    """Return a removal that ends with a new deployment, since the served one still contains what is removed.

    It first withdraws the old deployment, so that a plan shows the missing deployment after a failure.
    """

    def remove() -> None:
        stages_of_api = [each for each in run.resources if isinstance(each, Stage) and each.api is api]
        with run.exclusive(api.address):
            for stage in stages_of_api:
                withdraw_deployments(run, identifier, stage.definition_hash(run))
            act()
            for stage in stages_of_api:
                _serve_new_deployment(run, identifier, stage)
        for stage in stages_of_api:
            run.look_again(stage)

    return remove


def _serve_new_deployment(run: Run, api: str, stage: Stage) -> None:
    """Deploy the API, unless a route differs from its declaration: then `up` updates the route and deploys."""
    live_paths = paths(run, api)
    declared = all(each.found_in(live_paths.get(each.path, {})) == each.definition(run) for each in stage.routes)
    if declared and stage.name in stages(run, api):
        definition = stage.definition_hash(run)
        stage.patch(run, api, [replace("/deploymentId", deploy(run, api, definition))])
        delete_outdated_deployments(run, api, definition)
