"""`iotpipe device`, as it is typed."""

from __future__ import annotations

import json
import re
import signal
import stat
import subprocess
from typing import Any

import pytest

from tests.cli.test_logs_and_dlq import log
from tests.devices.cli import _server, _states, cloud, enrolling, shell
from tests.support.json_shapes import assert_as_described
from tests.support.shell import Shell, settings, writes

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
    assert "finished: 30 of 30 (" in done.stderr and "/s" in done.stderr
    assert all(files(enrolling, each) == FILES for each in ids)
    enrolling.operations()
    assert "dev: 30 devices already enrolled" in enrolling.run("device", "add", "--from", "fleet.csv", *ON_DEV).stdout
    assert [each for each in enrolling.operations() if "/things" in each] == ["GET /things"]


@pytest.mark.subprocess
def test_ctrl_c_finishes_what_was_begun_and_the_next_run_continues(enrolling: Shell) -> None:
    ids = [f"d{number:02}" for number in range(40)]
    (enrolling.directory / "fleet.csv").write_text("\n".join(["device_id", *ids]))
    command = enrolling.command("device", "add", "--from", "fleet.csv", *ON_DEV)
    with enrolling.held("POST /certificates") as asked:
        process = subprocess.Popen(
            command, cwd=enrolling.directory, env=enrolling.environment, stderr=subprocess.PIPE, text=True
        )
        asked()
        process.send_signal(signal.SIGINT)
        assert process.stderr
        assert process.stderr.readline() == "\n"
        assert "stopping: waiting for running calls to finish" in process.stderr.readline()
        enrolling.let_go()
        told = process.communicate(timeout=60)[1]
    assert process.returncode == 130, told
    stopped = re.search(r"error: stopped after (\d+) of 40 devices\nhint: Run the same command again", told)
    assert stopped and 0 < int(stopped[1]) < 40
    assert len(enrolling.client("iot").list_things()["things"]) == int(stopped[1])
    done = enrolling.run("device", "add", "--from", "fleet.csv", *ON_DEV)
    assert f"dev: {stopped[1]} devices already enrolled" in done.stdout


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


COMMANDS: list[Any] = [
    pytest.param(words, id=words[0])
    for words in (
        *(["add", "roof"], ["list"], ["show", "roof"], ["rotate", "roof"], ["revoke", "roof"]),
        ["remove", "roof", "--yes"],
    )
]


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


# What is enrolled


def enrol(shell: Shell, *names: str) -> None:
    shell.run("device", "add", *names, *ON_DEV)


def certificates(shell: Shell, device_id: str) -> list[str]:
    principals = shell.client("iot").list_thing_principals(thingName=f"dev:{device_id}")["principals"]
    return [each.partition("/")[2] for each in principals]


def test_the_devices_are_listed_with_their_certificates(enrolling: Shell) -> None:
    assert (
        "no device is enrolled: `iotpipe device add NAME --env dev`" in enrolling.run("device", "list", *ON_DEV).stderr
    )
    enrol(enrolling, "roof", "cellar", "shed")
    enrolling.run("device", "revoke", "cellar", *ON_DEV)
    enrolling.run("device", "rotate", "shed", *ON_DEV)
    client = enrolling.client("iot")
    client.create_thing(thingName="dev:attic", attributePayload={"attributes": {"iotpipe": "dev"}})
    enrolling.operations()
    listed = enrolling.run("device", "list", *ON_DEV)
    rows = [line.split() for line in listed.stdout.splitlines()]
    assert [row[:2] for row in rows[1:]] == [
        ["attic", "no"],
        ["cellar", "INACTIVE"],
        ["roof", "ACTIVE"],
        ["shed", "ACTIVE"],
    ]
    assert "(2)" in rows[4]
    assert "the last readings are not known: " in listed.stderr  # nothing answers for the API here
    about_devices = [each for each in enrolling.operations() if each.startswith(("GET /things", "GET /certificates"))]
    assert about_devices == ["GET /things", "GET /certificates", "GET /things/dev:attic/principals"]
    answer = enrolling.json("device", "list", *ON_DEV)
    assert_as_described("device list", answer)
    assert answer["count"] == 4


def test_one_device_is_shown_with_all_that_is_known(enrolling: Shell) -> None:
    enrol(enrolling, "roof")
    [certificate] = certificates(enrolling, "roof")
    shown = enrolling.run("device", "show", "roof", *ON_DEV).stdout
    assert f"certificate   {certificate}  ACTIVE" in shown
    assert "expires 2049-12-31T23:59:59.000Z" in shown
    assert "connection    not connected" in shown
    assert "sees its connection close without a reason" in shown
    assert "Two clients with the id dev:roof end each other's connection" in shown
    assert_as_described("device show", enrolling.json("device", "show", "roof", *ON_DEV))
    enrolling.run("device", "show", "shed", *ON_DEV, code=2)


# Rotation, revocation, removal


def test_a_certificate_is_rotated(enrolling: Shell) -> None:
    enrol(enrolling, "roof")
    [old] = certificates(enrolling, "roof")
    rotated = enrolling.json("device", "rotate", "roof", *ON_DEV)
    assert (rotated["result"], rotated["folder"]) == ("rotated", "devices/roof/rotation-1")
    assert rotated["certificates"][0] == old
    assert files(enrolling, "roof/rotation-1") == FILES
    again = enrolling.run("device", "rotate", "roof", *ON_DEV).stdout
    assert "roof has 2 certificates already; the files of the newest are in devices/roof/rotation-1" in again
    assert "iotpipe device rotate roof --finish --env dev" in again
    told = enrolling.run("device", "rotate", "roof", "--finish", *ON_DEV, code=1).stderr
    assert "roof has not sent anything with its new certificate" in told and "--force" in told
    use(enrolling, old)
    enrolling.run("device", "rotate", "roof", "--finish", *ON_DEV, code=1)
    use(enrolling, rotated["certificates"][1])
    finished = enrolling.json("device", "rotate", "roof", "--finish", *ON_DEV)
    assert (finished["result"], finished["deleted"]) == ("finished", [old])
    assert certificates(enrolling, "roof") == [rotated["certificates"][1]]
    assert "there was nothing to delete" in enrolling.run("device", "rotate", "roof", "--finish", *ON_DEV).stdout
    assert_as_described("device rotate", rotated, finished)


def use(shell: Shell, certificate: str) -> None:
    """A message comes with the certificate, as the ingestion function logs it."""
    log(shell, "ingestion", {"certificates": [certificate[:12]]}, ago=0)


def test_the_old_certificate_is_deleted_by_force(enrolling: Shell) -> None:
    enrol(enrolling, "roof")
    enrolling.run("device", "rotate", "roof", *ON_DEV)
    enrolling.run("device", "rotate", "roof", "--finish", "--force", *ON_DEV)
    assert len(certificates(enrolling, "roof")) == 1


def test_a_device_is_revoked(enrolling: Shell) -> None:
    enrol(enrolling, "roof")
    revoked = enrolling.json("device", "revoke", "roof", *ON_DEV)
    assert revoked["revoked"] == certificates(enrolling, "roof")
    assert_as_described("device revoke", revoked)
    assert "roof has no active certificate" in enrolling.run("device", "revoke", "roof", *ON_DEV).stdout
    assert "its certificate is not active" in enrolling.run("device", "add", "roof", *ON_DEV).stdout


def test_devices_are_removed_when_that_is_confirmed(enrolling: Shell) -> None:
    enrol(enrolling, "roof", "cellar", "shed")
    assert "Pass --yes" in enrolling.run("device", "remove", "roof", *ON_DEV, code=2).stderr
    removed = enrolling.json("device", "remove", "roof", "attic", "--yes", *ON_DEV)
    assert (removed["removed"], removed["absent"]) == (["roof"], ["attic"])
    assert_as_described("device remove", removed | {"failed": [{"device_id": "", "error": "", "hint": ""}]})
    assert "attic is not enrolled in dev" in enrolling.run("device", "remove", "attic", *ON_DEV).stdout
    assert "dev: 2 devices removed" in enrolling.run("device", "remove", "--all", "--yes", *ON_DEV).stdout
    client = enrolling.client("iot")
    assert client.list_things()["things"] == client.list_certificates()["certificates"] == []
    assert "dev: 0 devices removed" in enrolling.run("device", "remove", "--all", "--yes", *ON_DEV).stdout


def test_down_refuses_while_devices_are_enrolled_and_removes_them_when_told_to(enrolling: Shell) -> None:
    enrol(enrolling, "roof", "cellar")
    connected = enrolling.client("iot").list_things()["things"]
    before = (enrolling.directory / ".iotpipe" / "dev.json").read_bytes()
    enrolling.operations()
    told = enrolling.run("down", "--yes", *ON_DEV, code=1).stderr
    assert "error: refused, and nothing was changed: 2 devices are enrolled in dev, and could publish no more" in told
    assert "`iotpipe down --env dev --delete-devices` removes them" in told
    assert not writes(enrolling.operations())
    assert enrolling.client("iot").list_things()["things"] == connected
    assert (enrolling.directory / ".iotpipe" / "dev.json").read_bytes() == before
    assert "Pass --yes" in enrolling.run("down", "--delete-devices", *ON_DEV, code=2).stderr
    done = enrolling.run("down", "--delete-devices", "--yes", *ON_DEV)
    assert "  - remove 2 enrolled devices" in done.stderr
    assert "Devices removed: 2." in done.stdout
    client = enrolling.client("iot")
    assert client.list_things()["things"] == client.list_certificates()["certificates"] == []
    assert client.list_policies()["policies"] == []


def test_down_answers_which_devices_it_removed(enrolling: Shell) -> None:
    enrol(enrolling, "roof")
    answer = enrolling.json("down", "--delete-devices", "--yes", *ON_DEV)
    assert_as_described("down", answer)
    assert answer["removed_devices"] == ["roof"]


def test_down_of_an_environment_without_devices_does_not_ask_for_them(cloud: Shell) -> None:
    cloud.run("up", *ON_DEV)
    cloud.operations()
    cloud.run("down", "--yes", *ON_DEV)
    assert not [each for each in cloud.operations() if "/things" in each or "policies/iot-device" in each]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["remove"], "name the devices to remove, or give --all"),
        (["remove", "roof", "--all"], "name the devices to remove, or give --all"),
        (["rotate", "roof", "--force"], "--force goes with --finish"),
        (
            ["rotate", "roof", "--finish", "--csr", "a"],
            "--csr is for the new certificate, --finish deletes the old one",
        ),
        (["rotate", "a.b"], "'a.b' is no id for a device over MQTT"),
    ],
)
def test_other_commands_refuse_what_makes_no_sense(enrolling: Shell, words: list[str], told: str) -> None:
    assert told in enrolling.run("device", *words, *ON_DEV, code=2).stderr


def test_up_says_that_a_changed_policy_takes_minutes(enrolling: Shell) -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": []})
    enrolling.client("iot").create_policy_version(
        policyName="iot-device-policy-dev", policyDocument=document, setAsDefault=True
    )
    note = "AWS IoT takes some minutes until the changed policy is in force"
    assert note in enrolling.run("up", *ON_DEV).stderr
    assert note not in enrolling.run("up", *ON_DEV).stderr
