"""Open an environment to look at it, whether or not it is up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from iotpipe.cli.deployed import open_deployed
from iotpipe.cli.options import Settings
from iotpipe.names import recorded_suffix

if TYPE_CHECKING:
    from iotpipe.observer.observer import Observer
    from iotpipe.provision.run import Event, Run


def open_observer(settings: Settings, command: str, tell: Callable[[Event], None] = lambda event: None) -> Observer:
    """The observer of an environment, which connects by itself when somebody looks, and again after a failure.

    Raises ConfigurationError and UsageError if there is no such environment.
    """
    from iotpipe.cli.session import options_of, undeployed
    from iotpipe.observer.observer import Observer
    from iotpipe.provision.run import Run
    from iotpipe.target import resolve

    target = resolve(options_of(settings))
    assert target.env is not None
    recorded = recorded_suffix(target.contents.rows.values()) if target.contents else ""

    def connect() -> Run:
        session, _ = open_deployed(settings, command, tell)
        return Run(session.aws, session.name, command=command, patient=False)

    return Observer(
        target.options.name,
        connect,
        undeployed(settings),
        recorded or target.env.suffix,
        local=target.is_local,
    )
