"""Devices on this machine, through the real commands: the proof over MQTT, and one device's test."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from iotpipe.provision.lock import locked
from iotpipe.times import iso
from tests.support.json_shapes import assert_as_described
from tests.support.local_machine import IOTPIPE, Machine, eventually

pytestmark = [pytest.mark.embedded, pytest.mark.matrix]

SEND = ("send-test-data", "--env", "local", "--via", "mqtt", "--verify", "--json")


def enrolled(machine: Machine) -> list[str]:
    """The things and certificates that there are, but for those of the devices that tests of this file have added."""
    iot, added = machine.client("iot"), ("local:roof", "local:cellar")
    things = [each["thingName"] for each in iot.list_things()["things"]]
    others = [
        arn for each in added if each in things for arn in iot.list_thing_principals(thingName=each)["principals"]
    ]
    certificates = {each["certificateArn"] for each in iot.list_certificates()["certificates"]}
    return sorted({*things, *certificates} - {*added, *others})


def test_temporary_devices_publish_and_each_reading_and_refusal_is_followed(up: Machine) -> None:
    answer = json.loads(up.run(*SEND, "--devices", "6", "--count", "60", "--bad", "4").stdout)
    assert_as_described("send-test-data", answer)
    assert (answer["accepted"], answer["failed"], answer["bad_refused"]) == (60, 0, 2)
    found = answer["verified"]
    assert found["proven"] and (found["raw"], found["processed"]) == (60, 60)
    # Two bad readings of devices, and two messages that nobody but this command would put into the reading queue.
    assert (found["poison_queued"], found["poison_in_dlq"], found["devices_told"]) == (4, 4, 2)
    assert enrolled(up) == []
    assert not (up.directory / ".iotpipe" / "test-devices-local").exists()


def test_several_readings_in_a_message_are_stored_one_by_one(up: Machine) -> None:
    answer = json.loads(up.run(*SEND, "--devices", "2", "--count", "50", "--batch", "10").stdout)
    assert (answer["accepted"], answer["requests"], answer["verified"]["proven"]) == (50, 6, True)


def test_devices_of_a_test_that_was_killed_are_removed_by_the_next_one(up: Machine) -> None:
    with up.begin(*SEND, "--devices", "12", "--count", "12") as process:
        eventually(lambda: enrolled(up))
        process.kill()
    answer = json.loads(up.run(*SEND, "--devices", "2", "--count", "2").stdout)
    assert answer["verified"]["proven"]
    assert enrolled(up) == []


@pytest.mark.parametrize("files", [True, False])
def test_ctrl_c_leaves_no_device(up: Machine, files: bool) -> None:
    """Neither while devices are enrolled, nor once all of them have their files."""
    folder, before = up.directory / ".iotpipe" / "test-devices-local", enrolled(up)
    with up.begin(*SEND, "--devices", "12", "--count", "600", "--rate", "20") as process:
        eventually(lambda: len(list(folder.glob("*/certificate.pem"))) == 12 if files else list(folder.glob("*/")))
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert enrolled(up) == before
    assert not list(folder.glob("*/"))


def test_a_low_limit_of_open_files_is_raised_for_the_connections(up: Machine) -> None:
    command = [IOTPIPE, *SEND, "--devices", "25", "--count", "25"]
    limited = ["sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh", *command]
    done = subprocess.run(limited, cwd=up.directory, env=up.environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["verified"]["proven"]


def test_a_second_test_at_the_same_time_is_refused(up: Machine) -> None:
    with locked(up.directory / ".iotpipe" / "test-devices-local", "send-test-data --via mqtt", "2026-11-26T12:00:00Z"):
        assert "is locked by `iotpipe send-test-data --via mqtt`" in up.run(*SEND, code=1).stderr
    assert enrolled(up) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--file", "readings.csv"), "--file replays over HTTP"),
        (("--connections", "4"), "--connections is for HTTP"),
        (("--devices", "301"), "at most 300 devices can send over MQTT at once"),
    ],
)
def test_options_that_make_no_sense_over_mqtt_are_refused(up: Machine, options: tuple[str, ...], said: str) -> None:
    (up.directory / "readings.csv").write_text("timestamp,device_id,t\n2026-01-01T00:00:00Z,a,1\n")
    assert said in up.run("send-test-data", "--env", "local", "--via", "mqtt", *options, code=2).stderr


def test_a_device_is_tested_from_its_files_to_its_rows(up: Machine) -> None:
    up.run("device", "add", "roof", "--env", "local")
    said = up.run("device", "test", "roof", "--env", "local").stdout
    assert "roof published a reading; acknowledged after" in said
    assert "each exactly once and unchanged: raw 1, processed 1" in said
    answer = up.json("device", "test", "roof", "--env", "local")
    assert_as_described("device test", answer)
    assert (answer["stored"], answer["problems"]) == (True, [])
    items = up.json("query", "--env", "local", "roof")["items"]
    assert [each["sensor_data"] for each in items] == [{"test": 1}] * 2
    newest = max(each["timestamp"] for each in items)
    assert up.json("device", "show", "roof", "--env", "local")["last_reading"] == iso(newest)


def test_a_device_that_may_not_connect_is_said_to_get_no_acknowledgement(
    up: Machine,
) -> None:
    up.run("device", "add", "cellar", "--env", "local")
    up.run("device", "revoke", "cellar", "--env", "local")
    answer = up.run("device", "test", "cellar", "--env", "local", "--timeout", "2", "--json", code=1)
    assert "gets no acknowledgement from AWS IoT" in answer.stderr
    assert json.loads(answer.stdout)["acknowledged_ms"] is None


def test_who_has_no_files_of_a_device_cannot_test_it(up: Machine, tmp_path: Path) -> None:
    said = up.run("device", "test", "roof", "--env", "local", "--out", str(tmp_path), code=2).stderr
    assert "has no private.key and no certificate.pem: nobody can connect as roof without" in said


def test_up_says_whether_a_message_of_a_device_would_arrive(machine: Machine) -> None:
    said = machine.run("up", "--env", "local").stderr
    assert "waiting for a test message to arrive" in said
    assert "may not work" not in said
    assert "waiting for a test message" not in machine.run("up", "--env", "local").stderr, "the rule is not new"
