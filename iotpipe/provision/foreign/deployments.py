"""What is removed from an API is only gone for its callers once the stage serves a new deployment."""

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
    """A removal that ends with a new deployment: the one that is served still contains what is removed.

    The old deployment is withdrawn first: after a failure a plan shows that a new one is due.
    """

    def remove() -> None:
        serving = [each for each in run.resources if isinstance(each, Stage) and each.api is api]
        with run.exclusive(api.address):
            for stage in serving:
                withdraw_deployments(run, identifier, stage.definition_hash(run))
            act()
            for stage in serving:
                _serve_new_deployment(run, identifier, stage)
        for stage in serving:
            run.look_again(stage)

    return remove


def _serve_new_deployment(run: Run, api: str, stage: Stage) -> None:
    """Does nothing where a route differs from its declaration: `up` corrects the route first, then deploys."""
    there = paths(run, api)
    declared = all(each.found_in(there.get(each.path, {})) == each.definition(run) for each in stage.routes)
    if declared and stage.name in stages(run, api):
        definition = stage.definition_hash(run)
        stage.patch(run, api, [replace("/deploymentId", deploy(run, api, definition))])
        delete_outdated_deployments(run, api, definition)
