"""The whole pipeline on the user's own AWS account: only when asked for, since it makes things there and costs cents.

    IOTPIPE_TEST_ACCOUNT=123456789012 AWS_PROFILE=sandbox python -m pytest tests/account

The account is named so that nobody's production is taken for a sandbox. What it makes has a suffix of its own, and
is taken down in the end, whatever happened.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from tests.support.engine_world import declared_count

ACCOUNT = "IOTPIPE_TEST_ACCOUNT"


@dataclass
class Sandbox:
    """A directory with one environment, `trial`, and the user's own credentials."""

    directory: Path
    suffix: str
    environment: Mapping[str, str]

    def run(self, *arguments: str, code: int = 0) -> str:
        """What iotpipe says on stdout and stderr; fails the test unless it exits with `code`."""
        command = [str(Path(sys.executable).with_name("iotpipe")), *arguments]
        done = subprocess.run(
            command, cwd=self.directory, env=dict(self.environment), capture_output=True, text=True, timeout=1200
        )
        assert done.returncode == code, f"{command} exits {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def client(self, service: str, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Somebody else in the same account."""
        for name in [each for each in os.environ if each.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        return boto3.Session().client(service)


@pytest.fixture
def sandbox(tmp_path: Path, users_environment: Mapping[str, str]) -> Iterator[Sandbox]:
    account = users_environment.get(ACCOUNT)
    if account is None:
        pytest.skip(f"{ACCOUNT} does not name an account to try things in")
    suffix = f"trial-{secrets.token_hex(3)}"
    functions = {name: {"reserved_concurrency": None, "timeout": 10} for name in ("ingestion", "processor", "query")}
    settings = {
        "account": account,
        "suffix": suffix,
        "queue": {"visibility_timeout": 60, "maximum_concurrency": 2},
        "functions": functions,
    }
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "trial.yaml").write_text(yaml.safe_dump(settings))
    sandbox = Sandbox(tmp_path, suffix, dict(users_environment) | {"IOTPIPE_ENV": "trial"})
    yield sandbox
    sandbox.run("down", "--yes", "--delete-data")
    # The role with which API Gateway logs belongs to the account, and may be there already.
    planned, every = sandbox.run("plan"), declared_count("dev")
    assert f"{every} to create" in planned or f"{every - 1} to create" in planned


def test_it_comes_up_works_is_repaired_and_goes(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.run("doctor")
    sandbox.run("up")
    sandbox.run("plan", "--exit-code")
    assert "Nothing to do" in sandbox.run("up")
    sandbox.run("send-test-data", "--count", "50", "--bad", "2", "--verify")

    iam, role = sandbox.client("iam", monkeypatch), f"iot-query-lambda-role-{sandbox.suffix}"
    iam.delete_role_policy(RoleName=role, PolicyName="iotpipe")
    steps = json.loads(sandbox.run("plan", "--json"))["steps"]
    assert [each["address"] for each in steps if each["action"] != "none"] == [f"role/{role}"]
    sandbox.run("up")
    sandbox.run("plan", "--exit-code")
