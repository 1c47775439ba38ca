"""The life of a device on this machine, by the commands that an operator runs: from its enrolment to `down`."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.support import mqtt_devices
from tests.support.local_machine import Machine, eventually
from tests.support.mqtt_devices import SUCCESS, Device, Identity, Refused

pytestmark = pytest.mark.embedded

ENV = ("--env", "local")
TOPIC = "$aws/rules/iotpipe_local/iotpipe/local/local:roof/readings"


def connect(machine: Machine, folder: str) -> AbstractContextManager[Device]:
    """Connect the device with the files in this folder."""
    files = machine.directory / "devices" / folder
    owner = Identity(files / "private.key", files / "certificate.pem")
    return mqtt_devices.connected(machine.record.mqtt_port, files / "ca.pem", "local:roof", owner)


def shown(machine: Machine) -> Any:
    return machine.json("device", "show", "roof", *ENV)


def test_a_device_from_its_enrolment_to_the_end_of_its_environment(machine: Machine) -> None:
    machine.run("up", *ENV)
    enrolled = machine.json("device", "add", "roof", *ENV)
    assert enrolled["endpoint"] == {"host": "localhost", "port": machine.record.mqtt_port}
    [old] = [each["id"] for each in shown(machine)["certificates"]]
    assert old == enrolled["devices"][0]["certificate"]

    # It publishes, with the example that was written for it.
    example = machine.directory / "devices" / "roof" / "publish_paho.py"
    subprocess.run([sys.executable, str(example)], check=True, timeout=60)
    seen = eventually(lambda: shown(machine)["last_reading"])
    [listed] = machine.json("device", "list", *ENV)["devices"]
    assert (listed["device_id"], listed["status"], listed["last_reading"]) == ("roof", "ACTIVE", seen)

    # It gets a second certificate, and the first goes when the second was used.
    new = machine.json("device", "rotate", "roof", *ENV)["certificates"][1]
    with connect(machine, "roof") as device:
        assert shown(machine)["connection"]["connected"] is True
        machine.run("device", "rotate", "roof", "--finish", *ENV, code=1)
        assert device.publish(TOPIC, reading()) == SUCCESS
    with connect(machine, "roof/rotation-1") as device:
        assert device.publish(TOPIC, reading()) == SUCCESS
    finished = eventually(lambda: _finished(machine))
    assert (finished["certificates"], finished["deleted"]) == ([new], [old])
    with pytest.raises(Refused), connect(machine, "roof"):
        pass

    machine.run("device", "test", "roof", *ENV)

    # Revoked, it is disconnected and stays away.
    with connect(machine, "roof/rotation-1") as device:
        machine.run("device", "revoke", "roof", *ENV)
        device.until(lambda: not device.connected)
    with pytest.raises(Refused), connect(machine, "roof/rotation-1"):
        pass
    assert shown(machine)["connection"]["connected"] is False

    # `down` refuses while there are devices, and removes them if it is told to.
    assert "a device is enrolled in local" in machine.run("down", "--yes", *ENV, code=1).stderr
    machine.run("device", "remove", "roof", "--yes", *ENV)
    machine.run("device", "add", "roof", "--out", "again", *ENV)
    answer = machine.json("down", "--yes", "--delete-devices", *ENV)
    assert answer["removed_devices"] == ["roof"]
    assert Path(machine.directory / "devices" / "roof" / "private.key").exists()


def reading() -> str:
    return json.dumps({"sensor_data": {"temperature": 21.5}})


def _finished(machine: Machine) -> Any:
    """What `device rotate --finish` answers; None while the log does not show the new certificate."""
    done = machine._done(["device", "rotate", "roof", "--finish", "--json", *ENV])
    return json.loads(done.stdout) if done.returncode == 0 else None
