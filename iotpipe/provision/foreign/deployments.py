"""What is removed from an API is only gone for its callers once the stage serves a new deployment."""

from __future__ import annotations

from collections.abc import Callable

from iotpipe.provision.resources.rest_api import RestApi
from iotpipe.provision.resources.stage import Stage
from iotpipe.provision.run import Run


def then_deploy(run: Run, api: RestApi, identifier: str, act: Callable[[], None]) -> Callable[[], None]:
    """Callers are served a deployment, which keeps what it was made of: only a new one is rid of what was removed.

    The old one is withdrawn first, so that after a failure a plan shows that a new one is due.
    """

    def remove() -> None:
        serving = [each for each in run.resources if isinstance(each, Stage) and each.api is api]
        with run.exclusive(api.address):
            for stage in serving:
                stage.withdraw(run, identifier)
            act()
            for stage in serving:
                stage.serve_anew(run, identifier)
        for stage in serving:
            run.look_again(stage)

    return remove
