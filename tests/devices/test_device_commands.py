"""`iotpipe device`, as it is typed."""

from __future__ import annotations

import json
import stat
from typing import Any

import pytest

from tests.devices.cli import _server, _states, cloud, enrolling, shell
from tests.support.json_shapes import assert_as_described
from tests.support.shell import Shell, settings

__all__ = ["_server", "_states", "cloud", "enrolling", "shell"]  # fixtures

ON_DEV = ("--env", "dev")
FILES = {
    *("private.key", "certificate.pem", "ca.pem", "publish-mosquitto.sh", "publish_paho.py", "publish_awsiot.py"),
}


def files(shell: Shell, device_id: str) -> set[str]:
    return {each.name for each in (shell.directory / "devices" / device_id).iterdir()}


def test_a_device_is_enrolled_with_all_that_it_needs(enrolling: Shell) -> None:
    done = enrolling.run("device", "add", "roof", *ON_DEV)
    assert "roof is enrolled, as thing and MQTT client id dev:roof" in done.stdout
    assert "sh devices/roof/publish-mosquitto.sh" in done.stdout
    assert files(enrolling, "roof") == FILES
    folder = enrolling.directory / "devices" / "roof"
    assert stat.S_IMODE((folder / "private.key").stat().st_mode) == 0o600
    secret = (folder / "private.key").read_text().splitlines()[1]
    assert secret not in done.stdout + done.stderr + (enrolling.directory / ".iotpipe" / "dev.json").read_text()
    assert (enrolling.directory / "devices" / ".gitignore").read_text() == "*\n"
    for example in ("publish-mosquitto.sh", "publish_paho.py", "publish_awsiot.py"):
        text = (folder / example).read_text()
        assert "a1b2c3d4e5f6g7-ats.iot.us-east-1.amazonaws.com" in text and "8883" in text
        assert "$aws/rules/iotpipe_dev/iotpipe/dev/dev:roof/readings" in text
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert "roof is already enrolled" in enrolling.run("device", "add", "roof", *ON_DEV).stdout
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_the_python_examples_are_python(enrolling: Shell) -> None:
    enrolling.run("device", "add", "roof", *ON_DEV)
    for name in ("publish_paho.py", "publish_awsiot.py"):
        compile((enrolling.directory / "devices" / "roof" / name).read_text(), name, "exec")


def test_many_devices_are_enrolled_from_a_table_and_the_next_run_costs_next_to_nothing(enrolling: Shell) -> None:
    ids = [f"d{number:02}" for number in range(30)]
    (enrolling.directory / "fleet.csv").write_text("\n".join(["device_id", *ids]))
    done = enrolling.run("device", "add", "--from", "fleet.csv", *ON_DEV)
    assert "dev: 30 devices enrolled" in done.stdout
    assert "enrolled: 30 of 30 (" in done.stderr and "/s" in done.stderr
    assert all(files(enrolling, each) == FILES for each in ids)
    enrolling.operations()
    assert "dev: 30 devices already enrolled" in enrolling.run("device", "add", "--from", "fleet.csv", *ON_DEV).stdout
    assert [each for each in enrolling.operations() if "/things" in each] == ["GET /things"]


def test_several_devices_are_named_and_what_fails_is_told(enrolling: Shell) -> None:
    enrolling.client("iot").create_thing(thingName="dev:shed")
    done = enrolling.run("device", "add", "roof", "shed", *ON_DEV, code=1)
    assert "shed: there is a thing dev:shed that iotpipe did not make" in done.stderr
    assert "error: 1 of 2 devices failed" in done.stderr
    assert files(enrolling, "roof") == FILES
    assert not (enrolling.directory / "devices" / "shed").exists()


def test_the_answers_are_as_described(enrolling: Shell) -> None:
    enrolling.client("iot").create_thing(thingName="dev:shed")
    answer = enrolling.json("device", "add", "roof", "shed", *ON_DEV, code=1)
    assert_as_described("device add", answer | {"left": ["one"]})
    assert [each["result"] for each in answer["devices"]] == ["enrolled"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "name the devices to enrol, or give --from FILE"),
        (["roof", "--from", "fleet.csv"], "name the devices to enrol, or give --from FILE"),
        (["roof", "shed", "--csr", "a.csr"], "--csr goes with one NAME"),
        (["roof", "a/b"], "'a/b' is no id for a device over MQTT"),
        (["roof", "--csr", "none.csr"], "cannot read the certificate request none.csr"),
        (["--from", "none.csv"], "cannot read none.csv"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_call(enrolling: Shell, words: list[str], told: str) -> None:
    assert told in enrolling.run("device", "add", *words, *ON_DEV, code=2).stderr
    assert not [each for each in enrolling.operations() if "iot" in each or "/things" in each or "/cert" in each]


COMMANDS: list[Any] = [pytest.param(["add", "roof"], id="add")]


@pytest.mark.parametrize("words", COMMANDS)
def test_an_environment_that_is_not_up_is_told(cloud: Shell, words: list[str]) -> None:
    assert "dev is not up" in cloud.run("device", *words, *ON_DEV, code=2).stderr


@pytest.mark.parametrize("words", COMMANDS)
def test_an_environment_without_devices_says_what_to_set(enrolling: Shell, words: list[str]) -> None:
    state = enrolling.directory / ".iotpipe" / "dev.json"
    recorded = json.loads(state.read_text())
    del recorded["resources"]["iot-policy/iot-device-policy-dev"]
    state.write_text(json.dumps(recorded))
    told = enrolling.run("device", *words, *ON_DEV, code=2).stderr
    assert "dev has nothing for devices over MQTT yet\nhint: Run `iotpipe up --env dev`" in told
    settings(enrolling, "dev", "")
    told = enrolling.run("device", *words, *ON_DEV, code=2).stderr
    assert "hint: Set `devices.enabled: true` in its configuration. Run `iotpipe up --env dev`" in told
