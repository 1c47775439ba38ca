"""Open an environment to look at it, whether or not it is up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from iotpipe.cli.deployed import not_up, open_deployed
from iotpipe.cli.options import Settings
from iotpipe.names import recorded_suffix

_PATIENCE = 5.0
"""Seconds that a look may take. The page gives up what takes much longer."""

if TYPE_CHECKING:
    from iotpipe.cli.session import Session
    from iotpipe.observer.observer import Observer
    from iotpipe.provision.resource import Resource
    from iotpipe.provision.run import Event, Run


def open_observer(settings: Settings, command: str, tell: Callable[[Event], None] = lambda event: None) -> Observer:
    """The observer of an environment, which connects by itself when somebody looks, and again after a failure.

    A look that takes longer than a few seconds tells what is known, and the next one tells the rest.

    Raises ConfigurationError and UsageError if there is no such environment.
    """
    from iotpipe.cli.session import options_of, undeployed
    from iotpipe.observer.observer import Observer
    from iotpipe.provision.run import Run
    from iotpipe.target import resolve

    target = resolve(options_of(settings))
    env, name = target.env, target.options.name
    assert env is not None
    suffix = (recorded_suffix(target.contents.rows.values()) if target.contents else "") or env.suffix

    def connect() -> Run:
        if target.is_embedded and not target.engine.path.exists():
            raise not_up(name)
        session, _ = open_deployed(settings, command, tell)
        return Run(session.aws, name, command=command, patient=False)

    return Observer(name, connect, undeployed(settings), suffix, local=target.is_local, patience=_PATIENCE)


def observer_of(session: Session, resources: Sequence[Resource], is_up: bool = True) -> Observer:
    """The observer of a session's environment, by the session's own connection."""
    from iotpipe.observer.observer import Observer
    from iotpipe.provision.run import Run

    assert session.env is not None
    suffix = recorded_suffix(session.rows().values()) or session.env.suffix

    def connect() -> Run:
        if not is_up:
            raise not_up(session.name)
        return Run(session.aws, session.name, command=session.run.command, patient=False)

    return Observer(session.name, connect, resources, suffix, local=session.env.target == "local")
