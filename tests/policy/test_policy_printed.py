"""`iotpipe policy` as it is typed: what it asks AWS, what it prints where."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from moto import mock_aws

from iotpipe.cli import iotpipe
from iotpipe.errors import CredentialsError, LedgerOfAnotherAccount, UsageError

NOW = "2026-11-22T12:00:00Z"
NAMED = 'account: "123456789012"\nregion: eu-central-1\n'


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials, and with a region that is not the configuration's."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    return tmp_path


def typed(directory: Path, settings: str, *arguments: str) -> Result:
    (directory / "config" / "dev.yaml").write_text(settings)
    return CliRunner().invoke(iotpipe, ["policy", "--env", "dev", *arguments])


def record(directory: Path, account: str, *, api: str = "") -> None:
    head = {"format": 1, "environment": "dev", "account": account, "region": "eu-west-1"}
    (directory / ".iotpipe").mkdir()
    row = {"kind": "queue", "name": "iot-dlq-old", "status": "ready", "properties": {}, "needs": [], "inside": ""}
    row |= {"created_at": NOW, "updated_at": NOW}
    rows = {"queue/iot-dlq-old": row}
    if api:
        rows["rest-api/iot-api-dev"] = row | {
            "kind": "rest-api",
            "name": "iot-api-dev",
            "properties": {"RestApiId": api},
        }
    state = head | {"protected": False, "resources": rows, "deleted": {}}
    (directory / ".iotpipe" / "dev.json").write_text(json.dumps(state))


def test_with_account_and_region_configured_it_needs_no_credentials(directory: Path) -> None:
    done = typed(directory, NAMED, "--for", "operate")
    assert done.exit_code == 0
    policy = json.loads(done.stdout)
    named = [each for statement in policy["Statement"] for each in statement["Resource"]]
    assert "arn:aws:sqs:eu-central-1:123456789012:iot-dlq-dev" in named
    said = re.search(r"([0-9,]+) characters of 6,144", done.stderr)
    assert said
    assert int(said[1].replace(",", "")) == len(json.dumps(policy, separators=(",", ":")))
    assert "aws iam create-policy --policy-name iotpipe-dev-operate-$n --policy-document file://" in done.stderr


def test_the_state_file_says_it_as_well_and_what_is_still_to_be_deleted(directory: Path) -> None:
    record(directory, "210987654321")
    printed = typed(directory, "").stdout
    assert "arn:aws:sqs:eu-west-1:210987654321:iot-dlq-dev" in printed
    assert "arn:aws:sqs:eu-west-1:210987654321:iot-dlq-old" in printed


def test_a_state_file_of_another_account_is_refused(directory: Path) -> None:
    record(directory, "210987654321")
    assert isinstance(typed(directory, NAMED).exception, LedgerOfAnotherAccount)


def test_where_nothing_says_it_aws_is_asked(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = typed(directory, "region: eu-central-1\n").exception
    assert isinstance(refused, CredentialsError)
    assert refused.hint == "Set `account` and `region` in dev.yaml, and AWS need not be asked"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        assert "arn:aws:sqs:eu-central-1:123456789012:iot-dlq-dev" in typed(directory, "region: eu-central-1\n").stdout


def test_the_local_environment_is_known_without_its_aws(directory: Path) -> None:
    done = CliRunner().invoke(iotpipe, ["policy", "--env", "local"])
    assert "arn:aws:sqs:us-east-1:000000000000:iot-dlq-local" in done.stdout
    assert not (directory / ".iotpipe").exists()


@pytest.mark.matrix
def test_what_is_too_large_is_shown_to_come_in_parts_that_are_all_of_it(directory: Path) -> None:
    whole = typed(directory, NAMED)
    assert "so that it takes 3" in whole.stderr
    assert "for n in 1 2 3; do" in whole.stderr
    assert "iotpipe policy --env dev --part $n" in whole.stderr
    printed = [typed(directory, NAMED, "--part", part) for part in ("1", "2", "3")]
    assert [each.stderr for each in printed] == ["", "", ""]
    statements = [statement for each in printed for statement in json.loads(each.stdout)["Statement"]]
    assert statements == json.loads(whole.stdout)["Statement"]
    assert isinstance(typed(directory, NAMED, "--part", "4").exception, UsageError)


def test_for_what_fits_into_one_policy_the_commands_that_make_it_are_printed(directory: Path) -> None:
    # Short names: with longer ones it would not fit.
    done = typed(directory, 'account: "123456789012"\nregion: us-east-1\nsuffix: d\n', "--for", "plan")
    said, *commands = done.stderr.splitlines()[:3]
    assert said.endswith("To make it one:")
    assert [each.strip() for each in commands] == [
        "iotpipe policy --env dev --for plan > policy.json",
        "aws iam create-policy --policy-name iotpipe-dev-plan --policy-document file://policy.json",
    ]


@pytest.mark.parametrize(("api", "told"), [("", True), ("abcdefghij", False)])
def test_until_the_api_has_an_id_the_user_is_told_to_print_it_again(directory: Path, api: str, told: bool) -> None:
    record(directory, "210987654321", api=api)
    assert ("Print it again after the first `up`" in typed(directory, "").stderr) is told


def test_a_configured_boundary_is_demanded(directory: Path) -> None:
    boundary = "arn:aws:iam::123456789012:policy/boundary"
    done = typed(directory, NAMED + f"functions: {{permissions_boundary: '{boundary}'}}\n", "--for", "up")
    made = next(each for each in json.loads(done.stdout)["Statement"] if "iam:CreateRole" in each["Action"])
    assert made["Condition"] == {"StringEquals": {"iam:PermissionsBoundary": boundary}}


@pytest.mark.parametrize("asks", ["true", "false"])
def test_the_key_may_be_read_where_it_is_asked_for(directory: Path, asks: str) -> None:
    done = typed(directory, NAMED + f"api: {{require_api_key: {asks}}}\n", "--for", "operate")
    assert ("ApiKey" in done.stdout) is (asks == "true")
