"""`plan` and `up` with `--adopt` as a user types it, where Terraform's stack is up in another process's AWS."""

from __future__ import annotations

import os
import pty
import subprocess
from collections import Counter

import pytest

from tests.support.engine_world import declared_count
from tests.support.original_stack import Original
from tests.support.shell import Shell, read_until, settings, writes

ROLE = "role/iot-query-lambda-role-dev"


@pytest.fixture
def original(cloud: Shell) -> Original:
    made = Original(cloud.client).make()
    settings(cloud, "dev", "api: {stage: prod}")
    cloud.operations()
    return made


def test_adopt_shows_takes_over_and_lists_what_is_left_behind(cloud: Shell, original: Original) -> None:
    plan = cloud.run("plan", "--env", "dev", "--adopt")
    assert "~ update  rest-api/iot-api-dev  (adopted)" in plan.stdout
    assert "5 foreign: `iotpipe up --strict` removes them." in plan.stdout
    actions = Counter(step["action"] for step in cloud.json("plan", "--env", "dev", "--adopt")["steps"])
    assert f"{actions['create']} to create, {actions['update']} to update, 3 unchanged." in plan.stdout

    asked = cloud.run("up", "--env", "dev", "--adopt", code=2)
    assert f"! lost   {ROLE}: the managed policy arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess" in asked.stderr
    assert "Pass --yes" in asked.stderr
    assert writes(cloud.operations()) == []

    done = cloud.run("up", "--env", "dev", "--adopt", "--yes")
    assert "5 foreign: `iotpipe up --strict` removes them." in done.stderr
    assert f"https://{original.api}.execute-api.us-east-1.amazonaws.com/prod" in done.stdout
    cloud.operations()
    again = cloud.run("up", "--env", "dev")
    assert f"Nothing to do: {declared_count('dev')} resources are as declared." in again.stderr
    assert writes(cloud.operations()) == []
    assert len(cloud.json("plan", "--env", "dev")["foreign"]) == 5


def test_a_no_adopts_nothing(cloud: Shell, original: Original) -> None:
    mine, others = pty.openpty()
    with subprocess.Popen(
        cloud.command("up", "--env", "dev", "--adopt"),
        cwd=cloud.directory,
        env=cloud.environment | {"TERM": "xterm"},
        stdin=others,
        stdout=others,
        stderr=others,
    ) as process:
        os.close(others)
        shown = read_until(mine, "[y/N]")
        os.write(mine, b"n\n")
        assert process.wait(30) == 2
    os.close(mine)
    assert "Take these 9 policies off the roles that are adopted?" in shown
    assert writes(cloud.operations()) == []


def test_an_address_takes_over_one_resource_and_leaves_the_rest(cloud: Shell, original: Original) -> None:
    queue = "queue/iot-dlq-dev"
    plan = cloud.json("plan", "--env", "dev", "--adopt", queue)
    assert [(each["address"], each["adopted"]) for each in plan["steps"]] == [(queue, True)]
    assert len([each for each in plan["later"] if f"--adopt {each['address']}" in each["refusal"]]) == 27
    done = cloud.run("up", "--env", "dev", "--adopt", queue)
    assert writes(cloud.operations()) == ["TagQueue"]
    assert "leave   27 not adopted yet: table/raw-sensor-data-dev, " in done.stderr
    assert "1 updated" in done.stderr
    refused = cloud.run("up", "--env", "dev", code=1).stderr
    assert "--adopt table/raw-sensor-data-dev" in refused and f"--adopt {queue}" not in refused
    assert writes(cloud.operations()) == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (("--adopt", "table/raw-sensor-data"), "--adopt table/raw-sensor-data: nothing was changed, no such resource"),
        # As from `--adopt "$ADDRESS"` where nobody has set ADDRESS.
        (("--adopt", ""), "--adopt '': nothing was changed, no such resource"),
        (("--strict", "--adopt", "queue/iot-dlq-dev"), "what is not adopted yet may need what --strict removes"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_changed(
    said: tuple[str, ...], told: str, cloud: Shell, original: Original
) -> None:
    refused = cloud.run("up", "--env", "dev", "--yes", *said, code=2).stderr
    assert told in refused
    assert writes(cloud.operations()) == []
