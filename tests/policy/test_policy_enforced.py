"""The real command as an IAM user with the printed policies and nothing else, on the embedded AWS."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from iotpipe.cli import iotpipe
from iotpipe.local.engine_directory import RootKey
from iotpipe.policy import parts
from tests.support.engine_world import declared_count
from tests.support.forked_commands import ForkedCommands
from tests.support.local_machine import Machine

pytestmark = pytest.mark.embedded

LOCAL = ("--env", "local")


class Operated:
    """A machine on which an IAM user types the commands, who has the policies of some groups and nothing else."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.run("local", "start")
        self.root = machine.root
        self.iam = machine.client("iam", self.root)
        self.iam.create_user(UserName="operator")
        made = self.iam.create_access_key(UserName="operator")["AccessKey"]
        self.made = 0
        # The command takes its key out of this file.
        key = RootKey(made["AccessKeyId"], made["SecretAccessKey"])
        (machine.engine_directory.path / "credentials.json").write_text(json.dumps(asdict(key)))

    def may(self, *groups: str) -> None:
        """From now on the user has the policies that are printed for these groups, and no others."""
        for each in self.iam.list_attached_user_policies(UserName="operator")["AttachedPolicies"]:
            self.iam.detach_user_policy(UserName="operator", PolicyArn=each["PolicyArn"])
        chosen = [word for group in groups for word in ("--for", group)]
        place = ["--state-dir", str(self.machine.engine_directory.path.parent), *LOCAL]
        printed = CliRunner().invoke(iotpipe, [*place, "policy", *chosen]).stdout
        for part in parts(json.loads(printed)):
            self.made += 1
            text = json.dumps(as_ministack_sees_it(part))
            policy = self.iam.create_policy(PolicyName=f"policy-{self.made}", PolicyDocument=text)["Policy"]
            self.iam.attach_user_policy(UserName="operator", PolicyArn=policy["Arn"])

    def comes_and_goes(self, name: str) -> None:
        """A device for its whole life: everything that `device` does with it. Fails the test at the first refusal."""
        run = self.machine.run
        run("device", "add", name, *LOCAL)
        run("device", "list", *LOCAL)
        assert "ACTIVE" in run("device", "show", name, *LOCAL).stdout
        run("device", "rotate", name, *LOCAL)
        # No message came with the new certificate yet, which only the log tells.
        assert "has not sent anything" in run("device", "rotate", name, "--finish", *LOCAL, code=1).stderr
        run("device", "rotate", name, "--finish", "--force", *LOCAL)
        run("device", "revoke", name, *LOCAL)
        run("device", "remove", name, *LOCAL, "--yes")

    def there(self) -> list[str]:
        """What is in the account: tables, queues, functions and roles."""
        client = self.machine.client
        return [
            *client("dynamodb", self.root).list_tables()["TableNames"],
            *client("sqs", self.root).list_queues().get("QueueUrls", []),
            *(each["FunctionName"] for each in client("lambda", self.root).list_functions()["Functions"]),
            *(each["RoleName"] for each in self.iam.list_roles()["Roles"]),
        ]

    def open_to_everybody(self) -> None:
        """What somebody else may do in the account: a function URL, and a queue that everybody may send to."""
        functions, sqs = self.machine.client("lambda", self.root), self.machine.client("sqs", self.root)
        functions.create_function_url_config(FunctionName="data-ingestion-local", AuthType="NONE")
        anybody = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [{"Sid": "added", **anybody}]})
        url = sqs.get_queue_url(QueueName="iot-ingestion-queue-local")["QueueUrl"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})

    def unseen(self, *place: str) -> list[str]:
        """The sources that `status --watch` cannot read."""
        with self.machine.begin("status", "--watch", "--json", *place) as process:
            assert process.stdout
            sources = json.loads(process.stdout.readline())["sources"]
            process.send_signal(signal.SIGINT)
        return [each["name"] for each in sources if each["problem"]]

    def denied(self, *command: str) -> None:
        """The command fails, says what to do about it, and nothing has changed."""
        before = self.there()
        said = self.machine.run(*command, code=1).stderr
        assert "not authorized to perform" in said
        assert f"`iotpipe policy --env {command[command.index('--env') + 1]}` prints all that are needed" in said
        assert self.there() == before


OTHER_NAMES = {
    "lambda:ListLayerVersions": "lambda:ListLayers",
    "lambda:GetLayerVersionPolicy": "lambda:ListLayers",
    "lambda:GetEventSourceMapping": "lambda:ListEventSourceMappings",
    "lambda:DeleteFunctionConcurrency": "lambda:PutFunctionConcurrency",
    "lambda:DeleteFunctionUrlConfig": "lambda:CreateFunctionUrlConfig",
}
"""What ministack 1.5.33 takes these actions for."""

NAMELESS = (
    *("logs:DescribeLogGroups", "ssm:DescribeParameters", "sns:TagResource", "sns:UntagResource", "sns:Unsubscribe"),
    *("sns:ListTagsForResource", "cloudwatch:DescribeAlarms", "cloudwatch:DeleteAlarms", "cloudwatch:TagResource"),
    *("cloudwatch:UntagResource", "cloudwatch:ListTagsForResource", "cloudwatch:GetDashboard"),
    *("cloudwatch:PutDashboard", "cloudwatch:DeleteDashboards", "lambda:CreateFunction"),
    *("dynamodb:ListTagsOfResource", "dynamodb:TagResource", "dynamodb:UntagResource"),
    *("dynamodb:GetResourcePolicy", "dynamodb:PutResourcePolicy", "dynamodb:DeleteResourcePolicy"),
    *("sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes", "iot:ListTargetsForPolicy"),
    *("iot:AttachPolicy", "iot:DetachPolicy", "iot:AttachThingPrincipal", "iot:DetachThingPrincipal"),
    *("iot:ListPrincipalThings", "iot:DeleteConnection", "iot:GetConnection"),
)
"""Actions of which it does not see what they are about; AWS does."""

UNKNOWN_KEYS = (
    *("aws:ResourceTag/iotpipe:environment", "aws:RequestTag/iotpipe:environment"),
    *("lambda:FunctionArn", "lambda:Principal", "iot:thingArn"),
)
"""Conditions that it cannot judge: it knows no keys of Lambda's and AWS IoT's, and no tags of APIs and mappings."""


def as_ministack_sees_it(policy: dict[str, Any]) -> dict[str, Any]:
    """The policy, wider where ministack is blind. What that hides, test_policy_commands shows."""
    statements = []
    for statement in policy["Statement"]:
        if any(key in UNKNOWN_KEYS for tests in statement.get("Condition", {}).values() for key in tests):
            del statement["Condition"]
        actions = [OTHER_NAMES.get(each, each) for each in statement["Action"]]
        statements.append(statement | {"Action": actions})
        if nameless := [each for each in actions if each in NAMELESS]:
            statements.append({"Effect": "Allow", "Action": nameless, "Resource": "*"})
    return policy | {"Statement": statements}


@pytest.fixture
def operated(tmp_path: Path, request: pytest.FixtureRequest, forked: ForkedCommands) -> Iterator[Operated]:
    cache: Path = request.config.cache.mkdir("layers")  # type: ignore[union-attr]  # the plugin is always there
    machine = Machine(tmp_path, cache, forked)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "other.yaml").write_text("target: local\n")
    yield Operated(machine)
    machine.end()


def test_the_policies_suffice_for_every_command_and_each_groups_alone_for_no_more(operated: Operated) -> None:
    machine = operated.machine
    operated.may("plan")
    assert f"{declared_count('local')} to create" in machine.run("plan", *LOCAL).stdout
    assert machine.json("plan", *LOCAL)["unread"] == []
    operated.denied("up", *LOCAL)

    operated.may("plan", "up", "down", "operate")
    machine.run("up", *LOCAL)
    operated.denied("plan", "--env", "other")
    operated.open_to_everybody()
    machine.run("up", *LOCAL, "--strict", "--yes")
    assert machine.json("plan", *LOCAL, "--strict")["unread"] == []

    operated.may("operate")
    assert "each exactly once" in machine.run("send-test-data", *LOCAL, "--count", "5", "--verify").stdout
    declared = machine.json("graph", *LOCAL, "--what", "dependencies")
    assert f"{len(declared)} live" in machine.run("status", *LOCAL).stdout
    assert "temperature" in machine.run("query", "sensor-001", *LOCAL).stdout
    operated.denied("down", *LOCAL, "--yes")

    operated.may("devices")
    operated.comes_and_goes("roof")
    operated.denied("plan", *LOCAL)

    operated.may("view")
    assert operated.unseen(*LOCAL) == []
    operated.denied("plan", *LOCAL)

    operated.may("plan")
    assert {*operated.unseen(*LOCAL)} == {"counts", "devices"}
    sent = machine.run("send-test-data", *LOCAL, "--count", "5", code=1)
    assert "403" in sent.stderr
    assert "iotpipe policy --for operate" in sent.stderr
    operated.denied("down", *LOCAL, "--yes")

    operated.may("down")
    # What is not recorded has to be found, which takes rights of its own.
    (machine.engine_directory.path.parent / "local.json").unlink()
    machine.run("down", *LOCAL, "--yes", "--delete-data")
    assert machine.json("local", "status")["running"] is False
