"""Many devices at once: all are enrolled and removed, whatever fails and whoever dies, at the rates that AWS allows."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from iotpipe.devices import device_names, endpoint, enrol_many, inventory, many
from iotpipe.devices.enrol_many import enrol_all
from iotpipe.devices.rates import RATES, Rates
from iotpipe.devices.remove_many import remove_all
from iotpipe.devices.table import Row
from iotpipe.errors import CredentialsError, IotpipeError
from tests.devices.test_enrolment import CALLS
from tests.devices.test_removal import REMOVING
from tests.support.devices_world import (
    NAMES,
    DevicesWorld,
    account,
    assert_complete,
    one_call_at_a_time,
    whole,
)
from tests.support.engine_world import READS, FakeClock, refusal
from tests.support.resource_contract import Killed

KILLED_BEFORE, KILLED_AFTER, LOST, THROTTLED, FAILED, DENIED = (
    *("killed before", "killed after", "answer lost", "throttled", "failed", "denied"),
)
FAULTS = (KILLED_BEFORE, KILLED_AFTER, LOST, THROTTLED, FAILED, DENIED)
_ROUNDS_WITH_KILLS = 3
WHAT_AWS_SAYS = {
    THROTTLED: ("ThrottlingException", "Rate exceeded"),
    FAILED: ("InternalFailureException", "An unexpected error has occurred."),
    DENIED: ("AccessDeniedException", "no"),
}


class Chaos:
    """Each device meets one fault, at one of its calls: all combinations come in turn. After some rounds nobody is
    killed any more, since the command begins anew after each.

    A call belongs to the device whose thread makes it. A killed command does nothing more, in any thread.
    """

    def __init__(self, device_ids: list[str], calls: list[str]) -> None:
        every = list(itertools.product(calls, FAULTS))
        harmless = [(call, fault) for call, fault in every if fault not in (KILLED_BEFORE, KILLED_AFTER)]
        combinations = itertools.chain(every * _ROUNDS_WITH_KILLS, itertools.cycle(harmless))
        self.planned = dict(zip(device_ids, combinations, strict=False))
        self.met: Counter[str] = Counter()
        self.dead = False
        self.at = threading.local()
        self._lock = threading.Lock()

    def working_on(self, act: Callable[..., Any]) -> Callable[..., Any]:
        """The work on a device, which knows that it is this device's."""

        def known(device: Any) -> Any:
            self.at.device_id = device.device_id
            return act(device)

        return known

    def before(self, operation: str, parameters: Any) -> ClientError | None:
        self._check()
        fault = self._fault(operation, (KILLED_BEFORE, *WHAT_AWS_SAYS))
        if fault == KILLED_BEFORE:
            self._die()
        return refusal(operation, *WHAT_AWS_SAYS[fault]) if fault else None

    def after(self, operation: str, answer: Any) -> None:
        self._check()
        fault = self._fault(operation, (KILLED_AFTER, LOST))
        if fault == KILLED_AFTER:
            self._die()
        if fault == LOST:
            raise ConnectionClosedError(endpoint_url="https://aws.example")

    def _fault(self, operation: str, of: tuple[str, ...]) -> str:
        """The fault that the device meets now, if it is one of these; each comes once."""
        device_id = getattr(self.at, "device_id", "")
        with self._lock:
            call, fault = self.planned.get(device_id, ("", ""))
            if operation.startswith(READS) or call != operation or fault not in of:
                return ""
            del self.planned[device_id]
            self.met[fault] += 1
            return fault

    def _die(self) -> None:
        self.dead = True
        self._check()

    def _check(self) -> None:
        if self.dead:
            raise Killed


class RealTime(FakeClock):
    """The time of moto, which issues the certificates; nobody waits in it."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float, stop: threading.Event) -> None:
        return


@contextmanager
def chaos(world: DevicesWorld, device_ids: list[str], calls: list[str]) -> Iterator[Chaos]:
    found, work = Chaos(device_ids, calls), many.work
    world.before, world.after, world.clock = found.before, found.after, RealTime()

    def working(run: Any, devices: Any, act: Callable[..., Any], tell: Any) -> Any:
        return work(run, devices, found.working_on(act), tell)

    with patch.object(many, "work", working), one_call_at_a_time():
        yield found
    world.before = world.after = None


def until_it_ends(chaos: Chaos, act: Callable[[], Any]) -> int:
    """Type the command again until everything is done; answers how often it was killed."""
    kills = 0
    for _ in range(100_000):
        chaos.dead = False
        try:
            worked = act()
        except Killed:
            kills += 1
            continue
        if not worked.failed:
            return kills
    raise AssertionError("it never ends")


def rows(device_ids: list[str]) -> list[Row]:
    return [Row(each, None) for each in device_names.checked(NAMES, device_ids)]


def enrolled(world: DevicesWorld, device_ids: list[str], tell: Any = lambda *_: None) -> Any:
    registry = world.registry
    return enrol_all(registry, rows(device_ids), world.out, endpoint.endpoint(registry), tell)


@pytest.mark.matrix
def test_whatever_fails_every_device_is_enrolled_once_and_nothing_is_left(
    world: DevicesWorld, request: pytest.FixtureRequest
) -> None:
    count = 1000 if request.config.getoption("--whole") else len(CALLS) * len(FAULTS)
    ids = [f"d{number:04}" for number in range(count)]
    with chaos(world, ids, CALLS) as troubles:
        kills = until_it_ends(troubles, lambda: enrolled(world, ids))
    assert {*troubles.met} == {*FAULTS}
    assert kills > len(CALLS)
    assert account() == whole(*ids)
    for each in ids:
        assert_complete(world, each)
    assert {each.result for each in enrolled(world, ids).done.values()} == {"already enrolled"}


@pytest.mark.matrix
def test_whatever_fails_nothing_is_left_of_removed_devices(world: DevicesWorld, request: pytest.FixtureRequest) -> None:
    # The device is not connected: what DeleteConnection answers is an error.
    calls = [each for each in REMOVING if each != "DeleteConnection"]
    count = 1000 if request.config.getoption("--whole") else len(calls) * len(FAULTS)
    ids = [f"d{number:04}" for number in range(count)]
    with one_call_at_a_time():
        enrolled(world, ids)

    def remove() -> Any:
        registry = world.registry
        return remove_all(registry, inventory.things(registry))

    with chaos(world, ids, calls) as troubles:
        until_it_ends(troubles, remove)
    assert {*troubles.met} == {*FAULTS}
    assert account() == whole()


def test_a_second_run_costs_one_list_and_reads_nothing_else(world: DevicesWorld) -> None:
    ids = [f"d{number:02}" for number in range(30)]
    with one_call_at_a_time():
        enrolled(world, ids[:20])
        enrolled(world, ids)
        world.calls.clear()
        again = enrolled(world, ids)
    assert {each.result for each in again.done.values()} == {"already enrolled"}
    assert world.calls == ["DescribeEndpoint", "ListThings"]


def test_only_what_was_interrupted_is_looked_for(world: DevicesWorld) -> None:
    ids = [f"d{number:02}" for number in range(30)]
    with one_call_at_a_time():
        enrolled(world, ids[:29])
        with world.dying("AttachThingPrincipal", "before"):
            world.enrol(ids[29])
        enrolled(world, ids)
    assert Counter(world.calls)["DescribeCertificate"] == 1
    assert account() == whole(*ids)


def test_progress_counts_every_device(world: DevicesWorld) -> None:
    told: list[tuple[int, int]] = []
    with one_call_at_a_time():
        enrolled(world, ["a", "b", "c"], lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_stopped_command_finishes_what_it_began_and_leaves_the_others(world: DevicesWorld) -> None:
    ids = [f"d{number:02}" for number in range(40)]
    registry = world.registry

    def stop(done: int, total: int) -> None:
        registry.run.stop.set()

    with one_call_at_a_time():
        worked = enrol_all(registry, rows(ids), world.out, endpoint.endpoint(registry), stop)
    assert worked.stopped and worked.left and not worked.failed
    assert account() == whole(*worked.done)
    assert sorted([*worked.done, *worked.left]) == ids


def test_expired_credentials_end_everything(world: DevicesWorld) -> None:
    world.before = lambda operation, parameters: (
        refusal(operation, "ExpiredTokenException", "expired") if operation == "AttachPolicy" else None
    )
    with one_call_at_a_time(), pytest.raises(CredentialsError, match="the AWS credentials are expired"):
        enrolled(world, ["a", "b", "c"])
    world.before = None
    with one_call_at_a_time():
        enrolled(world, ["a", "b", "c"])
    assert account() == whole("a", "b", "c")


def test_a_device_that_fails_does_not_stop_the_others(world: DevicesWorld) -> None:
    (world.out / "b").mkdir(parents=True)
    (world.out / "b" / "private.key").write_text("no key")
    with one_call_at_a_time():
        worked = enrolled(world, ["a", "b", "c"])
    assert {*worked.done} == {"a", "c"}
    assert isinstance(worked.failed["b"], IotpipeError)
    assert "is no private key that can be used" in worked.failed["b"].message


def test_the_folder_of_all_devices_is_kept_out_of_git(world: DevicesWorld, tmp_path: Path) -> None:
    world.directory.joinpath("mine").mkdir()
    enrol_many._make(world.directory / "mine")
    assert not list(world.directory.joinpath("mine").iterdir()), "the user's own folder stays as it is"
    enrol_many._make(world.out)
    assert (world.out / ".gitignore").read_text() == "*\n"


# AWS's rates


def calls_per_second(operation: str, number: int, limited: bool = True) -> float:
    clock = FakeClock()
    rates, begin = Rates(clock, limited), clock.now()
    for _ in range(number):
        rates.wait(operation)
    return (number - 1) / (clock.now() - begin) if clock.now() > begin else float("inf")


@pytest.mark.parametrize(
    ("operation", "rate"), [*RATES.items(), ("update_certificate", 10), ("delete_certificate", 10), ("list_things", 10)]
)
def test_an_operation_is_called_as_often_as_aws_allows(operation: str, rate: int) -> None:
    assert calls_per_second(operation, 200) == pytest.approx(rate, rel=0.01)


def test_operations_do_not_wait_for_each_other() -> None:
    clock = FakeClock()
    rates, begin = Rates(clock, limited=True), clock.now()
    for operation in ("create_thing", "attach_policy", "update_certificate"):
        rates.wait(operation)
    assert clock.now() == begin


def test_an_emulator_is_not_spared() -> None:
    assert calls_per_second("attach_policy", 1000, limited=False) == float("inf")
