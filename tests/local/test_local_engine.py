"""`iotpipe local` in normal use and after failures: kills, damage, a taken port, a full disk, concurrent starts."""

from __future__ import annotations

import json
import os
import resource
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib import metadata
from typing import Any

import pytest

from iotpipe.local.storage.database import APPLICATION
from iotpipe.times import timestamp
from tests.support.json_shapes import assert_as_described
from tests.support.local_machine import Machine, eventually, processes

pytestmark = pytest.mark.embedded

COMMANDS = ("start", "stop", "status", "reset")


def write_something(machine: Machine, name: str = "something") -> None:
    machine.client("sqs").create_queue(QueueName=name)


def queues(machine: Machine) -> list[str]:
    return [url.rsplit("/", 1)[1] for url in machine.client("sqs").list_queues().get("QueueUrls", [])]


def database(machine: Machine, statement: str, *values: Any) -> list[Any]:
    """Query the engine's database, whether the engine is running or not."""
    with closing(sqlite3.connect(machine.engine_directory.database)) as connection, connection:
        return connection.execute(statement, values).fetchall()


def until_saved(machine: Machine) -> None:
    """Wait until the queue is in the database."""
    asked = "SELECT 1 FROM states WHERE service = 'sqs' AND instr(content, 'something')"
    assert eventually(lambda: machine.engine_directory.database.exists() and database(machine, asked))


def replace_state(machine: Machine, **changed: Any) -> bytes:
    """Change members of the saved state of SQS; returns the state before."""
    [(content,)] = database(machine, "SELECT content FROM states WHERE service = 'sqs'")
    put_state(machine, json.dumps(json.loads(content) | changed).encode())
    return bytes(content)


def put_state(machine: Machine, content: bytes) -> None:
    database(machine, "UPDATE states SET content = ? WHERE service = 'sqs'", content)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_local_command_has_an_example(machine: Machine, command: str) -> None:
    assert f"Example:  iotpipe local {command}" in machine.run("local", command, "--help").stdout


def test_it_outlives_the_command_keeps_its_data_and_address_and_leaves_nothing(machine: Machine) -> None:
    said = machine.json("local", "start")
    write_something(machine)
    assert machine.json("local", "start") == said
    assert queues(machine) == ["something"]
    machine.run("local", "stop")
    assert processes(str(machine.engine_directory.path)) == []
    assert not machine.engine_directory.temporary.exists()
    assert machine.json("local", "status")["running"] is False
    again = machine.json("local", "start")
    assert (again["endpoint"], again["pid"] != said["pid"]) == (said["endpoint"], True)
    assert queues(machine) == ["something"]


def test_status_says_where_since_when_and_how_much(machine: Machine) -> None:
    assert machine.json("local", "status") == {"running": False, "data_bytes": 0}
    started = machine.json("local", "start")
    write_something(machine)
    until_saved(machine)
    status = machine.json("local", "status")
    assert status["running"] is True
    assert {name: status[name] for name in started} == started
    assert status["data_bytes"] > 0
    assert status["saved_at"] >= started["since"]
    assert started["endpoint"] in machine.run("local", "status").stdout
    assert_as_described("local start", started)
    assert_as_described("local status", status)
    assert_as_described("local stop", machine.json("local", "stop"))
    (machine.engine_directory.path / "mine.txt").write_text("kept")
    assert_as_described("local reset", machine.json("local", "reset", "--yes"))


def test_stopping_what_does_not_run_is_no_error(machine: Machine) -> None:
    assert "not running" in machine.run("local", "stop").stderr
    assert not machine.engine_directory.path.exists()


def test_a_killed_engine_keeps_what_was_saved_and_the_next_start_says_what_is_lost(machine: Machine) -> None:
    machine.run("local", "start")
    write_something(machine)
    until_saved(machine)
    machine.kill()
    [(seconds,)] = database(machine, "SELECT seconds FROM moment")
    moment = timestamp(seconds)
    said = machine.run("local", "start").stderr
    assert "did not stop properly last time" in said
    assert f"what was written after {moment} is lost" in said
    assert queues(machine) == ["something"]
    machine.run("local", "stop")
    assert "did not stop properly" not in machine.run("local", "start").stderr


def test_a_process_that_has_got_the_dead_engines_number_is_let_alone(machine: Machine) -> None:
    machine.run("local", "start")
    machine.kill()
    path = machine.engine_directory.path / "engine.json"
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as other:
        path.write_text(json.dumps(json.loads(path.read_text()) | {"pid": other.pid}))
        assert "not running" in machine.run("local", "stop").stderr
        machine.run("local", "start")
        assert machine.record.pid != other.pid
        assert other.poll() is None
        other.kill()


def test_it_goes_elsewhere_when_its_port_is_taken_and_says_so(machine: Machine) -> None:
    machine.run("local", "start")
    write_something(machine)
    machine.run("local", "stop")
    port = machine.record.port
    with closing(socket.create_server(("127.0.0.1", port))):
        said = machine.run("local", "start").stderr
    assert f"port {port} is taken" in said
    assert machine.record.port != port
    assert machine.record.endpoint in said
    # The queue is the same: creating it again does not create a second one.
    write_something(machine)
    assert queues(machine) == ["something"]
    assert machine.client("sqs").get_queue_url(QueueName="something")["QueueUrl"].startswith(machine.record.endpoint)


def test_two_starts_at_once_make_one_engine(machine: Machine) -> None:
    both = [machine.begin("local", "start", "--json") for _ in range(2)]
    answers = []
    for process in both:
        with process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        answers.append(json.loads(out))
    assert answers[0] == answers[1]
    assert len([line for line in processes(str(machine.engine_directory.path)) if "local.engine" in line]) == 1


def test_two_checkouts_live_side_by_side(machine: Machine, running: Machine) -> None:
    machine.run("local", "start")
    write_something(machine)
    assert machine.record.port != running.record.port
    assert queues(running) == []
    assert running.signed("sqs", "GET", "/?Action=ListQueues", key=machine.root)[0] == 403
    machine.run("local", "stop")
    assert running.json("local", "status")["running"] is True


@pytest.mark.sampled(1)
@pytest.mark.parametrize("damage", [b"no database", b"SQLite format 3\0" + bytes(90)])
def test_a_damaged_database_is_not_replaced_by_an_empty_one(machine: Machine, damage: bytes) -> None:
    machine.run("local", "start")
    write_something(machine)
    machine.run("local", "stop")
    file = machine.engine_directory.database
    whole = file.read_bytes()
    file.write_bytes(damage + whole[len(damage) :])
    said = machine.run("local", "start", code=1).stderr
    assert f"{file} is damaged" in said
    assert "iotpipe local reset" in said
    assert machine.engine_directory.alive() is False
    file.write_bytes(whole)
    # The last engine that ran was stopped properly; the failed starts do not change that.
    assert "did not stop properly" not in machine.run("local", "start").stderr
    assert queues(machine) == ["something"]


@pytest.mark.sampled(1)
@pytest.mark.parametrize("emptied", [True, False])
def test_a_database_that_is_gone_is_not_replaced_by_an_empty_one(machine: Machine, emptied: bool) -> None:
    machine.run("local", "start")
    write_something(machine)
    machine.run("local", "stop")
    file = machine.engine_directory.database
    kept = file.rename(machine.directory / "kept.db")
    if emptied:
        file.touch()
    said = machine.run("local", "start", code=1).stderr
    assert f"{file} is empty or missing" in said
    assert "iotpipe local reset" in said
    kept.replace(file)
    machine.run("local", "start")
    assert queues(machine) == ["something"]


def test_a_damaged_state_is_not_replaced_by_an_empty_one(machine: Machine) -> None:
    machine.run("local", "start")
    write_something(machine)
    machine.run("local", "stop")
    whole = replace_state(machine)
    put_state(machine, whole[:-10])
    said = machine.run("local", "start", code=1).stderr
    assert f"{machine.engine_directory.database} is damaged: sqs" in said
    put_state(machine, whole)
    machine.run("local", "start")
    assert queues(machine) == ["something"]


def test_data_that_ministack_itself_cannot_read_back_is_not_replaced_by_nothing(machine: Machine) -> None:
    machine.run("local", "start")
    write_something(machine)
    machine.run("local", "stop")
    whole = replace_state(machine, payload=5)
    said = machine.run("local", "start", code=1).stderr
    assert f"{machine.engine_directory.database} cannot be restored: sqs" in said
    assert "iotpipe local reset" in said
    put_state(machine, whole)
    assert "did not stop properly" not in machine.run("local", "start").stderr
    assert queues(machine) == ["something"]


def test_data_of_a_newer_ministack_is_not_touched(machine: Machine) -> None:
    machine.run("local", "start")
    write_something(machine)
    machine.run("local", "stop")
    replace_state(machine, __ministack_format__=99)
    before = machine.engine_directory.database.read_bytes()
    assert "format 99" in machine.run("local", "start", code=1).stderr
    assert machine.engine_directory.database.read_bytes() == before


def test_a_database_of_a_newer_iotpipe_or_another_program_is_not_touched(machine: Machine) -> None:
    machine.engine_directory.create()
    for pragma, said in (("application_id=5", "another program"), ("user_version=99", "format 99")):
        machine.engine_directory.database.unlink(missing_ok=True)
        database(machine, f"PRAGMA application_id={APPLICATION}")
        database(machine, f"PRAGMA {pragma}")
        before = machine.engine_directory.database.read_bytes()
        assert said in machine.run("local", "start", code=1).stderr
        assert machine.engine_directory.database.read_bytes() == before


@pytest.mark.parametrize(("text", "said"), [('{"format": 99}', "Upgrade iotpipe"), ("{", "iotpipe local reset")])
def test_a_directory_of_a_newer_iotpipe_or_a_damaged_one_stops_every_command(
    machine: Machine, text: str, said: str
) -> None:
    machine.run("local", "start")
    machine.run("local", "stop")
    path = machine.engine_directory.path / "engine.json"
    path.write_text(text)
    assert said in machine.run("local", "start", code=1).stderr
    assert path.read_text() == text
    machine.run("local", "reset", "--yes")
    machine.run("local", "start")


def test_on_a_full_disk_it_runs_on_says_so_and_refuses_to_stop(machine: Machine) -> None:
    machine.run("local", "start")
    pid = machine.record.pid
    if not hasattr(resource, "prlimit"):
        pytest.skip("only Linux lets one process limit another")
    # No file of the engine can grow beyond 100 bytes, which has the effect of a full disk.
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    write_something(machine)
    eventually(lambda: machine.json("local", "status")["trouble"])
    said = machine.run("local", "stop", code=1).stderr
    assert "keeps running" in said
    assert "Free disk space" in said
    assert queues(machine) == ["something"]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    machine.run("local", "stop")
    machine.run("local", "start")
    assert queues(machine) == ["something"]
    assert machine.json("local", "status")["trouble"] == ""


def test_reset_asks_and_then_leaves_an_empty_one(machine: Machine) -> None:
    machine.run("local", "start")
    write_something(machine)
    assert "--yes" in machine.run("local", "reset", code=2).stderr
    assert queues(machine) == ["something"]
    machine.run("local", "reset", "--yes")
    assert not machine.engine_directory.path.exists()
    assert processes(str(machine.engine_directory.path)) == []
    machine.run("local", "start")
    assert queues(machine) == []


def test_the_engine_has_nothing_of_the_users_environment(machine: Machine) -> None:
    machine.extra = {"AWS_PROFILE": "company", "AWS_SECRET_ACCESS_KEY": "hush", "COMPANY_TOKEN": "hush"}
    machine.extra |= {"PYTHONWARNINGS": "error"}
    machine.forked = None  # Python reads it when it starts
    # Python warns about a child process that is still running.
    assert "Warning" not in machine.run("local", "start").stderr
    listed = subprocess.run(
        ["ps", "-Ewwo", "command=", "-p", str(machine.record.pid)]
        if sys.platform == "darwin"
        else ["cat", f"/proc/{machine.record.pid}/environ"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "TMPDIR" in listed
    assert "company" not in listed
    assert "hush" not in listed
    assert "PYTHONWARNINGS" not in listed


def test_it_holds_none_of_the_commands_files_open(machine: Machine) -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as pipe:
        subprocess.run(
            [sys.executable, "-c", "import iotpipe.cli; iotpipe.cli.main()", "local", "start"],
            cwd=machine.directory,
            env=machine.environment,
            pass_fds=[writing],
            check=True,
            capture_output=True,
        )
        os.close(writing)
        # If the engine still had the other end, this would never return.
        assert pipe.read() == b""
    assert machine.engine_directory.running()


def test_without_the_extra_one_sentence_says_what_to_install(machine: Machine) -> None:
    script = (
        "import importlib.machinery, sys\n"
        "find = importlib.machinery.PathFinder.find_spec\n"
        "class Without:\n"
        "    find_distributions = importlib.machinery.PathFinder.find_distributions\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        "        return None if name.startswith('ministack') else find(name, path, target)\n"
        "sys.meta_path[:] = [Without if each is importlib.machinery.PathFinder else each for each in sys.meta_path]\n"
        "import iotpipe.cli\n"
        "iotpipe.cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "local", "start"],
        cwd=machine.directory,
        env=machine.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    command = f"{sys.executable} -m pip install ministack=={metadata.version('ministack')}"
    assert done.stderr == f"error: the embedded AWS is not installed\nhint: Run `{command}`.\n"
    assert not machine.engine_directory.path.exists()


def test_a_directory_that_cannot_be_written_is_named(machine: Machine) -> None:
    (machine.directory / ".iotpipe").mkdir()
    machine.engine_directory.path.write_text("a file")
    assert "--state-dir" in machine.run("local", "start", code=1).stderr


def test_what_is_deleted_does_not_pile_up(machine: Machine) -> None:
    machine.run("local", "start")
    dynamodb = machine.client("dynamodb")
    keys = {
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    dynamodb.create_table(TableName="big", **keys)
    for number in range(30):
        dynamodb.put_item(TableName="big", Item={"id": {"S": str(number)}, "text": {"S": 1000 * "x"}})
    machine.send("POST", "/_iotpipe/save", {"X-Iotpipe-Secret": machine.record.secret})
    assert database(machine, "SELECT count(*) FROM rows") == [(30,)]
    dynamodb.delete_table(TableName="big")
    machine.send("POST", "/_iotpipe/save", {"X-Iotpipe-Secret": machine.record.secret})
    assert database(machine, "SELECT count(*) FROM rows") == [(0,)]
    machine.run("local", "stop")
    assert [path.name for path in machine.engine_directory.data.iterdir()] == [machine.engine_directory.database.name]
