"""The clients that people use, on the whole pipeline: the written examples, mosquitto's programs, and old clients."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.local_machine import Machine, eventually
from tests.support.mqtt_devices import SUBSCRIBED, SUCCESS, V5, V311, Identity, connected

pytestmark = pytest.mark.embedded

needs_mosquitto = pytest.mark.skipif(
    shutil.which("mosquitto_pub") is None,
    reason="mosquitto_pub is not on the PATH: it is in the package mosquitto-clients",
)
READINGS, ERRORS = "iotpipe/local/local:roof/readings", "iotpipe/local/local:roof/errors"
BASIC_INGEST = f"$aws/rules/iotpipe_local/{READINGS}"
BAD = json.dumps({"sensor_data": {"temperature": "warm"}})


@pytest.fixture(scope="module")
def folder(up: Machine) -> Path:
    """The folder of the enrolled device roof."""
    up.run("device", "add", "roof")
    return up.directory / "devices" / "roof"


def address(machine: Machine, folder: Path) -> tuple[int, Path, str, Identity]:
    """What `connected` needs to connect as the device."""
    device = Identity(folder / "private.key", folder / "certificate.pem")
    return machine.record.mqtt_port, folder / "ca.pem", "local:roof", device


def items(machine: Machine) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = machine.json("query", "roof", "--all")["items"]
    return found


def options(machine: Machine, folder: Path, version: str) -> list[str]:
    """What mosquitto's programs need to connect as the device."""
    files = ["--cafile", folder / "ca.pem", "--cert", folder / "certificate.pem", "--key", folder / "private.key"]
    address = ["-h", "localhost", "-p", machine.record.mqtt_port, "-i", "local:roof"]
    return ["-V", version, "-q", "1", *map(str, [*address, *files])]


def run(*command: str | Path, code: int = 0) -> str:
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["sh", "publish-mosquitto.sh"], marks=needs_mosquitto),
        [sys.executable, "publish_paho.py"],
        [sys.executable, "publish_awsiot.py"],
    ],
    ids=["mosquitto", "paho", "awsiot"],
)
def test_a_written_example_stores_its_reading_as_it_stands(up: Machine, folder: Path, command: list[str]) -> None:
    before = len(items(up))
    run(command[0], folder / command[1])
    rows = eventually(lambda: (found := items(up))[before:] and found)
    assert len(rows) == before + 1
    assert {row["temperature"] for row in rows} == {21.5}


def test_a_written_example_fails_where_its_message_is_refused(up: Machine, folder: Path) -> None:
    example = (folder / "publish_paho.py").read_text()
    (folder / "other.py").write_text(example.replace("/local:roof/readings", "/local:shed/readings"))
    done = subprocess.run([sys.executable, folder / "other.py"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "not accepted: Not authorized\n")


@needs_mosquitto
@pytest.mark.parametrize("version", ["mqttv5", "mqttv311"])
def test_mosquitto_shows_the_notice_of_a_bad_reading(up: Machine, folder: Path, version: str) -> None:
    """At once, on the connection that has published it; and later, in a session that is kept."""
    device = options(up, folder, version)
    at_once = run("mosquitto_rr", *device, "-t", BASIC_INGEST, "-e", ERRORS, "-m", BAD, "-W", "30")
    kept = [*device, "--disable-clean-session", *(["-x", "3600"] if version == "mqttv5" else [])]
    run("mosquitto_sub", *kept, "-t", ERRORS, "-E")
    run("mosquitto_pub", *kept, "-t", READINGS, "-m", BAD)
    later = run("mosquitto_sub", *kept, "-t", ERRORS, "-C", "1", "-W", "30")
    for notice in map(json.loads, (at_once, later)):
        assert notice["problems"] == [{"code": "type", "field": "sensor_data.temperature"}]
    run("mosquitto_sub", *device, "-t", ERRORS, "-E")  # ends the session


@pytest.mark.parametrize("version", [V5, V311])
def test_a_reading_is_one_row_by_either_topic_and_over_http(up: Machine, folder: Path, version: int) -> None:
    now = int(time.time() * 1000)
    reading = {"sensor_data": {"level": version}, "timestamp": now}
    with connected(*address(up, folder), version=version) as device:
        for topic in (BASIC_INGEST, READINGS, READINGS):
            assert device.publish(topic, json.dumps(reading)) == SUCCESS
        assert device.publish(READINGS, json.dumps(reading | {"timestamp": now + 1})) == SUCCESS
    body = json.dumps(reading | {"device_id": "roof"}).encode()
    assert up.signed("execute-api", "POST", f"{up.api}/ingest", body)[0] == 200
    rows = eventually(
        lambda: (found := [row for row in items(up) if row["sensor_data"] == {"level": version}])[1:] and found
    )
    assert sorted(row["timestamp"] for row in rows) == [now, now + 1]


def test_a_client_that_was_away_gets_the_notice_once_when_it_comes_back(up: Machine, folder: Path) -> None:
    """Its session is kept, as AWS IoT keeps it for an hour."""

    def refusals() -> int:
        # data-ingestion writes this line when it has published the notice.
        return up.run("logs", "--function", "ingestion", "--json").stdout.count('"refusals"')

    to, before = address(up, folder), refusals()
    with connected(*to, version=V311, clean=False) as device:
        assert device.subscribe(ERRORS) == SUBSCRIBED
    # Published by another client: the device itself could get the notice before it has disconnected.
    up.client("iot-data").publish(topic=READINGS, qos=1, payload=BAD)
    eventually(lambda: refusals() > before)
    with connected(*to, version=V311, clean=False) as device:
        notice = json.loads(device.message().payload)
        assert notice["problems"][0]["code"] == "type"
        assert device.subscribe(ERRORS) == SUBSCRIBED
        assert not device.received
    with connected(*to, version=V311) as device:
        assert device.connected
