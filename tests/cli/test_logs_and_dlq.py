"""`status`, `logs` and `dlq` as a person on call types them, against an AWS in another process."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import threading
import time
from typing import Any

import pytest

from tests.support.device_messages import published
from tests.support.shell import Shell, writes

GOOD = {
    "version": 1,
    "device_id": "sensor-1",
    "event_date": "2026-01-15T10:30:00.000Z#012345678901234567",
    "timestamp": 1768473000000,
    "received_at": "2026-01-15T10:30:01.000Z",
    "sensor_data": {"temperature": 25.5},
}
LINE = {
    "environment": "dev",
    "function": "ingestion",
    "route": "/ingest",
    "status": 200,
    "correlation_id": "abc-1",
    "milliseconds": 12.5,
    "accepted": 25,
    "duplicates": 0,
    "cold_starts": 1,
    "_aws": {"Timestamp": 1},
}


def log(shell: Shell, function: str, *messages: Any, ago: int = 5) -> None:
    """Entries of one function instance, the first of them `ago` seconds old."""
    group, stream = f"/aws/lambda/data-{function}-dev", f"stream-{time.monotonic_ns()}"
    logs = shell.client("logs")
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    begin = int(time.time() * 1000) - ago * 1000
    texts = [each if isinstance(each, str) else json.dumps(each) for each in messages]
    events = [{"timestamp": begin + number, "message": f"{text}\n"} for number, text in enumerate(texts)]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def fail(shell: Shell, *bodies: str) -> None:
    """Messages into the dead-letter queue."""
    for body in bodies:
        shell.client("sqs").send_message(QueueUrl=url(shell, "iot-dlq-dev"), MessageBody=body)


def url(shell: Shell, name: str) -> str:
    return str(shell.client("sqs").get_queue_url(QueueName=name)["QueueUrl"])


def waiting(shell: Shell, name: str) -> int:
    asked = ["ApproximateNumberOfMessages"]
    found = shell.client("sqs").get_queue_attributes(QueueUrl=url(shell, name), AttributeNames=asked)["Attributes"]
    return int(found["ApproximateNumberOfMessages"])


def let_nothing_take_messages(shell: Shell) -> None:
    """Without their triggers the functions leave in the queues what is sent back."""
    for mapping in shell.client("lambda").list_event_source_mappings()["EventSourceMappings"]:
        shell.client("lambda").update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)


def on_terminal(shell: Shell, *arguments: str) -> str:
    """What the command draws on a terminal that knows colours."""
    mine, theirs = pty.openpty()
    with subprocess.Popen(
        shell.command(*arguments),
        cwd=shell.directory,
        env=shell.environment | {"TERM": "xterm"},
        stdout=theirs,
        stderr=theirs,
        stdin=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(mine, 4096)
            except OSError:  # its last holder has closed it
                break
        process.wait(30)
    os.close(mine)
    return shown.decode()


# status


def test_where_all_is_well_status_is_short(deployed: Shell) -> None:
    declared = deployed.json("graph", "--what", "dependencies")
    assert deployed.run("status").stdout.splitlines() == [
        "dev in account 123456789012, us-east-1",
        f"  resources  {len(declared)} live",
        "  queues     iot-dlq-dev  0 waiting, 0 in flight",
        "             iot-ingestion-queue-dev  0 waiting, 0 in flight",
        "  alarms     11 OK",
    ]


def test_what_is_not_well_is_named_with_its_reason(deployed: Shell) -> None:
    fail(deployed, "poison")
    deployed.client("cloudwatch").set_alarm_state(
        AlarmName="iot-dlq-depth-dev", StateValue="ALARM", StateReason="Threshold Crossed: 1 datapoint [1.0]"
    )
    deployed.client("sqs").delete_queue(QueueUrl=url(deployed, "iot-ingestion-queue-dev"))
    said = deployed.run("status").stdout
    assert f"{len(deployed.json('graph', '--what', 'dependencies')) - 1} live, 1 missing" in said
    assert "missing   queue/iot-ingestion-queue-dev" in said
    assert "table/" not in said
    assert "iot-dlq-dev  1 waiting, 0 in flight, oldest unknown" in said
    assert "10 OK, 1 ALARM" in said
    assert "Threshold Crossed: 1 datapoint [1.0]" in said
    found = deployed.json("status")
    assert found["queues"] == {"iot-dlq-dev": {"visible": 1, "in_flight": 0, "oldest_seconds": None}}
    alarm = found["alarms"]["iot-dlq-depth-dev"]
    assert (alarm["state"], alarm["reason"]) == ("ALARM", "Threshold Crossed: 1 datapoint [1.0]")
    assert found["unread"] == found["unconfirmed"] == []
    assert found["resources"].keys() == deployed.json("graph", "--what", "dependencies").keys()


def test_an_environment_that_is_not_up_is_said_not_to_be(cloud: Shell) -> None:
    assert "none: dev is not up. Run `iotpipe up --env dev`" in cloud.run("status", "--env", "dev").stdout
    for command in (["logs"], ["dlq", "list"], ["dlq", "redrive", "--yes"], ["dlq", "purge", "--yes"]):
        done = cloud.run(*command, "--env", "dev", code=2 if command == ["logs"] else 1)
        assert "iotpipe up --env dev" in done.stderr
        assert command == ["logs"] or "there is no queue iot-dlq-dev" in done.stderr
        (cloud.directory / "config" / "dev.yaml").rename(cloud.directory / "dev.yaml")
        assert "environment dev has no file" in cloud.run(*command, "--env", "dev", code=2).stderr
        (cloud.directory / "dev.yaml").rename(cloud.directory / "config" / "dev.yaml")


@pytest.mark.parametrize("command", ["logs", "dlq", "dlq list", "dlq redrive", "dlq purge"])
def test_every_command_on_call_has_an_example(shell: Shell, command: str) -> None:
    assert f"Example:  iotpipe {command}" in shell.run(*command.split(), "--help").stdout


# logs


def test_lambdas_own_lines_are_hidden_and_entries_can_be_picked_out(deployed: Shell) -> None:
    report = "REPORT RequestId: 1 Duration: 2.00 ms Billed Duration: 2 ms"
    log(deployed, "query", "INIT_START Runtime Version: python:3.13", "START RequestId: 1 Version: $LATEST", ago=9)
    log(deployed, "query", LINE | {"function": "query"}, "END RequestId: 1", report, ago=8)
    timed_out = "REPORT RequestId: 2 Duration: 3000.00 ms Status: timeout"
    log(deployed, "query", "2026-01-15T10:30:00Z 2 Task timed out after 3.00 seconds", timed_out, ago=7)
    shown = deployed.run("logs").stdout
    assert "RequestId: 1" not in shown and "INIT_START" not in shown
    assert "Task timed out after 3.00 seconds" in shown and "Status: timeout" in shown
    assert len(deployed.run("logs", "--platform").stdout.splitlines()) == 7
    wrong = ["[ERROR] KeyError: 'x'", LINE | {"status": 400, "rejected": 2}, LINE | {"failed": 1}]
    log(deployed, "processor", LINE, "[INFO] all is well", "START RequestId: 1 Version: $LATEST", *wrong)
    log(deployed, "ingestion", LINE | {"route": "mqtt", "refused_readings": 1})
    assert len(deployed.run("logs", "--errors").stdout.splitlines()) == 6
    log(deployed, "query", LINE | {"function": "query", "correlation_id": "zz-9"})
    (only,) = deployed.run("logs", "--grep", "ZZ-[0-9]").stdout.splitlines()
    assert "correlation_id=zz-9" in only
    assert "nothing that was asked for was logged" in deployed.run("logs", "--grep", "nowhere").stderr
    assert "Use a Python regular expression" in deployed.run("logs", "--grep", "(", code=2).stderr


def test_a_dead_letter_is_shown_with_how_it_begins(deployed: Shell) -> None:
    fail(deployed, json.dumps({"device_id": "a", "padding": "x" * 1000}))
    head, begin = deployed.run("dlq", "list").stdout.splitlines()
    assert "  a  " in head
    assert begin.startswith('  {"device_id": "a", "padding": "xxx') and begin.endswith("x… (1,033 characters)")


def test_our_lines_are_shown_in_short_and_all_others_as_they_are(deployed: Shell) -> None:
    log(deployed, "processor", "START RequestId: 1", "[ERROR] KeyError: 'x'\rTraceback\r  line 7", ago=3)
    log(deployed, "ingestion", LINE)
    lines = deployed.run("logs", "--platform").stdout.splitlines()
    assert [line.split("  ", 1)[1] for line in lines[:2]] == [
        "ingestion  /ingest 200  25 accepted, 12.5 ms, cold start  correlation_id=abc-1",
        "processor  START RequestId: 1",
    ]
    assert lines[2].endswith("processor  [ERROR] KeyError: 'x'")
    assert lines[3:] == ["  Traceback", "    line 7"], "no further line begins like an entry"


def test_a_batch_is_shown_with_the_longest_lag_and_wait(deployed: Shell) -> None:
    log(deployed, "processor", {"route": "queue", "milliseconds": 3.5, "processed": 2, "lag": [9, 70], "wait": [4, 6]})
    assert "  2 processed, 3.5 ms, lag 70 ms, wait 6 ms\n" in deployed.run("logs").stdout


def test_logs_are_one_json_document_per_line_and_can_be_narrowed_down(deployed: Shell) -> None:
    log(deployed, "ingestion", LINE, LINE | {"correlation_id": "abc-2"})
    log(deployed, "query", "text", ago=4)
    log(deployed, "query", "old", ago=700)
    found = [json.loads(line) for line in deployed.run("logs", "--json").stdout.splitlines()]
    assert [(each["function"], each["message"]) for each in found] == [
        ("ingestion", LINE),
        ("ingestion", LINE | {"correlation_id": "abc-2"}),
        ("query", "text"),
    ]
    assert "old" in deployed.run("logs", "--since", "1h", "--function", "query").stdout
    assert deployed.run("logs", "--correlation-id", "abc-2", "--json").stdout.count("\n") == 1
    assert "nothing was logged since" in deployed.run("logs", "--function", "processor").stderr
    assert "is not a time" in deployed.run("logs", "--since", "soon", code=2).stderr


def test_following_shows_what_comes_and_ctrl_c_ends_it_quietly(deployed: Shell) -> None:
    log(deployed, "query", "before")
    with subprocess.Popen(
        deployed.command("logs", "--follow"),
        cwd=deployed.directory,
        env=deployed.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout and process.stderr
        end = threading.Timer(100, process.kill)  # rather than wait for ever for what does not come
        end.start()
        assert process.stdout.readline().endswith("before\n")
        log(deployed, "ingestion", "meanwhile", ago=9)
        assert process.stdout.readline().endswith("meanwhile\n")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert (process.stdout.read(), process.stderr.read()) == ("", "")
        end.cancel()


def test_each_function_has_its_colour_on_a_terminal_and_nothing_else_controls_it(deployed: Shell) -> None:
    log(deployed, "query", "one \x1b]0;title\x07")
    log(deployed, "processor", "two", ago=4)
    deployed.extra = {"CI": "", "NO_COLOR": ""}  # as is said where they do not hold
    shown = on_terminal(deployed, "logs")
    assert "\x1b[35mquery" in shown
    assert "\x1b[32mprocessor" in shown
    assert "one \\x1b]0;title\\x07" in shown


# dlq


def test_the_list_says_why_and_takes_nothing(deployed: Shell) -> None:
    fail(deployed, "no JSON", json.dumps(GOOD | {"sensor_data": {"temperature": "hot"}}), json.dumps(GOOD))
    deployed.operations()
    done = deployed.run("dlq", "list")
    assert "(no device)  not JSON: Expecting value at character 0" in done.stdout
    assert "sensor-1  sensor_data.temperature: number required" in done.stdout
    assert "sensor-1  valid: the processor would accept it now" in done.stdout
    assert done.stderr.splitlines() == [
        "3 of about 3 messages in iot-dlq-dev",
        "1 can be processed if redriven: `iotpipe dlq redrive`",
        "2 would fail again until they or the functions change",
    ]
    assert set(writes(deployed.operations())) == {"ReceiveMessage", "ChangeMessageVisibilityBatch"}
    found = deployed.json("dlq", "list")
    assert {each["body"] for each in found["messages"]} >= {"no JSON", json.dumps(GOOD)}
    assert [each["reason"] for each in found["messages"] if each["body"] == json.dumps(GOOD)] == [None]
    assert len(deployed.json("dlq", "list", "--limit", "2")["messages"]) == 2
    assert waiting(deployed, "iot-dlq-dev") == 3


def test_nothing_is_moved_or_deleted_unasked(deployed: Shell) -> None:
    fail(deployed, "one")
    deployed.operations()
    for command in ("redrive", "purge"):
        assert "--yes" in deployed.run("dlq", command, code=2).stderr
    assert writes(deployed.operations()) == []


def test_redrive_sends_back_and_purge_deletes(deployed: Shell) -> None:
    let_nothing_take_messages(deployed)
    fail(deployed, *(f"{number}" for number in range(12)))
    assert deployed.json("dlq", "redrive", "--yes", "--limit", "11")["moved"] == 11
    assert (waiting(deployed, "iot-dlq-dev"), waiting(deployed, "iot-ingestion-queue-dev")) == (1, 11)
    done = deployed.run("dlq", "redrive", "--yes", "--limit", "3")
    assert done.stdout == "sent back from iot-dlq-dev to iot-ingestion-queue-dev: 1\n"
    fail(deployed, "a", "b")
    assert "purged iot-dlq-dev of all it had, about 2;" in deployed.run("dlq", "purge", "--yes").stdout
    assert waiting(deployed, "iot-dlq-dev") == 0
    assert deployed.json("dlq", "purge") == {"queue": "iot-dlq-dev", "about": 0}
    assert deployed.run("dlq", "purge", "--yes").stdout == "iot-dlq-dev is empty\n"
    assert deployed.run("dlq", "redrive", "--yes").stdout.endswith(": 0\n")
    assert deployed.run("dlq", "list").stderr == "iot-dlq-dev is empty\n"


def test_what_devices_published_is_shown_and_sent_back_to_their_queue(deployed: Shell) -> None:
    let_nothing_take_messages(deployed)
    fail(deployed, published('{"sensor_data": {"temperature": 21.5}}', thing="dev:roof"), "poison")
    left = deployed.json("dlq", "redrive", "--yes", "--limit", "2", code=1)
    assert (left["moved"], left["to_devices"]) == (1, 0)
    assert list(left["reasons"].values()) == ["a device published it, and the environment takes no such messages"]
    # Without the state file the environment is what is configured; `up` would wait for a message over MQTT.
    (deployed.directory / ".iotpipe" / "dev.json").unlink()
    config = deployed.directory / "config" / "dev.yaml"
    config.write_text(config.read_text() + "\ndevices:\n  enabled: true\n")
    deployed.client("sqs").create_queue(QueueName="iot-device-queue-dev")
    head, payload = deployed.run("dlq", "list", "--env", "dev").stdout.splitlines()
    assert "  roof  valid: ingestion would accept it now" in head
    assert payload == '  {"sensor_data": {"temperature": 21.5}}'
    fail(deployed, "poison")
    done = deployed.run("dlq", "redrive", "--yes", "--env", "dev")
    assert done.stdout.splitlines() == [
        "sent back from iot-dlq-dev to iot-ingestion-queue-dev: 1",
        "sent back from iot-dlq-dev to iot-device-queue-dev: 1",
    ]
    assert waiting(deployed, "iot-device-queue-dev") == 1
