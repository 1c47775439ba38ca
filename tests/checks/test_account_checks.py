"""Logging role, packages, credentials, state file and what is up already: each trouble is told, with what to do."""

from __future__ import annotations

import json
import os
import socket
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.credentials import Credentials, RefreshableCredentials

from iotpipe.checks import api_gateway_logging, existing_resources, iot_logging, packages, state_file
from iotpipe.checks import credentials as identity
from iotpipe.checks.finding import OK, PROBLEM, UNKNOWN, WARNING, Finding
from iotpipe.errors import PackagingError
from iotpipe.provision import plan as planning
from iotpipe.provision.lock import locked
from tests.support.checks_world import ACCOUNT, Clinic, Zipped, artifacts, declare, limits, results, settings

ROLE = f"arn:aws:iam::{ACCOUNT}:role/logs/writer"


# API Gateway's logging role


def trusting(service: Any, action: Any = "sts:AssumeRole") -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": action}
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


def logging_role(clinic: Clinic, arn: str | None, text: str = "") -> Finding:
    clinic.answers["GetAccount"] = lambda params: {"cloudwatchRoleArn": arn} if arn else {}
    (found,) = api_gateway_logging.check(clinic.run("doctor"), declare(settings(text, clinic.directory)))
    return found


# The logs of AWS IoT

WITH_DEVICES = "devices: {enabled: true}"


@pytest.mark.parametrize(
    ("options", "result"),
    [
        (None, WARNING),
        ({"disableAllLogs": True, "defaultLogLevel": "INFO"}, WARNING),
        ({"defaultLogLevel": "DISABLED"}, WARNING),
        ({"defaultLogLevel": "ERROR", "disableAllLogs": False}, OK),
    ],
    ids=["never set", "turned off", "of no level", "of errors"],
)
def test_where_aws_iot_logs_nothing_it_is_said_how_to_change_that(
    clinic: Clinic, options: dict[str, Any] | None, result: str
) -> None:
    if options is not None:
        boto3.client("iot").set_v2_logging_options(**options)
    (found,) = iot_logging.check(clinic.run("doctor"), declare(settings(WITH_DEVICES, clinic.directory)))
    assert found.result == result
    if result == WARNING:
        assert "aws iot set-v2-logging-options" in found.remedy


def test_the_logs_of_aws_iot_are_nothing_to_who_has_no_devices(clinic: Clinic) -> None:
    assert iot_logging.check(clinic.run("doctor"), declare(settings("", clinic.directory))) == []


# API Gateway's logging role, as it is found


@pytest.mark.parametrize("service", ["apigateway.amazonaws.com", ["ec2.amazonaws.com", "apigateway.amazonaws.com"]])
def test_a_role_that_lets_api_gateway_in_is_left_as_it_is(clinic: Clinic, service: Any) -> None:
    boto3.client("iam").create_role(RoleName="writer", Path="/logs/", AssumeRolePolicyDocument=trusting(service))
    assert logging_role(clinic, ROLE).result == OK


@pytest.mark.parametrize(
    "trust",
    [
        trusting("ec2.amazonaws.com"),
        trusting("apigateway.amazonaws.com", "sts:TagSession"),
        trusting("apigateway.amazonaws.com").replace('"Allow"', '"Deny"'),
    ],
)
def test_a_role_that_does_not_writes_no_logs(clinic: Clinic, trust: str) -> None:
    boto3.client("iam").create_role(RoleName="writer", Path="/logs/", AssumeRolePolicyDocument=trust)
    found = logging_role(clinic, ROLE)
    assert found.result == WARNING
    assert "Allow sts:AssumeRole to apigateway.amazonaws.com" in found.remedy


def test_a_role_that_is_gone_writes_none_either_and_the_command_that_unsets_it_is_named(clinic: Clinic) -> None:
    found = logging_role(clinic, ROLE)
    assert (found.result, "does not exist" in found.found) == (WARNING, True)
    patch = "--patch-operations op=replace,path=/cloudwatchRoleArn,value="
    assert f"`aws apigateway update-account --region us-east-1 {patch}`" in found.remedy


def test_a_role_that_is_not_ours_to_look_at_cannot_be_judged(clinic: Clinic) -> None:
    assert logging_role(clinic, "arn:aws:iam::999999999999:role/writer").result == UNKNOWN


def test_an_account_that_never_used_api_gateway_has_no_role_yet(clinic: Clinic) -> None:
    (found,) = api_gateway_logging.check(clinic.run("doctor"), declare(settings("", clinic.directory)))
    assert clinic.calls == ["GetAccount", "GetRole"]
    assert (found.result, "`up` creates and sets one" in found.found) == (OK, True)


def test_where_no_role_is_set_up_makes_one_unless_nothing_is_to_be_logged(clinic: Clinic) -> None:
    assert "`up` creates and sets one" in logging_role(clinic, None).found
    clinic.calls.clear()
    assert logging_role(clinic, None, "api: {logging: 'OFF'}").result == OK
    assert clinic.calls == []


# Packages


class Unreachable(Zipped):
    """A layer whose wheels cannot be fetched."""

    def content(self) -> bytes:
        raise PackagingError("cannot fetch the layer's wheels", "Check the network")


def test_a_layer_with_bytecode_is_well_and_one_without_is_told_what_it_costs() -> None:
    with_bytecode = Zipped(("python/a.py", "python/__pycache__/a.cpython-314.pyc"))
    assert results(packages.check(artifacts(with_bytecode))) == {"packages": OK, "bytecode": OK}
    fine, costly = packages.check(artifacts(Zipped(("python/a.py",))))
    assert (fine.result, costly.result) == (OK, WARNING)
    assert "no interpreter of Python 3.14" in costly.found
    assert "228 ms more of CPU time" in costly.found
    assert "uv python install 3.14" in costly.remedy


def test_what_lambda_would_not_take_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iotpipe.packaging.archive.UNZIPPED_LIMIT", 1000)
    (found,) = packages.check(artifacts(Zipped(("python/a.py",), size=1001)))
    assert found.result == PROBLEM
    assert "Lambda takes 1,000 in all" in found.found
    assert packages.check(artifacts(Unreachable(()))) == [
        Finding("packages", PROBLEM, "cannot fetch the layer's wheels", "Check the network")
    ]


@pytest.mark.parametrize(
    ("used", "result"), [(0, OK), (72_477_573_119, OK), (72_477_573_121, WARNING), (80_530_636_799, PROBLEM)]
)
def test_the_room_for_code_is_watched(clinic: Clinic, used: int, result: str) -> None:
    clinic.answers["GetAccountSettings"] = limits(1000, code=used)
    (found,) = packages.storage(clinic.run("doctor"), artifacts())
    assert found.result == result
    assert "of 75 GB" in found.found


# Credentials


def session(clinic: Clinic, credentials: Credentials) -> dict[str, str]:
    aws = replace(clinic.connect(), session=type("Session", (), {"get_credentials": lambda self: credentials})())
    return {each.check: f"{each.result}: {each.found}" for each in identity.check(aws, None, clinic.clock.now())}


@pytest.mark.parametrize(
    ("until", "result"),
    [
        ("2027-01-15T08:15:00+00:00", "ok: temporary credentials until 2027-01-15T08:15:00+00:00, 15 minutes"),
        ("2027-01-15T08:14:59Z", "warning: temporary credentials until 2027-01-15T08:14:59Z, 15 minutes"),
        ("soon", "cannot tell: temporary credentials from the environment"),
        ("", "cannot tell: temporary credentials from the environment"),
    ],
)
def test_until_when_a_session_lasts_is_told_as_far_as_it_is_known(
    clinic: Clinic, until: str, result: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", until)
    found = session(clinic, Credentials("key", "secret", "token", method="env"))
    assert found["session"].startswith(result)


def test_keys_that_last_have_no_session_and_those_that_renew_themselves_need_none(clinic: Clinic) -> None:
    assert "session" not in session(clinic, Credentials("key", "secret", method="env"))
    sso = RefreshableCredentials("key", "secret", "token", None, None, "sso")
    assert session(clinic, sso)["session"] == "ok: temporary credentials (sso), which are refreshed automatically"
    assert (
        "renewed"
        not in session(clinic, Credentials("key", "secret", "token", method="shared-credentials-file"))["session"]
    )


# The state file


def test_who_holds_the_lock_is_named_and_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "dev.json"
    with locked(path, "up --env dev", "2026-11-22T12:00:00Z"):
        _, found = state_file.check(path)
        assert results(found)["lock"] == WARNING
        assert f"`iotpipe up --env dev`, process {os.getpid()}" in found[-1].found
        assert path.with_suffix(".lock").exists()
    assert results(state_file.check(path)[1])["lock"] == OK


def test_the_lock_of_another_machine_is_believed_and_what_a_dead_holder_left_is_not(tmp_path: Path) -> None:
    path = tmp_path / "dev.json"
    holder = {"pid": 1, "host": "elsewhere", "command": "up", "since": "2026-11-22T12:00:00Z"}
    path.with_suffix(".lock").write_text(json.dumps(holder))
    (found,) = [each for each in state_file.check(path)[1] if each.check == "lock"]
    assert found.result == WARNING
    assert f"rm {path.with_suffix('.lock')}" in found.remedy
    path.with_suffix(".lock").write_text(json.dumps(holder | {"host": socket.gethostname()}))
    assert results(state_file.check(path)[1])["lock"] == OK


@pytest.fixture
def not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The permissions of an ordinary owner, whoever runs the tests: root may write everywhere."""
    monkeypatch.setattr(os, "access", lambda path, mode: bool(os.stat(path).st_mode & stat.S_IWUSR))


@pytest.mark.usefixtures("not_root")
def test_a_state_directory_that_cannot_be_written_or_made_is_a_problem(tmp_path: Path) -> None:
    directory = tmp_path / "kept" / "state"
    path = directory / "dev.json"
    assert "state directory" not in results(state_file.check(path)[1])
    (tmp_path / "kept").mkdir(mode=0o500)
    (found,) = [each for each in state_file.check(path)[1] if each.check == "state directory"]
    assert (found.result, found.found.partition(":")[0]) == (
        PROBLEM,
        f"{tmp_path / 'kept'} is not writable, so that {directory} cannot be created",
    )
    assert "--state-dir" in found.remedy
    (tmp_path / "kept").chmod(0o700)
    directory.mkdir(mode=0o500)
    (found,) = [each for each in state_file.check(path)[1] if each.check == "state directory"]
    assert found.found.startswith(f"{directory} is not writable: ")
    directory.chmod(0o700)
    assert "state directory" not in results(state_file.check(path)[1])


@pytest.mark.usefixtures("not_root")
def test_a_directory_to_which_the_state_file_is_linked_must_be_writable_too(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(mode=0o500)
    (tmp_path / "dev.json").symlink_to(tmp_path / "shared" / "dev.json")
    (found,) = [each for each in state_file.check(tmp_path / "dev.json")[1] if each.check == "state directory"]
    assert found.found.startswith(f"{tmp_path / 'shared'} is not writable")


def test_a_file_in_place_of_the_state_directory_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    assert results(state_file.check(tmp_path / "state" / "dev.json")[1])["state directory"] == PROBLEM


def test_names_that_aws_keeps_back_are_told_with_the_seconds_that_are_left(clinic: Clinic) -> None:
    now = clinic.clock.now()  # 2027-01-15T08:00:00Z
    deleted = {
        "queue/a": "2027-01-15T07:59:30Z",
        "parameter/b": "2027-01-15T07:59:30Z",
        "queue/c": "2027-01-15T07:58:00Z",
    }
    (found,) = state_file.names_not_reusable_yet(deleted, now)
    assert found.result == WARNING
    assert found.found.endswith(": queue/a (30 s)")
    assert state_file.names_not_reusable_yet({}, now) == []
    # Another machine's clock may be wrong; `up` waits no longer than from now on.
    (found,) = state_file.names_not_reusable_yet({"queue/d": "2027-01-16T08:00:00Z"}, now)
    assert found.found.endswith(": queue/d (60 s)")


# What is there already


@pytest.mark.matrix
def test_what_bears_our_names_but_not_our_tags_is_a_problem_with_both_ways_out(clinic: Clinic) -> None:
    boto3.client("sqs").create_queue(QueueName="iot-dlq-dev")
    declared = declare(settings("", clinic.directory))
    (found,) = existing_resources.names(planning.plan(declared, clinic.run("doctor"), {}))
    assert found == Finding(
        "resources",
        PROBLEM,
        "queue/iot-dlq-dev already exists and lacks this environment's tags",
        "Choose another `suffix`, or adopt it as it is described in the configuration with `iotpipe up --adopt`, "
        "this one alone with `--adopt queue/iot-dlq-dev`",
    )


@pytest.mark.matrix
def test_an_alarm_whose_metric_nobody_has_seen_is_named(clinic: Clinic) -> None:
    declared = declare(settings("alerts: {emails: [ann@example.org, bob@example.org]}", clinic.directory))
    clinic.up(declared)
    cloudwatch = boto3.client("cloudwatch")
    for alarm in ("iot-dlq-depth-dev", "iot-queue-age-dev", "raw-table-throttles-dev"):
        cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="INSUFFICIENT_DATA", StateReason="no data")
    seen = {"MetricName": "ApproximateNumberOfMessagesVisible", "Value": 0}
    dimensions = [{"Name": "QueueName", "Value": "iot-dlq-dev"}]
    cloudwatch.put_metric_data(Namespace="AWS/SQS", MetricData=[seen | {"Dimensions": dimensions}])
    clinic.answers["ListSubscriptionsByTopic"] = lambda params: {
        "Subscriptions": [
            {"Endpoint": "ann@example.org", "Protocol": "email", "SubscriptionArn": "PendingConfirmation"},
            {"Endpoint": "bob@example.org", "Protocol": "email", "SubscriptionArn": "arn:aws:sns:1"},
        ]
    }
    run = clinic.run("doctor")
    planning.plan(declared, run, {})
    (blind,) = existing_resources.alarms(run, declared)
    assert blind.result == WARNING
    assert blind.found.endswith(": raw-table-throttles-dev, iot-queue-age-dev")
    (unconfirmed,) = existing_resources.alerts(run, declared)
    assert unconfirmed.result == WARNING
    assert unconfirmed.found.endswith(": ann@example.org")


def test_before_anything_is_up_alarms_and_addresses_are_no_matter(clinic: Clinic) -> None:
    declared = declare(settings("", clinic.directory))
    run = clinic.run("doctor")
    planning.plan(declared, run, {})
    clinic.calls.clear()
    assert existing_resources.alarms(run, declared) == existing_resources.alerts(run, declared) == []
    assert clinic.calls == []
