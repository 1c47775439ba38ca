"""The two commands as they are typed: answers, exit codes, refusals before anything is sent."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from iotpipe.cli import iotpipe
from iotpipe.errors import Interrupted, IotpipeError, UsageError
from iotpipe.provision.ledger import Row
from iotpipe.provision.run import Run
from iotpipe.readings.deployment import Deployment
from iotpipe.render.send_test_data import listed, percentiles
from tests.support.handlers_world import NOON, World
from tests.support.json_shapes import assert_as_described, covered, described, unknown
from tests.support.local_gateway import REGION, Gateway, answering

Type = Callable[..., Result]
UNTIL = "2026-11-22T12:00:00Z"


@pytest.fixture
def env() -> SimpleNamespace:
    """The part of the configuration that matters here."""
    return SimpleNamespace(api=SimpleNamespace(require_api_key=False))


@pytest.fixture
def rows(place: Deployment) -> dict[str, Row]:
    alarm = Row("alarm", "iot-dlq-depth-test", "ready", {})
    queues = [Row("queue", name, "ready", {}) for name in (place.queue, place.dead_letters)]
    return {row.address: row for row in (*queues, Row("secret", place.key_parameter, "ready", {}), alarm)}


@pytest.fixture
def typed(
    run: Run, place: Deployment, rows: dict[str, Row], env: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> Type:
    aws = SimpleNamespace(session=run.aws.session, region=REGION, account="123456789012", emulator=object())
    session = SimpleNamespace(name="test", rows=lambda: rows, aws=aws, run=run, env=env, endpoint="", stop=run.stop)
    monkeypatch.setattr("iotpipe.cli.session.open_session", lambda *_: session)
    monkeypatch.setattr(
        "iotpipe.operations.outputs.outputs", lambda *_: {"ApiEndpoint": place.endpoint} if rows else {}
    )

    def run_command(*words: str) -> Result:
        return CliRunner().invoke(iotpipe, list(words), standalone_mode=False)

    return run_command


def send(typed: Type, *words: str) -> Result:
    return typed("send-test-data", "--seed", "7", "--until", UNTIL, *words)


@pytest.mark.matrix
def test_what_was_sent_and_proved_is_told(typed: Type) -> None:
    result = send(typed, "--count", "30", "--bad", "4", "--verify")
    assert result.return_value == 0, result.output
    assert "sent 30 of 30 readings" in result.stdout
    assert "not accepted" not in result.stdout
    assert "of 30 accepted readings, each exactly once and unchanged: raw 30, processed 30" in result.stdout
    assert "2 of 2 refused, 2 of 2 in the DLQ" in result.stdout
    assert "2 bad posted, 2 of them rejected with 400 as required" in result.stdout
    assert "--seed 7 sends the same readings again" in result.stdout
    assert re.search(r"latency p50 [0-9.]+ ms, p95 [0-9.]+ ms, p99 [0-9.]+ ms\n", result.stdout)
    assert "sending: 30 of 30" in result.stderr
    assert "verifying (bad messages are dead letters after about 90 s): 62 of 62" in result.stderr, (
        "two rows of each reading, and two messages in the DLQ"
    )


@pytest.mark.matrix
def test_json_has_all_of_it_and_nothing_else_is_on_stdout(typed: Type) -> None:
    answer = json.loads(send(typed, "--count", "30", "--bad", "4", "--verify", "--json").stdout)
    assert (answer["environment"], answer["sent"], answer["accepted"], answer["seed"]) == ("test", 30, 30, 7)
    assert [answer[name] for name in ("readings", "bad_refused")] == [30, 2]
    assert not any(
        answer[name] for name in ("duplicates", "refused", "failed", "unsent", "bad_not_refused", "problems")
    )
    assert answer["requests"] >= 4 and answer["interrupted"] is False
    verified = answer["verified"]
    assert (verified["proven"], verified["expected"], verified["raw"], verified["processed"]) == (True, 30, 30, 30)
    assert [verified[name] for name in ("bad_posted", "bad_refused", "poison_queued", "poison_in_dlq")] == [2] * 4
    assert [verified[name] for name in ("missing", "doubled", "different", "astray")] == [[]] * 4
    assert answer["latency_ms"].keys() == {"p50", "p95", "p99"}
    assert verified["hops_ms"]["received_to_processed"]["count"] == 30


def test_of_many_problems_the_first_are_told_and_the_others_counted(capsys: pytest.CaptureFixture[str]) -> None:
    listed([f"problem {number}" for number in range(1, 24)])
    lines = [line.strip() for line in capsys.readouterr().err.splitlines()]
    assert lines == [*(f"problem {number}" for number in range(1, 21)), "and 3 more; --json lists all"]


def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed() -> None:
    assert percentiles([value / 10 for value in range(1000, 0, -1)]) == {"p50": 50, "p95": 95, "p99": 99}
    assert percentiles([2, 1]) == {"p50": 1, "p95": 2, "p99": 2}
    assert percentiles([]) == {}


def test_poison_that_sqs_does_not_take_makes_it_fail_and_is_told(typed: Type, run: Run) -> None:
    refused = {"Id": "0", "SenderFault": False, "Code": "InternalError", "Message": "try later"}
    events = run.client("sqs").meta.events
    events.register("after-call.sqs.SendMessageBatch", lambda parsed, **_: parsed.update(Failed=[refused]))
    result = send(typed, "--count", "3", "--bad", "2")
    assert result.return_value == 1
    assert "poison did not get into iot-ingestion-queue-test: InternalError: try later" in result.stderr


def test_the_same_seed_and_time_send_the_same_bodies(typed: Type, gateway: Gateway) -> None:
    send(typed, "--count", "10", "--connections", "1")
    send(typed, "--count", "10", "--connections", "1")
    first, second = gateway.posts()
    assert first == second


@pytest.mark.matrix
def test_a_row_that_does_not_come_makes_it_fail(typed: Type, run: Run) -> None:
    run.clock.delivers = False
    result = send(typed, "--count", "3", "--verify", "--timeout", "5")
    assert result.return_value == 1
    assert "NOT verified" in result.stdout
    assert "missing: sensor-003 at 2026-11-22T12:00:00.000Z: processed row" in result.stderr


@pytest.mark.matrix
def test_a_refused_reading_makes_it_fail_and_is_told_by_its_line(typed: Type, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("device_id,timestamp,temperature\nA,2001-01-01,1\nA,2026-11-22T11:00:00Z,2\nA,never,3\n")
    result = typed("send-test-data", "--file", str(path), "--verify")
    assert result.return_value == 1
    assert "1 accepted (0 duplicates), 1 refused" in result.stdout
    assert "1 more were not accepted and are not verified" in result.stdout
    assert "A at 2001-01-01T00:00:00.000Z (line 2): timestamp: outside" in result.stderr
    assert "line 4: no time" in result.stderr


def test_a_file_is_replayed_up_to_the_time_that_is_asked_for(typed: Type, tmp_path: Path, world: World) -> None:
    path = tmp_path / "data.csv"
    path.write_text("when;t\n2001-01-01;1.50\n2001-01-02;2\n")
    maps = ["--map", "timestamp=when", "--map", "temperature=t", "--device", "seattle"]
    result = typed("send-test-data", "--file", str(path), *maps, "--until", UNTIL, "--verify")
    assert result.return_value == 0, result.output
    items = world.pages(device_id="seattle")[0]
    assert [(item["timestamp"], item["temperature"]) for item in items] == [(NOON - 86_400_000, 1.5), (NOON, 2)]


def test_a_file_of_the_year_1971_is_sent_as_what_it_is(typed: Type, tmp_path: Path, world: World) -> None:
    """As a number such a time would be refused, since it could be epoch seconds."""
    world.configure(past_days=36_500)
    path = tmp_path / "data.csv"
    path.write_text("device_id,timestamp,temperature\nA,1971-05-01T12:00:00Z,1\nA,1972-01-01,2\n")
    result = typed("send-test-data", "--file", str(path), "--verify")
    assert result.return_value == 0, result.output
    (page,) = world.pages(device_id="A", event_date="1971-05-01")
    assert [item["temperature"] for item in page] == [1]


def test_a_file_of_years_is_not_sent_as_half_an_hour_of_1970(typed: Type, tmp_path: Path, world: World) -> None:
    world.configure(past_days=36_500)
    path = tmp_path / "data.csv"
    path.write_text("device_id,timestamp,temperature\nA,2024,1\nA,20260101,2\n")
    result = typed("send-test-data", "--file", str(path))
    assert isinstance(result.exception, UsageError)
    assert "line 2: no time: 2024 is evidently neither epoch seconds nor milliseconds" in str(result.exception)
    assert world.rows(world.raw) == []


@pytest.mark.parametrize(("option", "name"), [("--from", "from"), ("--to", "to")])
def test_a_query_for_epoch_seconds_is_refused_with_the_reason(typed: Type, option: str, name: str) -> None:
    result = typed("query", "sensor-001", option, str(NOON // 1000))
    assert isinstance(result.exception, UsageError)
    assert f"the API rejects the query: {name}: looks like epoch seconds; send epoch milliseconds" in str(
        result.exception
    )


def test_the_key_is_sent_where_it_is_required_and_never_shown(typed: Type, world: World, env: SimpleNamespace) -> None:
    world.configure(require_api_key=True)
    world.set_key('["a-secret-key", "the-next-key"]')
    refused = send(typed, "--count", "2")
    assert isinstance(refused.exception, IotpipeError) and "require_api_key" in str(refused.exception)
    env.api.require_api_key = True
    accepted = send(typed, "--count", "2", "--json")
    assert accepted.return_value == 0
    assert "secret-key" not in accepted.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--file", "nowhere.csv"], "cannot read nowhere.csv"),
        (["--map", "temperature=t"], "Pass --file"),
        (["--until", "tomorrow"], "--until"),
        (["--until", ""], "--until: no time"),
        (["--file", "x.csv", "--seed", "1"], "--file replays"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_sent(
    typed: Type, gateway: Gateway, words: list[str], told: str
) -> None:
    result = typed("send-test-data", *words)
    assert isinstance(result.exception, UsageError) and told in str(result.exception)
    assert not gateway.requests


@pytest.mark.parametrize("words", [["send-test-data"], ["query", "a"]])
def test_an_environment_that_is_not_up_is_told_so(typed: Type, rows: dict[str, Row], words: list[str]) -> None:
    rows.clear()
    result = typed(*words)
    assert isinstance(result.exception, UsageError)
    assert "test is not up" in str(result.exception) and "iotpipe up --env test" in str(result.exception)


def test_ctrl_c_shows_what_was_sent_verifies_nothing_and_says_what_was_left(
    typed: Type, gateway: Gateway, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from iotpipe.readings import workers

    join = workers._join

    def interrupted(threads: Any) -> None:
        monkeypatch.setattr(workers, "_join", join)
        raise KeyboardInterrupt

    monkeypatch.setattr(workers, "_join", interrupted)
    gateway.faults.extend([lambda request: None, lambda request: run.stop.wait(30) and None])
    result = send(typed, "--count", "50", "--batch", "5", "--connections", "1", "--verify")
    assert isinstance(result.exception, Interrupted) and "of 50 readings were not sent" in str(result.exception)
    assert "of 50 readings" in result.stdout and "verified" not in result.stdout


@pytest.mark.matrix
def test_giving_up_shows_what_was_sent_and_why(typed: Type, gateway: Gateway) -> None:
    gateway.faults.extend([lambda request: None] * 2 + [answering(503)] * 100)
    result = send(typed, "--count", "50", "--batch", "5", "--connections", "1", "--verify")
    assert "5 accepted (0 duplicates), 0 refused, 15 failed" in result.stdout
    assert isinstance(result.exception, IotpipeError) and "503" in str(result.exception)


# query


def rows_of(world: World, count: int = 5, **metrics: Any) -> None:
    for index in range(count):
        sensor_data = metrics or {"temperature": 20 + index, "rain": 0.5}
        world.ingest({"device_id": "A", "timestamp": NOON - 60_000 * (count - index), "sensor_data": sensor_data})
    world.deliver()


@pytest.mark.matrix
def test_answers_in_json_are_as_they_are_described(typed: Type, world: World, tmp_path: Path) -> None:
    proven = json.loads(send(typed, "--count", "30", "--bad", "4", "--verify", "--json").stdout)
    plain = json.loads(send(typed, "--count", "3", "--json").stdout)
    told = [key for key in described()["send-test-data"] if not key.endswith("[]") and key != "retries.*"]
    assert not unknown("send-test-data", proven, plain)
    assert {*told} <= {*covered("send-test-data", proven, plain)}
    rows_of(world)
    buckets, file = ["--every", "1h", "--from", "1d"], ["-o", str(tmp_path / "rows")]
    answers = [json.loads(typed("query", "A", "--json", *words).stdout) for words in ([], buckets, file)]
    assert_as_described("query", *answers)


def test_numbers_are_shown_exactly_as_they_are_stored(typed: Type, world: World) -> None:
    number = "12345678901234567890.123456789012345678"
    world.ingest(f'{{"device_id": "A", "timestamp": {NOON}, "sensor_data": {{"temperature": 25.50, "odd": {number}}}}}')
    world.deliver()
    for words in ([], ["--json"], ["--csv"]):
        for table in ("raw", "processed"):
            assert number in typed("query", "A", "--table", table, *words).stdout
    item = json.loads(typed("query", "A", "--json").stdout, parse_float=Decimal)["items"][0]
    assert (item["temperature"], item["temperature_fahrenheit"]) == (Decimal("25.5"), Decimal("77.9"))


def test_a_table_has_a_line_per_reading_and_a_picture_per_metric(typed: Type, world: World) -> None:
    rows_of(world)
    lines = typed("query", "A").stdout.splitlines()
    assert lines[0].split() == ["time", "temperature", "rain"]
    assert lines[1].split() == ["2026-11-22T11:59:00.000Z", "24", "0.5"], "the latest first"
    assert lines[7:] == ["temperature  ▁▃▅▇█  20 to 24", "rain         ▄▄▄▄▄  0.5 to 0.5"]


def test_columns_stay_in_line_where_characters_are_two_columns_wide(typed: Type, world: World) -> None:
    rows_of(world, 2, **{"温度": 5, "sky": "😀"})
    for words in (["query", "A"], ["query", "A", "--last", "1h", "--every", "1h"]):
        table, pictures = typed(*words).stdout.split("\n\n")
        ends = {cell_len(line.rstrip()) for line in table.splitlines()}
        assert len(ends) == 1, table
        starts = {cell_len(line.partition(" to ")[0].rpartition(" ")[0]) for line in pictures.splitlines()}
        assert len(starts) == 1, pictures


def test_a_period_may_be_named_by_how_long_ago_it_was(typed: Type, world: World) -> None:
    rows_of(world)
    assert len(typed("query", "A", "--from", "2m", "--csv").stdout.splitlines()) == 1 + 2
    assert len(typed("query", "A", "--from", "10m", "--to", "3m", "--csv").stdout.splitlines()) == 1 + 3


def test_the_last_readings_are_those_from_so_long_ago_until_now(typed: Type, world: World) -> None:
    rows_of(world)
    world.ingest({"device_id": "A", "timestamp": NOON + 60_000, "sensor_data": {"temperature": 99}})
    world.deliver()
    read = list(csv.DictReader(io.StringIO(typed("query", "A", "--last", "2m", "--csv").stdout)))
    assert [row["temperature"] for row in read] == ["24", "23"], "a device whose clock is fast is not in the past"


def test_csv_has_a_column_for_everything(typed: Type, world: World) -> None:
    rows_of(world, sky='fair, "mostly"')
    rows_of(world, 1, temperature=1)
    read = list(csv.DictReader(io.StringIO(typed("query", "A", "--csv").stdout)))
    assert read[-1]["sensor_data.sky"] == 'fair, "mostly"'
    assert {"device_id", "event_date", "timestamp", "received_at", "processed_at", "temperature"} <= read[0].keys()


def test_what_a_device_calls_its_metrics_and_values_makes_no_terminal_obey(typed: Type, world: World) -> None:
    name = "\x1b[31mkey\u202e\n"
    value = "\x9b2J\nerror: forged\u200b"
    body = {"device_id": "A", "timestamp": NOON, "sensor_data": {name: 2, "sky": value, "deep": {name: value}}}
    world.ingest(json.dumps(body))
    world.deliver()
    for words in ([], ["--json"], ["--csv"]):
        for table in ("raw", "processed"):
            shown = typed("query", "A", "--table", table, *words).output
            assert not {each for each in shown if not each.isprintable()} - {"\n"}
            assert "\nerror: forged" not in shown
    assert "\\x1b[31mkey\\u202e\\n" in typed("query", "A").stdout
    item = json.loads(typed("query", "A", "--table", "raw", "--json").stdout)["items"][0]
    assert item["sensor_data"] == body["sensor_data"], "a program gets what the device sent"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\uff1d1+1"])
def test_a_spreadsheet_calculates_nothing_that_a_device_sent(typed: Type, world: World, text: str) -> None:
    body = {"device_id": "A", "timestamp": NOON, "sensor_data": {"temperature": -5, "sky": text}}
    world.ingest(json.dumps(body))
    world.deliver()
    (read,) = csv.DictReader(io.StringIO(typed("query", "A", "--csv").stdout))
    assert read["sensor_data.sky"].startswith("'")
    assert read["temperature"] == "-5", "a number is no formula"


def test_only_so_many_are_shown_unless_all_are_asked_for(
    typed: Type, world: World, monkeypatch: pytest.MonkeyPatch, gateway: Gateway
) -> None:
    monkeypatch.setattr("iotpipe.readings.stored_rows.MAX_ROWS", 2)
    rows_of(world, 5)
    some = typed("query", "A", "--limit", "3", "--json")
    assert json.loads(some.stdout)["count"] == 3 and json.loads(some.stdout)["more"] is True
    assert "--all" in some.stderr
    every = typed("query", "A", "--all", "--json")
    assert json.loads(every.stdout)["count"] == 5 and not every.stderr
    exactly = typed("query", "A", "--limit", "5", "--json")
    assert json.loads(exactly.stdout)["more"] is False


@pytest.mark.parametrize(
    ("words", "minutes"),
    [
        (["--limit", "2"], [59, 58]),
        (["--order", "asc", "--limit", "2"], [55, 56]),
        (["--from", "2026-11-22T11:58:00Z"], [59, 58]),
        (["--to", "2026-11-22T11:55:00Z"], [55]),
        (["--date", "2026-11-22", "--limit", "1"], [59]),
        (["--date", "2026-11-21"], []),
    ],
)
def test_the_questions_options_are_the_apis(typed: Type, world: World, words: list[str], minutes: list[int]) -> None:
    rows_of(world)
    items = json.loads(typed("query", "A", *words, "--json").stdout)["items"]
    assert [int(item["event_date"][14:16]) for item in items] == minutes


def test_no_readings_are_told_on_stderr(typed: Type) -> None:
    result = typed("query", "nobody")
    assert (result.stdout, result.return_value) == ("", None)
    assert "no readings" in result.stderr
    assert typed("query", "nobody", "--csv").stdout == ""


def test_text_of_a_device_cannot_move_the_cursor(typed: Type, world: World) -> None:
    rows_of(world, 1, sky="\x1b[2Jgone")
    assert "\x1b" not in typed("query", "A").output


@pytest.mark.parametrize("name", ["", "a,b", "a b", "a" * 129, "\udcff"])  # Python makes that of a byte 0xff
def test_a_name_that_no_device_has_is_refused_before_any_request(typed: Type, gateway: Gateway, name: str) -> None:
    result = typed("query", "A", name)
    assert isinstance(result.exception, UsageError) and f"no device can be named {name!r}" in str(result.exception)
    assert not gateway.requests


def test_times_before_the_first_year_are_refused_like_others(typed: Type) -> None:
    result = typed("send-test-data", "--count", "3", "--until", "0001-01-01T00:00:00Z")
    assert result.return_value == 1
    assert "0 accepted (0 duplicates), 3 refused" in result.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--json", "--csv"], "exclude each other"),
        (["--date", "2026-11-22", "--from", "1"], "--date excludes --from and --to"),
        (["--last", "1h", "--from", "2h"], "--last excludes --date, --from and --to"),
        (["--last", "1h", "--to", "2h"], "--last excludes --date, --from and --to"),
        (["--last", "1h", "--date", "2026-11-22"], "--last excludes --date, --from and --to"),
        (["--last", "2026-11-22"], "'2026-11-22' is not a duration"),
        (["--last", ""], "'' is not a duration"),
        (["--date", ""], "--date is empty"),
        (["--from", ""], "--from is empty"),
        (["--last", "1h", "--to", ""], "--to is empty"),
        (["--date", "yesterday"], "--date: 'yesterday' is not a day"),
        (["--date", "1h"], "--date: '1h' is not a day"),
        (["--date", "2026-02-30"], "--date: '2026-02-30' is not a day"),
        (["--from", "soon"], "--from: 'soon' is not a time"),
        (["--from", "2026-11-22T12:00:00"], "--from: '2026-11-22T12:00:00' is not a time"),
        (["--from", "9" * 5000], f"--from: '{'9' * 40}' is not a time"),
        (["--from", "1h", "--to", "2026-13-01"], "--to: '2026-13-01' is not a time"),
        (["--metric", ""], "--metric needs a name of 1 to 255 characters"),
        (["--metric", "\udce9"], "--metric needs a name of 1 to 255 characters"),
        (["--all", "--limit", "5"], "--all and --limit exclude each other"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_before_any_request(
    typed: Type, gateway: Gateway, words: list[str], told: str
) -> None:
    result = typed("query", "A", *words)
    assert isinstance(result.exception, UsageError) and told in str(result.exception)
    assert not gateway.requests


@pytest.mark.parametrize("start", ["2026-11-22t11:58:00z", "2026-11-22 12:58:00.000000000+01:00", "0", "2026-11-22"])
def test_every_form_of_a_time_that_the_api_takes_may_be_typed(typed: Type, world: World, start: str) -> None:
    rows_of(world, 3)
    for words in ([], ["--plot"], ["--every", "1m"]):
        result = typed("query", "A", "--from", start, *words)
        assert result.exception is None and result.stdout


@pytest.mark.parametrize(
    ("status", "said", "kind", "told"),
    [
        (403, '{"message": "Missing Authentication Token"}', IotpipeError, "the API has no such route or stage"),
        (400, "nonsense", UsageError, "the API rejects the query: 400 nonsense"),
        (414, "URI Too Long", IotpipeError, "the query failed: 414 URI Too Long"),
    ],
)
def test_an_answer_that_holds_no_rows_is_told(
    typed: Type, gateway: Gateway, status: int, said: str, kind: type[Exception], told: str
) -> None:
    gateway.faults.append(answering(status, said))
    result = typed("query", "A")
    assert type(result.exception) is kind and told in str(result.exception)
    assert not result.stdout
