"""Open the registry of an environment's devices for `device`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iotpipe.cli.deployed import not_up, open_deployed
from iotpipe.cli.options import Settings
from iotpipe.errors import Interrupted, IotpipeError, UsageError
from iotpipe.names import Names

if TYPE_CHECKING:
    from iotpipe.cli.session import Session
    from iotpipe.devices.endpoint import Endpoint
    from iotpipe.devices.many import Tell, Worked
    from iotpipe.devices.registry import Registry
    from iotpipe.provision.run import Event


def open_registry(settings: Settings, command: str, tell: Callable[[Event], None]) -> tuple[Session, Registry]:
    """The session and the registry. Raises UsageError if the environment is not up, or up without devices."""
    session, suffix = open_deployed(settings, command, tell)
    return session, registry_of(session, Names(suffix))


def registry_of(session: Session, names: Names) -> Registry:
    """The registry of a session. Raises UsageError if the environment is not up, or up without devices."""
    from iotpipe.devices.registry import Registry

    name, rows = session.name, session.rows()
    if not rows:
        raise not_up(name)
    if f"iot-policy/{names.device_policy}" not in rows:
        enabled = session.env is not None and session.env.devices.enabled
        set_it = "" if enabled else "Set `devices.enabled: true` in its configuration. "
        raise UsageError(f"{name} has nothing for devices over MQTT yet", f"{set_it}Run `iotpipe up --env {name}`")
    return Registry(session.run, names)


def endpoint_of(session: Session, registry: Registry) -> Endpoint:
    """Where the environment's devices connect."""
    from iotpipe.devices.endpoint import endpoint

    return endpoint(registry, _embedded_ca(session))


def _embedded_ca(session: Session) -> Path | None:
    """The CA of the embedded AWS; None on any other AWS."""
    from iotpipe.local import engine_directory

    return engine_directory.at(session.path.parent).mqtt_ca if session.endpoint else None


@contextmanager
def working(session: Session, number: int, what: str) -> Iterator[Tell]:
    """Let Ctrl-C stop the work on the devices between two of them, and show its progress if there are several."""
    from iotpipe.cli.session import stoppable
    from iotpipe.render.enrolment import progress

    with stoppable(session.stop, "the same command continues"):
        if number <= 1:
            yield lambda done, total: None
            return
        # A line for each throttled call would hide the progress.
        session.run.tell = lambda event: None
        with progress(what) as tell:
            yield tell


def ended(worked: Worked[Any]) -> int:
    """The exit code. Raises the error of a single device, and Interrupted if the user stopped it."""
    if worked.stopped:
        done, all_of_them = len(worked.done), len(worked.done) + len(worked.failed) + len(worked.left)
        raise Interrupted(
            f"stopped after {done} of {all_of_them} devices", "Run the same command again: it continues with the others"
        )
    if worked.failed and not worked.done:
        [error, *others] = worked.failed.values()
        if not others:
            raise error
    if worked.failed:
        raise IotpipeError(
            f"{len(worked.failed)} of {len(worked.failed) + len(worked.done)} devices failed",
            "Run the same command again once the cause is gone: it continues with these",
        )
    return 0
