"""What both ways of `iotpipe send-test-data` have in common, and the way over MQTT."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from iotpipe.cli.device_registry import endpoint_of, registry_of
from iotpipe.errors import UsageError
from iotpipe.names import Names, recorded_suffix

if TYPE_CHECKING:
    from iotpipe.cli.session import Session
    from iotpipe.provision.run import Run
    from iotpipe.readings.api_client import Api
    from iotpipe.readings.deployment import Deployment
    from iotpipe.readings.send_test_data import Load, Result


@dataclass(frozen=True)
class Sending:
    """One run of the command. `timeout` is that of the verification; None for what the queues need."""

    session: Session
    deployment: Deployment
    api: Api
    connections: int
    rate: float
    timeout: float | None
    verifies: bool
    shows: bool

    @property
    def run(self) -> Run:
        return self.session.run

    def show_sent(self, load: Load, result: Result, *, over_mqtt: bool = False) -> None:
        from iotpipe.render import send_test_data as render

        queue = self.deployment.queue
        render.listed([f"poison did not get into {queue}: {reason}" for reason in result.unqueued])
        if self.shows:
            render.show_sent(result.tally, load.seed, over_mqtt=over_mqtt)

    def verify(self, load: Load, result: Result, told: Callable[[Mapping[str, str]], Mapping[str, str]] = dict) -> None:
        """Verify where everything has ended, if that is wanted and everything was sent."""
        from iotpipe.readings import send_test_data as readings
        from iotpipe.render import send_test_data as render

        if not self.verifies or result.tally.interrupted or result.tally.error:
            return
        result.findings = readings.verify(
            result,
            load,
            self.api,
            self.run,
            self.deployment,
            timeout=self.timeout or readings.default_timeout(load, self.run, self.deployment),
            connections=self.connections,
            wait=1 if self.session.aws.emulator is None else 0,
            progress=render.progress,
            told=told,
        )

    def show_verified(self, result: Result) -> None:
        from iotpipe.render import send_test_data as render

        if result.findings and self.shows:
            render.show_verified(result.findings, result.tally)


def check_options(selection: Mapping[str, Any], connections: int | None) -> None:
    """Raise UsageError for options that make no sense over MQTT."""
    from iotpipe.readings.mqtt_test_data import MOST_DEVICES

    if selection["file"] is not None:
        raise UsageError("--file replays over HTTP: over MQTT only temporary devices send", "Leave out --via mqtt")
    if connections is not None:
        raise UsageError("--connections is for HTTP: over MQTT each device has its own connection", "Leave it out")
    if (selection["devices"] or 0) > MOST_DEVICES:
        raise UsageError(f"at most {MOST_DEVICES} devices can send over MQTT at once", "Lower --devices")


def over_mqtt(sending: Sending, load: Load, batch: int) -> Result:
    """Enrol the devices, publish, verify, and remove the devices."""
    from iotpipe.cli.session import stoppable
    from iotpipe.readings import mqtt_test_data as mqtt
    from iotpipe.readings import send_test_data as readings
    from iotpipe.readings.mqtt_send import Publisher, outgoing
    from iotpipe.render import send_test_data as render

    session, run = sending.session, sending.run
    names = Names(recorded_suffix(session.rows().values()))
    registry = registry_of(session, names)
    endpoint = endpoint_of(session, registry)
    load = mqtt.of_test_devices(load)
    device_ids = list(dict.fromkeys(each.device_id for each in load.good))
    folder = session.path.parent / f"test-devices-{session.name}"
    sending.api.check()

    def guard() -> Any:
        return stoppable(session.stop, "the next `send-test-data --via mqtt` removes the test devices")

    with mqtt.connections(registry, device_ids, folder, endpoint, render.progress, guard) as opened:
        unqueued = readings.queue_poison(load, run, sending.deployment)
        with render.progress("publishing") as tell:
            publisher = Publisher(opened, names, run, sending.rate, lambda tally: tell(tally.settled, tally.total))
            with publisher:
                tally = publisher.send(outgoing(load.good, batch, load.rejections))
                result = readings.Result(tally, unqueued)
                sending.show_sent(load, result, over_mqtt=True)
                refused = tally.bad_refused
                letters = replace(load, poisons=[*load.poisons, *mqtt.dead_letters(refused)])
                sending.verify(letters, result, mqtt.as_published)
                if result.findings:
                    mqtt.follow_refusals(publisher, refused, run, result.findings)
    sending.show_verified(result)
    return result
