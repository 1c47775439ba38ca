"""Open the API of a deployed environment for `query`, `devices` and `send-test-data`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from iotpipe.cli.options import Settings
from iotpipe.errors import IotpipeError

if TYPE_CHECKING:
    from iotpipe.cli.session import Session
    from iotpipe.readings.api_client import Api
    from iotpipe.readings.deployment import Deployment


def open_deployment(settings: Settings, command: str) -> tuple[Session, Deployment]:
    from iotpipe.cli.session import open_session
    from iotpipe.operations.outputs import outputs
    from iotpipe.readings.deployment import deployment
    from iotpipe.render.progress import progress

    with progress() as tell:
        session = open_session(settings, command, tell)
    recorded = session.rows()
    found = outputs(session.aws.account, session.aws.region, recorded, session.endpoint)
    return session, deployment(session.name, found, recorded)


def api_of(session: Session, place: Deployment, connections: int = 1, *, writes: bool = False) -> Api:
    """The API's client; with `writes`, it gets the API key if the environment requires one."""
    from iotpipe.readings.api_client import Api
    from iotpipe.readings.deployment import api_key

    asks_for_key = writes and session.env is not None and session.env.api.require_api_key
    key = api_key(session.run, place.key_parameter) if asks_for_key else ""
    aws, pause, explain = session.aws, session.run.pause, _explanation(session)
    return Api(place.endpoint, aws.session, aws.region, pause, api_key=key, connections=connections, explain=explain)


def _explanation(session: Session) -> Callable[[str], str]:
    """A function that returns why a path's handler does not start; empty if it starts or its logs cannot be read."""
    from iotpipe.names import recorded_suffix
    from iotpipe.operations.startup_failures import startup_failure

    suffix = recorded_suffix(session.rows().values())
    # The clocks of this machine and of AWS may differ.
    since = int(session.run.clock.now() * 1000) - 10_000

    def explain(path: str) -> str:
        function = "ingestion" if path.startswith("/ingest") else "query"
        try:
            reason = startup_failure(session.run, function, suffix, since)
        except IotpipeError:
            return ""
        return f"the {function} function does not start: {reason}" if reason else ""

    return explain
