"""An environment whose devices are enrolled in this process, against moto, and killed at will."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT_ID
from moto.iot.responses import IoTResponse
from moto.iotdata.models import iotdata_backends

from iotpipe import files
from iotpipe.devices import device_names, endpoint, enrol_many, enrolment, folder, keys, removal, rotation
from iotpipe.devices.enrolment import Enrolled
from iotpipe.devices.folder import Folder
from iotpipe.devices.keys import Request
from iotpipe.devices.registry import Registry
from iotpipe.devices.removal import Removed, Revoked
from iotpipe.devices.rotation import Finished, Rotation
from iotpipe.names import Names
from tests.support.engine_world import READS
from tests.support.resource_contract import Killed, QuickWorld

T = TypeVar("T")
NAMES = Names("dev")
BEFORE, AFTER = "before", "after"


@dataclass
class Death:
    """The process ends right before or right after a step: a call that writes, by its operation, or a file, by its
    name. From then on nothing of it happens any more, in any thread.
    """

    step: str
    moment: str
    dead: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reach(self, step: str, moment: str) -> None:
        with self.lock:
            if (step, moment) == (self.step, self.moment):
                self.dead = True
        self.check()

    def check(self) -> None:
        if self.dead:
            raise Killed(f"{self.moment} {self.step}")


@dataclass
class DevicesWorld(QuickWorld):
    """One operator's machine: commands on it write to `out`. Several can share an account."""

    steps: list[str] = field(default_factory=list)
    """The calls that write and the files that were written, in their order; the second of a name has a (2) after it."""

    @property
    def out(self) -> Path:
        return self.directory / "devices"

    @property
    def registry(self) -> Registry:
        return Registry(self.run("device"), NAMES)

    def folder(self, device_id: str, given: Request | None = None) -> Folder:
        return Folder(self.out / device_id, device_names.device(NAMES, device_id), given)

    def enrol(self, device_id: str, given: Request | None = None) -> Enrolled:
        """`device add` of one device."""
        with self.noting():
            registry = self.registry
            return enrolment.enrol(registry, self.folder(device_id, given), endpoint.endpoint(registry))

    def revoke(self, device_id: str) -> Revoked:
        """`device revoke`."""
        with self.noting():
            return removal.revoke(self.registry, device_names.device(NAMES, device_id))

    def remove(self, device_id: str) -> Removed:
        """`device remove` of one device."""
        with self.noting():
            return removal.remove(self.registry, device_names.device(NAMES, device_id))

    def rotate(self, device_id: str, given: Request | None = None) -> Rotation:
        """`device rotate`."""
        with self.noting():
            registry, device = self.registry, device_names.device(NAMES, device_id)
            return rotation.rotate(registry, device, self.out / device_id, endpoint.endpoint(registry), given)

    def finish(self, device_id: str, used: bool = True) -> Finished:
        """`device rotate --finish`."""
        with self.noting():
            return rotation.finish(self.registry, device_names.device(NAMES, device_id), lambda certificate: used)

    @contextmanager
    def noting(self, death: Death | None = None) -> Iterator[None]:
        """Note the steps of what is done inside; it may die at one of them."""
        self.steps.clear()
        reach = death.reach if death else lambda step, moment: None
        write = files.write_atomically

        def begin(step: str) -> None:
            number = 1 + sum(each.partition(" ")[0] == step for each in self.steps)
            self.steps.append(step if number == 1 else f"{step} ({number})")
            reach(self.steps[-1], BEFORE)

        def before(operation: str, parameters: Any) -> None:
            if death:
                death.check()
            if not operation.startswith(READS):
                begin(operation)

        def after(operation: str, answer: Any) -> None:
            if self.steps and not operation.startswith(READS):
                reach(self.steps[-1], AFTER)

        def wrote(path: Path, content: bytes) -> None:
            begin(path.name)
            write(path, content)
            reach(self.steps[-1], AFTER)

        kept = self.before, self.after
        if not self.before:
            self.before = before
        if not self.after:
            self.after = after
        try:
            with patch.object(folder, "write_atomically", wrote), patch.object(enrol_many, "write_atomically", wrote):
                yield
        finally:
            self.before, self.after = kept

    @contextmanager
    def dying(self, step: str, moment: str) -> Iterator[None]:
        """What is done inside dies at the step; fails if there is no such step."""
        death = Death(step, moment)
        with pytest.raises(Killed):
            enrol = self.noting
            with patch.object(type(self), "noting", lambda self: enrol(death)):
                yield


def client(service: str = "iot") -> Any:
    return boto3.client(service, region_name="us-east-1")


def create_policy() -> None:
    """The policy that `up` creates."""
    client().create_policy(policyName=NAMES.device_policy, policyDocument="{}")


def account() -> dict[str, Any]:
    """What the account holds of devices: of each thing the certificates, and the certificates of nothing."""
    iot = client()
    issued = {
        each["certificateArn"]: each["status"]
        for page in iot.get_paginator("list_certificates").paginate()
        for each in page["certificates"]
    }
    things = {
        each["thingName"]: iot.list_thing_principals(thingName=each["thingName"])["principals"]
        for page in iot.get_paginator("list_things").paginate()
        for each in page["things"]
    }
    attached = {arn for arns in things.values() for arn in arns}
    return {
        "things": {name: sorted(issued[arn] for arn in arns) for name, arns in sorted(things.items())},
        "orphans": sorted(issued.keys() - attached),
        "without policy": sorted(arn for arn in issued if not iot.list_attached_policies(target=arn)["policies"]),
    }


def whole(*device_ids: str) -> dict[str, Any]:
    """What the account holds if exactly these devices are enrolled, once each."""
    things = {NAMES.thing(each): ["ACTIVE"] for each in sorted(device_ids)}
    return {"things": things, "orphans": [], "without policy": []}


def assert_complete(world: DevicesWorld, device_id: str) -> None:
    """The folder has a key, and the certificate of this key that is attached to the device's thing."""
    here = world.folder(device_id)
    request, certificate = here.request(), here.certificate()
    assert request and certificate and request.key == certificate.key
    assert certificate.common_name == keys.common_name(NAMES.thing(device_id))
    assert certificate.certificate_id in world.registry.attached(here.device)


def connect_device(device_id: str) -> None:
    """Have the device connected, as AWS IoT tells it."""
    connections = vars(iotdata_backends[ACCOUNT_ID]["us-east-1"]).setdefault("connections", {})
    connections[NAMES.thing(device_id)] = {"connected": True, "connectedSince": 1_795_000_000_000}


def is_connected(device_id: str) -> bool:
    return NAMES.thing(device_id) in vars(iotdata_backends[ACCOUNT_ID]["us-east-1"]).get("connections", {})


@contextmanager
def one_call_at_a_time() -> Iterator[None]:
    """Moto goes through its things while another thread adds one."""
    call, lock = IoTResponse.call_action, threading.Lock()

    def locked(self: Any) -> Any:
        with lock:
            return call(self)

    with patch.object(IoTResponse, "call_action", locked):
        yield


def once_at(step: str, act: Callable[[], None]) -> Callable[[str, Any], None]:
    """For `World.before`: calls `act` ahead of the first call of this operation."""
    done: list[str] = []

    def observe(operation: str, parameters: Any) -> None:
        if operation == step and not done:
            done.append(step)
            act()

    return observe
