"""The whole examination: nothing hides anything else, every trouble has its remedy, and it changes nothing."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import boto3
import pytest

from iotpipe import target
from iotpipe.checks import embedded_aws
from iotpipe.checks.examine import examine
from iotpipe.checks.finding import OK, PROBLEM, UNKNOWN, WARNING, Finding
from iotpipe.errors import CredentialsError
from iotpipe.local import install_hint
from iotpipe.local.engine_directory import EngineDirectory, Record
from iotpipe.provision.aws import Aws
from iotpipe.provision.resources import SERVICES
from iotpipe.render import doctor
from iotpipe.target import Options
from tests.support.checks_world import Clinic, artifacts, declare, limits, results, settings
from tests.support.engine_world import refusal

Connect = Any


def examined(clinic: Clinic, text: str | None = "", name: str = "dev") -> tuple[Aws | None, list[Finding]]:
    """What `iotpipe doctor` finds, in a directory with this configuration."""
    if text is not None:
        (clinic.directory / f"{name}.yaml").write_text(text)
    package = artifacts()
    options = Options(name, clinic.directory, clinic.directory / "state")
    return examine(options, lambda env: package, clinic.clock)


@pytest.fixture(autouse=True)
def reached(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clients of the tests instead of new ones, and an account that is large enough."""

    def connect(profile: Any, region: Any, account: str | None, *rest: Any) -> Aws:
        if account == "999999999999":
            raise CredentialsError("the credentials belong to account 123456789012", "Choose other credentials")
        return clinic.connect()

    monkeypatch.setattr(target, "connect", connect)
    monkeypatch.setattr(doctor, "terminal", lambda stream: False)
    clinic.answers["GetAccountSettings"] = limits(1000)


def told(clinic: Clinic, text: str | None = "", name: str = "dev") -> list[Finding]:
    """What is found; each trouble must come with something to do."""
    _, findings = examined(clinic, text, name)
    assert not [each for each in findings if not each.found or bool(each.remedy) == (each.result == OK)]
    assert clinic.writes in ([], ["SimulatePrincipalPolicy"] * len(clinic.writes))
    return findings


@pytest.mark.matrix
def test_where_nothing_is_in_the_way_everything_is_ok_and_said_in_order(clinic: Clinic) -> None:
    assert list(results(told(clinic)).items()) == [
        (check, OK)
        for check in (
            *("configuration", "state file", "lock", "credentials", "runtime", "packages", "bytecode", "permissions"),
            *("concurrency", "API logging role", "KMS key", "code storage", "resources"),
        )
    ]
    assert not (clinic.directory / "state").exists()


def test_one_trouble_hides_no_other(clinic: Clinic) -> None:
    state = clinic.directory / "state" / "dev.json"
    state.parent.mkdir()
    state.write_text("{")
    findings = told(clinic, 'account: "999999999999"\nfunctions: {runtime: python3.11}\n')
    found = results(findings)
    assert found["state file"] == found["credentials"] == PROBLEM
    assert found["runtime"] == WARNING
    assert found["AWS"] == UNKNOWN
    assert found["packages"] == OK
    assert state.read_text() == "{"

    findings = told(clinic, "queue: {batch_size: 50}\nfuncs: {}\n")
    problems = [each.found for each in findings if each.check == "configuration"]
    assert len(problems) == 2
    assert problems[0].startswith(f"{clinic.directory}/dev.yaml:1: queue.batch_size: Lambda refuses")
    assert (results(findings)["credentials"], results(findings)["everything else"]) == (OK, UNKNOWN)


def test_a_state_file_of_another_account_is_a_problem_and_one_of_ours_is_counted(clinic: Clinic) -> None:
    state = clinic.directory / "state" / "dev.json"
    state.parent.mkdir()
    contents = {"format": 1, "environment": "dev", "account": "999999999999", "region": "us-east-1"}
    contents |= {"protected": False, "resources": {}, "deleted": {"queue/iot-dlq-dev": "2027-01-15T07:59:30Z"}}
    state.write_text(json.dumps(contents))
    found = next(each for each in told(clinic) if each.check == "state file")
    assert (found.result, "belongs to account 999999999999" in found.found) == (PROBLEM, True)
    state.write_text(json.dumps(contents | {"account": "123456789012"}))
    findings = told(clinic)
    assert "records 0 resources in account 123456789012" in next(e.found for e in findings if e.check == "state file")


def test_what_may_not_be_read_is_a_problem_and_what_may_not_be_asked_cannot_be_told(clinic: Clinic) -> None:
    for operation in ("GetTopicAttributes", "DescribeAlarms", "GetAccountSettings", "SimulatePrincipalPolicy"):
        denied = refusal(operation, "AccessDenied", f"User: ann is not authorized to perform: {operation}")
        clinic.answers[operation] = lambda params, denied=denied: denied
    findings = told(clinic)
    found = results(findings)
    assert (found["resources"], found["permissions"], found["concurrency"]) == (PROBLEM, UNKNOWN, UNKNOWN)
    topic, alarms = (each for each in findings if each.check == "resources")
    prints = "`iotpipe policy --env dev` prints all that are needed"
    assert topic.remedy == f"The credentials need the permission for GetTopicAttributes: {prints}"
    assert alarms.remedy == f"The credentials need the permission for DescribeAlarms: {prints}"
    others = sum(each.kind == "alarm" for each in declare(settings("", clinic.directory))) - 1
    assert alarms.found.endswith(f"not authorized to perform: DescribeAlarms (and {others} more)")


def test_credentials_that_expire_meanwhile_are_said_once_and_take_nothing_else_away(clinic: Clinic) -> None:
    for operation in ("GetTopicAttributes", "GetAccountSettings", "SimulatePrincipalPolicy"):
        expired = refusal(operation, "ExpiredToken", "The security token included in the request is expired")
        clinic.answers[operation] = lambda params, expired=expired: expired
    findings = told(clinic)
    assert [each.result for each in findings if each.check == "credentials"] == [OK, PROBLEM]
    assert results(findings)["API logging role"] == OK


def test_people_read_lines_and_programs_read_json(clinic: Clinic, capsys: pytest.CaptureFixture[str]) -> None:
    aws = clinic.connect()
    findings = [Finding("lock", OK, "nobody"), Finding("concurrency", PROBLEM, "too little", "Ask for more")]
    doctor.show_report("dev", aws, findings, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "dev in account 123456789012, us-east-1",
        "  ok           lock                nobody",
        "  problem      concurrency         too little",
        "                                   → Ask for more",
        "1 problem, 1 ok.",
    ]
    doctor.show_report("dev", None, findings, as_json=True)
    data = json.loads(capsys.readouterr().out)
    assert data["summary"] == {"problem": 1, "warning": 0, "cannot tell": 0, "ok": 1}
    assert data["account"] is data["region"] is None
    assert data["findings"][1] == {
        "check": "concurrency",
        "result": "problem",
        "found": "too little",
        "remedy": "Ask for more",
    }


def test_on_a_terminal_what_is_long_goes_on_below_its_own_beginning(
    clinic: Clinic, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "terminal", lambda stream: True)
    findings = [Finding("lock", OK, "nobody"), Finding("packages", WARNING, "word " * 50, "Do it")]
    doctor.show_report("dev", clinic.connect(), [*findings, Finding("role", OK, "X" * 400)], as_json=False)
    shown = capsys.readouterr().out
    assert shown.count("X") == 400
    first, more, remedy = shown.splitlines()[2:5]
    at = first.index("word")
    assert first.startswith("  warning  packages")
    assert more.startswith(" " * at + "word")
    assert remedy.rstrip() == " " * at + "→ Do it"


# The embedded AWS


def test_an_embedded_aws_that_does_not_run_is_started_by_up_and_nothing_is_asked_of_any_account(clinic: Clinic) -> None:
    findings = told(clinic, None, "local")
    assert results(findings) == dict.fromkeys(
        ("configuration", "state file", "lock", "embedded AWS", "disk", "packages"), OK
    )
    assert "`up` starts it" in next(each.found for each in findings if each.check == "embedded AWS")
    assert clinic.calls == []
    assert not (clinic.directory / "state").exists()


def test_an_emulator_that_the_user_runs_is_asked_about_what_is_there_but_not_about_limits_or_metrics(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = {"iotpipe:environment": "local", "iotpipe:managed-by": "iotpipe"}
    boto3.client("cloudwatch").put_metric_alarm(
        AlarmName="iot-dlq-depth-local",
        MetricName="m",
        Namespace="n",
        ComparisonOperator="GreaterThanThreshold",
        Threshold=1,
        EvaluationPeriods=1,
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )
    shared = clinic.connect()
    for service in (*SERVICES, "resourcegroupstaggingapi"):
        shared.client(service)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    monkeypatch.setattr(
        target,
        "connect",
        lambda profile, region, account, emulator, services: Aws(
            shared.session,
            "123456789012",
            "us-east-1",
            "arn:aws:iam::123456789012:root",
            True,
            emulator,
            shared._clients,
        ),
    )
    findings = told(clinic, None, "local")
    checks = ("configuration", "state file", "lock", "embedded AWS", "credentials", "packages", "resources")
    assert results(findings) == dict.fromkeys(checks, OK)
    assert "http://127.0.0.1:4566" in next(each.found for each in findings if each.check == "embedded AWS")
    assert "GetAccountSettings" not in clinic.calls


def test_a_port_that_another_program_has_taken_is_told(tmp_path: Path) -> None:
    directory = EngineDirectory(tmp_path)
    directory.create()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        directory.write(Record(other.getsockname()[1]))
        warned = [each for each in embedded_aws.check(directory) if each.result == WARNING]
        assert [each.found for each in warned] == [f"its port {other.getsockname()[1]} is taken by another program"]
    assert [each.result for each in embedded_aws.check(directory)] == [OK, OK]


def test_what_is_missing_for_the_embedded_aws_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_aws.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 499 * 2**20})())
    assert results(embedded_aws.check(EngineDirectory(tmp_path / "gone")))["disk"] == WARNING
    directory = EngineDirectory(tmp_path)
    directory.create()
    (tmp_path / "engine.json").write_text("{")
    assert "`iotpipe local reset`" in embedded_aws.check(directory)[-1].remedy
    monkeypatch.setattr(install_hint.importlib.util, "find_spec", lambda name: None)
    (found,) = embedded_aws.check(directory)
    assert (found.result, found.remedy) == (PROBLEM, install_hint.remedy())
