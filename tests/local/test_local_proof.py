"""`send-test-data --verify` on this machine: good readings reach the tables, bad ones are refused or dead letters."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tests.support.local_machine import Machine

pytestmark = pytest.mark.embedded

LOCAL = ("--env", "local")


def test_good_readings_are_followed_to_their_rows_and_bad_ones_to_their_ends(up: Machine) -> None:
    found = up.json(
        "send-test-data", *LOCAL, "--devices", "3", "--count", "60", "--batch", "7", "--bad", "6", "--verify"
    )
    assert (found["accepted"], found["refused"], found["failed"], found["bad_refused"]) == (60, 0, 0, 3)
    verified = found["verified"]
    assert verified["proven"]
    assert (verified["raw"], verified["processed"], verified["poison_in_dlq"]) == (60, 60, 3)

    dead = up.json("dlq", "list", *LOCAL)["messages"]
    assert len(dead) == 3
    assert all(each["reason"] for each in dead)
    # The embedded AWS cannot move messages by itself: each is sent before it is deleted.
    assert up.json("dlq", "redrive", *LOCAL, "--yes")["moved"] == 3
    assert up.json("dlq", "list", *LOCAL)["messages"] == []


def test_the_values_of_a_file_come_back_as_they_are_in_it(up: Machine) -> None:
    rows = [
        {"day": "2012/01/01", "max": "12.8", "note": "drizzle"},
        {"day": "2012/01/02", "max": "10", "note": "rain"},
        {"day": "2012/01/03", "max": "-0.50", "note": "snow"},
    ]
    with (up.directory / "weather.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    columns = ("--map", "timestamp=day", "--map", "temperature=max", "--time-format", "%Y/%m/%d", "--device", "roof")
    assert up.json("send-test-data", *LOCAL, "--file", "weather.csv", *columns, "--verify")["verified"]["proven"]
    answered = list(csv.DictReader(io.StringIO(up.run("query", "roof", *LOCAL, "--order", "asc", "--csv").stdout)))
    assert [float(each["temperature"]) for each in answered] == [12.8, 10, -0.5]
    assert [each["event_date"][:10] for each in answered] == ["2012-01-01", "2012-01-02", "2012-01-03"]
    assert "-0.5 to 12.8" in up.run("query", "roof", *LOCAL).stdout


def test_what_the_functions_say_of_it_can_be_read(up: Machine) -> None:
    assert up.json("send-test-data", *LOCAL, "--count", "5", "--verify")["verified"]["proven"]
    lines = [json.loads(line) for line in up.run("logs", *LOCAL, "--since", "10m", "--json").stdout.splitlines()]
    assert {"ingestion", "processor", "query"} <= {line["function"] for line in lines}
