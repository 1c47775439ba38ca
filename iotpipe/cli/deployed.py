"""Open a deployed environment for `logs`, `dlq`, `query` and `send-test-data`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from iotpipe.cli.options import Settings
from iotpipe.errors import UsageError
from iotpipe.names import recorded_suffix

if TYPE_CHECKING:
    from iotpipe.cli.session import Session
    from iotpipe.provision.run import Event


def open_deployed(settings: Settings, command: str, tell: Callable[[Event], None]) -> tuple[Session, str]:
    """The session, and the suffix of the environment's names: the recorded one, else the configured one."""
    from iotpipe.cli.session import open_session

    session = open_session(settings, command, tell, declared=False)
    suffix = recorded_suffix(session.rows().values()) or (session.env and session.env.suffix)
    if not suffix:
        raise not_up(session.name)
    return session, suffix


def not_up(name: str) -> UsageError:
    return UsageError(f"{name} is not up", f"Run `iotpipe up --env {name}` first")
