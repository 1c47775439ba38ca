"""docs/json.md describes what --json answers: every key that comes is described, every key that is described comes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click
import pytest

from iotpipe.cli import iotpipe
from tests.cli.test_logs_and_dlq import GOOD, LINE, fail, log
from tests.support.json_shapes import assert_as_described, described, keys
from tests.support.shell import Shell, settings


def test_every_command_takes_json_and_is_described() -> None:
    def commands(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
        for name, each in group.commands.items():
            if isinstance(each, click.Group):
                yield from commands(each, f"{before}{name} ")
            else:
                yield f"{before}{name}", each

    there = dict(commands(iotpipe))
    for name, command in there.items():
        assert "--json" in {one for option in command.params for one in option.opts}, name
    assert {*there, "errors"} == {*described()}


def test_what_is_answered_is_described(deployed: Shell) -> None:
    deployed.client("sns").set_topic_attributes(
        TopicArn="arn:aws:sns:us-east-1:123456789012:iot-alerts-dev", AttributeName="DisplayName", AttributeValue="x"
    )
    deployed.client("sqs").add_permission(
        QueueUrl=deployed.client("sqs").get_queue_url(QueueName="iot-dlq-dev")["QueueUrl"],
        Label="other",
        AWSAccountIds=["999999999999"],
        Actions=["ReceiveMessage"],
    )
    fail(deployed, "poison", json.dumps(GOOD))
    log(deployed, "query", "plain", LINE)
    settings(deployed, "bad", "queue: 1\n")
    for command in ("plan", "status", "outputs", "doctor", "graph", "policy", "dlq list"):
        answer = deployed.json(*command.split(), "--env", "dev", code=1 if command == "doctor" else 0)
        assert_as_described(command, answer)
    lines = deployed.run("logs", "--json", "--env", "dev").stdout.splitlines()
    assert_as_described("logs", *map(json.loads, lines))
    assert_as_described("dlq purge", deployed.json("dlq", "purge", "--yes", "--env", "dev"))
    good, bad = deployed.json("validate", "--env", "dev"), deployed.json("validate", "--env", "bad", code=2)
    assert_as_described("validate", good, bad)
    again = deployed.json("init")
    deployed.directory.joinpath("config", "schema.json").unlink(missing_ok=True)
    assert_as_described("init", again, deployed.json("init"))
    assert_as_described("up", deployed.json("up", "--env", "dev"))
    assert_as_described("down", deployed.json("down", "--yes", "--env", "dev"))


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["up", "--env", "nosuch"], 2, "environment nosuch has no file"),
        (["plan", "--frobnicate"], 2, "No such option"),
        (["outputs", "--env", "dev"], 2, "dev is not up"),
        (["validate", "--env", "bad"], 2, ""),
        (["graph", "--env", "bad"], 2, "the configuration has 1 problem"),
    ],
)
def test_an_error_is_one_line_of_json_on_stderr(cloud: Shell, words: list[str], code: int, told: str) -> None:
    settings(cloud, "bad", "queue: 1\n")
    done = cloud.run(*words, "--json", code=code)
    if not told:
        assert json.loads(done.stdout)["problems"]
        return
    found = json.loads(done.stderr.splitlines()[-1])
    assert told in found["error"] and found["exit_code"] == code
    assert {*keys(found)} <= {*described()["errors"], *(f"{each}" for each in described()["errors"])}
    assert not done.stdout
