"""Text from elsewhere that would make a terminal obey it, or pose as a line of iotpipe's own, is shown escaped."""

from __future__ import annotations

import json
import os

import pytest

from tests.cli.test_logs_and_dlq import GOOD, fail, log, on_terminal, url
from tests.support.shell import Shell, settings

# Colours, a bell, the other escape (C1), text that runs backwards or is not seen, and a line that is not iotpipe's.
HOSTILE = "\x1b[31mred\x07\x9b2J\u202egnp\u200b\x7f\nerror: forged\r\nForged line"
# A letter, two selectors and a joiner that Python calls printable, and that are shown as nothing.
UNSEEN = "\u3164\ufe0f\U000e0141\u034f"
# What XML can carry.
IN_XML = "\x9b2J\u202egnp\u200b\nerror: forged"
OUTPUTS = ("plan -v", "plan --json", "status -v", "status --json", "logs", "logs --json")
OUTPUTS += ("dlq list", "dlq list --json", "doctor")


def assert_harmless(text: str) -> None:
    hidden = {each for each in text if (not each.isprintable() and each != "\n") or each in UNSEEN}
    assert not hidden, f"{hidden} in {text!r}"
    for line in text.splitlines():
        assert not line.startswith(("error: forged", "Forged line")), text


@pytest.fixture
def tainted(deployed: Shell) -> Shell:
    """An environment in which somebody wrote hostile text wherever AWS takes it."""
    group, role = "/aws/lambda/data-query-dev", "iot-query-lambda-role-dev"
    client = deployed.client
    config = {"batch_size": HOSTILE, HOSTILE: 1}
    client("ssm").put_parameter(Name="/iot-pipeline/dev/config", Value=json.dumps(config), Overwrite=True)
    client("lambda").update_function_configuration(
        FunctionName="data-query-dev", Environment={"Variables": {HOSTILE: HOSTILE}}, Description=HOSTILE
    )
    client("cloudwatch").set_alarm_state(AlarmName="iot-dlq-depth-dev", StateValue="ALARM", StateReason=IN_XML)
    client("cloudwatch").put_dashboard(DashboardName="iot-pipeline-dev", DashboardBody=json.dumps({"start": IN_XML}))
    client("logs").put_metric_filter(
        logGroupName=group,
        filterName=HOSTILE.replace(":", ""),
        filterPattern=HOSTILE,
        metricTransformations=[{"metricName": "a", "metricNamespace": "b", "metricValue": "1"}],
    )
    right = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": {"Bool": {HOSTILE: "true"}}}
    client("iam").put_role_policy(
        RoleName=role, PolicyName="iotpipe", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [right]})
    )
    statement = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sqs:*", "Resource": "*", "Sid": "a"}
    statement["Condition"] = {"StringLike": {"aws:UserAgent": HOSTILE}}
    client("sqs").set_queue_attributes(
        QueueUrl=url(deployed, "iot-dlq-dev"),
        Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})},
    )
    client("sqs").tag_queue(QueueUrl=url(deployed, "iot-dlq-dev"), Tags={HOSTILE: HOSTILE})
    fail(deployed, HOSTILE, json.dumps(GOOD | {"device_id": HOSTILE}), json.dumps(GOOD | {"timestamp": HOSTILE}))
    client("sqs").send_message(
        QueueUrl=url(deployed, "iot-dlq-dev"),
        MessageBody=json.dumps(GOOD),
        MessageAttributes={
            each: {"DataType": "String", "StringValue": HOSTILE.replace("\x07", "").replace("\x1b", "")}
            for each in ("device_id", "correlation_id")
        },
    )
    line = {"function": "query", "milliseconds": 1, "route": HOSTILE, "status": HOSTILE, HOSTILE: HOSTILE}
    log(deployed, "query", HOSTILE, json.dumps(line), json.dumps(line, ensure_ascii=False))
    return deployed


def test_what_others_wrote_is_shown_escaped_by_every_command(tainted: Shell) -> None:
    shown = {}
    for command in OUTPUTS:
        code = 1 if command.startswith("doctor") else 0
        done = tainted.run(*command.split(), "--env", "dev", code=code)
        assert_harmless(done.stdout)
        assert_harmless(done.stderr)
        shown[command] = done.stdout
        if "--json" in command and not command.startswith("logs"):
            json.loads(done.stdout)
    assert "\\x1b[31mred\\x07\\x9b2J\\u202egnp\\u200b\\x7f\\nerror: forged" in shown["plan -v"]
    assert "\\x9b2J\\u202egnp\\u200b\\nerror: forged" in shown["status -v"]
    assert "\\x1b[31mred" in shown["dlq list"] and "\\x1b[31mred" in shown["logs"]

    # A program gets what was written.
    assert HOSTILE in [each["body"] for each in json.loads(shown["dlq list --json"])["messages"]]
    messages = [json.loads(line)["message"] for line in shown["logs --json"].splitlines()]
    assert any(isinstance(each, dict) and each.get("route") == HOSTILE for each in messages)
    changes = [change for step in json.loads(shown["plan --json"])["steps"] for change in step["changes"]]
    assert any(change["before"] == HOSTILE for change in changes)


def test_on_a_terminal_only_iotpipes_own_colours_get_through(tainted: Shell) -> None:
    for command in ("plan", "status", "logs", "dlq list"):
        shown = on_terminal(tainted, *command.split(), "--env", "dev")
        for theirs in ("\x1b[31mred", "\x07", "\x9b", "\u202e", "\u200b", "\x7f", "\nerror: forged", "\nForged line"):
            assert theirs not in shown, f"{theirs!r} of {command}"


def test_up_and_down_tell_it_escaped_too(tainted: Shell) -> None:
    state = tainted.directory / ".iotpipe" / "dev.json"
    contents = json.loads(state.read_text())
    row = next(each for each in contents["resources"].values() if each["kind"] == "log-group")
    contents["resources"][f"log-group/{HOSTILE}"] = row | {"name": HOSTILE}
    state.write_text(json.dumps(contents))
    for words in (["up", "--strict", "--yes"], ["down", "--yes", "--delete-data"]):
        done = tainted.run(*words, "--env", "dev")
        assert_harmless(done.stdout)
        assert_harmless(done.stderr)


def test_what_was_typed_is_told_escaped(deployed: Shell) -> None:
    for words in (
        [HOSTILE],
        ["up", "--env", HOSTILE],
        ["up", HOSTILE],
        ["plan", f"--{HOSTILE}"],
        ["plan", "--env", "dev", "--adopt", HOSTILE],
        ["--config-dir", HOSTILE, "validate", "--env", "dev"],
        ["logs", "--env", "dev", "--since", HOSTILE],
        ["query", HOSTILE, "--env", "dev", "--order", HOSTILE],
        ["send-test-data", "--env", "dev", "--file", HOSTILE],
        ["--region", HOSTILE, "status", "--env", "dev"],
    ):
        done = deployed.run(*words, code=2)
        assert_harmless(done.stdout + done.stderr)


@pytest.mark.matrix
def test_what_stands_in_files_and_the_environment_is_told_escaped(shell: Shell) -> None:
    settings(shell, "dev", json.dumps({HOSTILE: HOSTILE, "suffix": HOSTILE, "tags": {HOSTILE: HOSTILE}}))
    done = shell.run("validate", "--env", "dev", code=2)
    assert_harmless(done.stdout + done.stderr)
    told = shell.run("validate", "--env", "dev", "--json", code=2).stdout
    assert_harmless(told)
    assert not json.loads(told)["valid"]

    settings(shell, "dev", "region: us-east-1\n")
    shell.extra = {"AWS_PROFILE": HOSTILE}
    done = shell.run("plan", "--env", "dev", code=1)
    assert_harmless(done.stdout + done.stderr)

    shell.extra = {}
    state = shell.directory / ".iotpipe" / "dev.json"
    state.parent.mkdir()
    for text in (HOSTILE, json.dumps({"version": HOSTILE}), json.dumps({"environment": HOSTILE, "account": HOSTILE})):
        state.write_text(text)
        os.chmod(state, 0o600)
        assert_harmless(shell.run("outputs", "--env", "dev", code=1).stderr)


@pytest.mark.matrix
def test_what_is_printable_and_not_seen_is_shown_escaped(shell: Shell) -> None:
    settings(shell, "dev", json.dumps({"tags": {UNSEEN: 1}, "suffix": UNSEEN}, ensure_ascii=False))
    done = shell.run("validate", "--env", "dev", code=2)
    assert_harmless(done.stderr)
    assert "\\u3164\\ufe0f\\U000e0141\\u034f" in done.stderr
    done = shell.run("validate", "--env", "dev", "--json", code=2)
    assert_harmless(done.stdout)
    assert any(UNSEEN in each["key"] for each in json.loads(done.stdout)["problems"])


@pytest.mark.parametrize(("words", "number"), [("bash", "3"), ("zsh", "3"), ("fish", "")])
def test_completion_offers_no_file_name_that_cannot_be_an_environment(shell: Shell, words: str, number: str) -> None:
    settings(shell, "dev", "")
    for name in (HOSTILE.replace("/", ""), UNSEEN, "$(id)"):
        (shell.directory / "config" / f"{name}.yaml").touch()
    typed = "iotpipe plan --env "
    shell.extra = {"_IOTPIPE_COMPLETE": f"{words}_complete", "COMP_WORDS": typed, "COMP_CWORD": number}
    shown = shell.run().stdout
    assert_harmless(shown)
    assert "dev" in shown and "$" not in shown
