"""What devices publish: batches of the device queue that ingestion stores, refuses or hands back."""

from __future__ import annotations

import base64
import gzip
import json
from decimal import Decimal
from typing import Any

import pytest

from iotpipe.handlers import ingestion, raw_store, web
from tests.support.device_messages import CERTIFICATE, TRACE, batch, handed_back, published
from tests.support.handlers_world import NAME, NOON, Calls, World, answered, failure, reading, success

VALUE = {"sensor_data": {"temperature": 21.5}}
TIMED = VALUE | {"timestamp": NOON - 1000}
HOT = VALUE | {"sensor_data": {"temperature": "s3cr3t"}}


@pytest.fixture
def devices(world: World) -> World:
    world.enable_devices()
    return world


def take(world: World, *bodies: Any, seconds: float = 60) -> list[str]:
    """Let ingestion take a batch; return the ids of the messages that go back."""
    return handed_back(ingestion.lambda_handler(batch(*bodies), world.context(seconds)))


def letters(world: World) -> list[dict[str, Any]]:
    return [json.loads(body) for body in world.bodies(world.dead)]


def notices(calls: Calls) -> list[dict[str, Any]]:
    return calls.of("Publish")


def fields(letter: dict[str, Any]) -> list[tuple[Any, str, str]]:
    return [(problem.get("index"), problem["field"], problem["code"]) for problem in letter["problems"]]


def test_a_reading_is_the_same_row_and_the_same_message_over_http_and_over_mqtt(devices: World) -> None:
    sent = (
        '{"device_id": "roof", "timestamp": 1795348799000.5, "reading_id": "r1", "sensor_data": {"t": 21.50, "x": 1e2}}'
    )
    assert devices.ingest(sent)["statusCode"] == 200
    (row,), (message,) = devices.rows(devices.raw), devices.bodies(devices.queue)
    devices.clock.pass_(5)
    assert take(devices, published(sent)) == []
    assert devices.rows(devices.raw) == [row]
    assert devices.bodies(devices.queue) == [message]
    assert row["sensor_data"] == {"M": {"t": {"N": "21.5"}, "x": {"N": "100"}}}


@pytest.mark.parametrize(
    "payload",
    [TIMED, [TIMED], {"readings": [TIMED]}, TIMED | {"device_id": "roof"}, gzip.compress(json.dumps(TIMED).encode())],
    ids=["one", "array", "batch", "with its own id", "gzip"],
)
def test_every_form_of_a_payload_is_the_same_reading_of_the_device_of_the_topic(devices: World, payload: Any) -> None:
    assert take(devices, published(payload)) == []
    (row,) = devices.rows(devices.raw)
    assert row["device_id"] == {"S": "roof"}
    assert Decimal(row["timestamp"]["N"]) // 1 == NOON - 1000
    (message,) = devices.bodies(devices.queue)
    assert json.loads(message)["device_id"] == "roof"
    assert letters(devices) == []


def test_what_the_processor_makes_of_it_answers_queries(devices: World) -> None:
    take(devices, published(TIMED))
    devices.deliver()
    (item,) = answered(devices.query(device_id="roof"))["items"]
    assert item["temperature_fahrenheit"] == Decimal("70.7")


def test_the_row_is_of_the_time_at_which_aws_iot_received_it(devices: World) -> None:
    devices.clock.pass_(3600)
    for _ in range(2):
        assert take(devices, published(VALUE)) == []
        devices.clock.pass_(40)
    (row,) = devices.rows(devices.raw)
    assert row["received_at"] == {"S": "2026-11-22T12:00:00.000Z"}
    assert Decimal(row["timestamp"]["N"]) // 1 == NOON
    assert len(set(devices.bodies(devices.queue))) == 1


def test_equal_readings_without_a_time_are_as_many_rows_as_were_sent(devices: World) -> None:
    """Within one payload and within one millisecond, as over HTTP; what the rule gives once is one row."""
    first, second = published([VALUE, VALUE]), published(VALUE, trace=TRACE.format(1))
    assert take(devices, first, second, second) == []
    assert len(devices.rows(devices.raw)) == 3


def test_without_a_trace_id_a_redelivery_is_still_the_same_row(devices: World) -> None:
    for _ in range(2):
        assert take(devices, published(VALUE, trace="absent"), published(VALUE, trace="absent")) == []
    assert len(devices.rows(devices.raw)) == 2


def test_times_are_judged_by_when_the_message_was_received(devices: World) -> None:
    """A second delivery an hour later refuses the same reading, of which it would else be a dead letter and a row."""
    ahead, old = TIMED | {"timestamp": NOON + 1_800_000}, TIMED | {"timestamp": NOON - 365 * 86_400_000}
    devices.clock.pass_(3600)
    assert take(devices, published([ahead, old])) == []
    assert len(devices.rows(devices.raw)) == 1
    (letter,) = letters(devices)
    assert fields(letter) == [(0, "timestamp", "range")]


def test_a_device_cannot_send_readings_of_another(devices: World) -> None:
    payload = [TIMED | {"device_id": "cellar"}, TIMED | {"device_id": 5}, TIMED | {"device_id": "roof"}]
    assert take(devices, published(payload)) == []
    assert [row["device_id"]["S"] for row in devices.rows(devices.raw)] == ["roof"]
    (letter,) = letters(devices)
    assert fields(letter) == [(0, "device_id", "identity"), (1, "device_id", "type")]


def test_the_dead_letter_has_the_message_and_says_what_was_refused(devices: World) -> None:
    payload = json.dumps([HOT, TIMED, HOT | {"colour": 1}]).encode()
    assert take(devices, published(payload)) == []
    assert len(devices.rows(devices.raw)) == 1
    (message,) = devices.receive(devices.dead)
    assert message["MessageAttributes"]["correlation_id"]["StringValue"] == TRACE.format(0)
    letter = json.loads(message["Body"])
    assert base64.b64decode(letter.pop("payload")) == payload
    assert fields(letter) == [
        (0, "sensor_data.temperature", "type"),
        (2, "colour", "unknown"),
        (2, "sensor_data.temperature", "type"),
    ]
    assert all(problem["message"] for problem in letter.pop("problems"))
    assert letter == {
        "refused_by": "data-ingestion",
        "refused": [0, 2],
        "thing": "test:roof",
        "client": "test:roof",
        "received": NOON,
        "trace": TRACE.format(0),
        "certificate": CERTIFICATE,
    }


BOMB = gzip.compress(b"[" + b" " * (web.MAX_BODY_BYTES + 1) + b"]")
BODIES: dict[str, tuple[Any, str]] = {
    "empty": (b"", "required"),
    "not JSON": ("{", "json"),
    "not UTF-8": (b"\xff\xfe", "encoding"),
    "gzip of no text": (gzip.compress(b"\xff\xfe"), "encoding"),
    "damaged gzip": (gzip.compress(b"{}")[:-4], "gzip"),
    "two gzip members": (gzip.compress(b"{}") * 2, "gzip"),
    "gzip bomb": (BOMB, "size"),
    "no readings": ([], "count"),
    "too many readings": ([TIMED] * 501, "count"),
    "too many values": (TIMED | {"sensor_data": {"list": [1] * 80_000}}, "size"),
    "a wrong batch": ({"readings": [TIMED], "colour": 1}, "unknown"),
}


@pytest.mark.parametrize(("payload", "code"), BODIES.values(), ids=BODIES)
def test_a_payload_that_cannot_be_split_into_readings_is_refused_as_a_whole(
    devices: World, payload: Any, code: str
) -> None:
    body, good = published(payload), published(TIMED, "cellar")
    assert take(devices, body, good) == []
    assert [row["device_id"]["S"] for row in devices.rows(devices.raw)] == ["cellar"]
    (letter,) = letters(devices)
    assert [found for _, _, found in fields(letter)] == [code]
    assert letter["payload"] == json.loads(body)["payload"]
    assert "refused" not in letter


FOREIGN: dict[str, str] = {
    "not JSON": "s3cr3t",
    "no object": "[1]",
    "deep": "[" * 100_000,
    "a long number": "1" * 5000,
    "a reading": json.dumps(reading()),
    "no payload": published("{}", payload="absent"),
    "a payload that is no text": published("{}", payload={}),
    "no thing": published("{}", thing=None),
    "no time": published("{}", received="absent"),
    "a text for the time": published("{}", received=str(NOON)),
    "a boolean for the time": published("{}", received=True),
    "seconds for the time": published("{}", received=NOON // 1000),
    "a fraction for the time": published("{}", received=NOON + 0.5),
    "a time that never comes": published("{}", received=10**18),
    "a lone surrogate": '"\\ud800"',
}


@pytest.mark.parametrize("body", FOREIGN.values(), ids=FOREIGN)
def test_what_the_topic_rule_did_not_write_is_refused_and_quoted(devices: World, body: str) -> None:
    assert take(devices, body, published(TIMED)) == []
    assert len(devices.rows(devices.raw)) == 1
    (letter,) = letters(devices)
    assert letter["body"] == body
    assert fields(letter) == [(None, "message", "rule")]


THINGS = [
    "roof",
    "test:",
    "prod:roof",
    "testing:roof",
    "",
    "test:a/b",
    "test:#",
    "test:+",
    "test:" + "x" * 124,
    "test:ü",
]


@pytest.mark.parametrize("thing", THINGS)
def test_a_thing_of_no_device_of_this_environment_is_refused_without_a_notice(
    devices: World, calls: Calls, thing: str
) -> None:
    assert take(devices, published(TIMED, thing=thing)) == []
    assert devices.rows(devices.raw) == []
    (letter,) = letters(devices)
    assert (letter["thing"], fields(letter)) == (thing, [(None, "thing", "identity")])
    assert notices(calls) == []


def test_base64_that_cannot_be_decoded_is_refused(devices: World) -> None:
    assert take(devices, published("{}", payload="äöü"), published("{}", payload="e30")) == []
    assert [fields(letter) for letter in letters(devices)] == [[(None, "body", "base64")]] * 2


def test_what_cannot_be_stored_goes_back_and_its_neighbours_do_not(devices: World, calls: Calls) -> None:
    def refuse_cellar(request: dict[str, Any]) -> Any:
        puts = request["RequestItems"][devices.raw]
        return failure("ValidationException") if any(put_device(put) == "cellar" for put in puts) else None

    calls.answer("BatchWriteItem", refuse_cellar)
    assert take(devices, published(TIMED), published([TIMED, HOT], "cellar"), published(HOT)) == ["m1"]
    assert [letter["thing"] for letter in letters(devices)] == ["test:roof"]
    calls.let_through("BatchWriteItem")
    assert take(devices, published([TIMED, HOT], "cellar")) == []
    assert [letter["thing"] for letter in letters(devices)] == ["test:cellar"]


def put_device(put: dict[str, Any]) -> str:
    return str(put["PutRequest"]["Item"]["device_id"]["S"])


@pytest.mark.parametrize("operation", ["BatchWriteItem", "SendMessageBatch"])
def test_what_is_throttled_to_the_end_goes_back_whole(devices: World, calls: Calls, operation: str) -> None:
    calls.answer(operation, lambda _: failure("ThrottlingException"))
    assert take(devices, published(TIMED), published([TIMED, HOT], "cellar")) == ["m0", "m1"]
    assert "Publish" not in calls.names()
    calls.let_through(operation)
    assert letters(devices) == []


@pytest.mark.parametrize(
    "answer",
    [failure("AccessDenied", 403), success(), success(Successful=[{"Id": "7"}])],
    ids=["denied", "empty", "other"],
)
def test_a_message_is_only_done_when_its_dead_letter_is_confirmed(devices: World, calls: Calls, answer: Any) -> None:
    def refuse(request: dict[str, Any]) -> Any:
        return answer if request["QueueUrl"] == devices.dead else None

    calls.answer("SendMessageBatch", refuse)
    assert take(devices, published([TIMED, HOT]), published(TIMED, "cellar"), "null") == ["m0", "m2"]
    assert "Publish" not in calls.names()
    calls.let_through("SendMessageBatch")
    assert take(devices, published([TIMED, HOT]), "null") == []
    assert len(letters(devices)) == 2
    assert len(devices.rows(devices.raw)) == 2


def test_when_time_runs_short_the_rest_goes_back_unharmed(devices: World, calls: Calls) -> None:
    large = [published([TIMED | {"sensor_data": {"text": "x" * 90_000}}], f"d{index}") for index in range(10)]
    calls.answer("BatchWriteItem", lambda _: devices.clock.pass_(6))
    begun = devices.clock.elapsed()
    undone = take(devices, *large, seconds=30)
    assert devices.clock.elapsed() - begun < 30
    assert 0 < len(undone) < 10
    queued = {json.loads(body)["device_id"] for body in devices.bodies(devices.queue)}
    assert queued == {f"d{index}" for index in range(10) if f"m{index}" not in undone}
    assert queued <= {row["device_id"]["S"] for row in devices.rows(devices.raw)}
    assert letters(devices) == []


def test_payloads_that_take_much_memory_are_worked_off_part_by_part(
    devices: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compressed payload of 128 KB may have six million characters, and a parsed one takes much more."""
    stored: list[int] = []
    store = raw_store.store_and_queue

    def watched(arrived: Any, *rest: Any) -> Any:
        listed = list(arrived)
        stored.append(sum(len(each.reading.text) for each in listed))
        return store(listed, *rest)

    monkeypatch.setattr(raw_store, "store_and_queue", watched)
    payload = gzip.compress(json.dumps(TIMED | {"sensor_data": {"text": "x" * 100_000}}).encode())
    assert take(devices, *(published(payload, f"d{index}") for index in range(10))) == []
    assert len(devices.rows(devices.raw)) == 10
    assert max(stored) < 300_000


def test_the_readings_of_all_messages_share_the_calls(devices: World, calls: Calls) -> None:
    readings = [TIMED | {"timestamp": NOON - index} for index in range(5)]
    assert take(devices, *(published(readings, f"d{index}") for index in range(10))) == []
    assert calls.names().count("BatchWriteItem") == 2
    assert calls.names().count("SendMessageBatch") == 5


def test_each_message_of_the_queue_is_found_by_the_trace_of_aws_iot(devices: World) -> None:
    take(
        devices,
        published(TIMED),
        published(TIMED, "cellar", trace=TRACE.format(1)),
        published(TIMED, "attic", trace="\n"),
    )
    ids = [one["MessageAttributes"]["correlation_id"]["StringValue"] for one in devices.receive(devices.queue)]
    assert sorted(ids) == [TRACE.format(0), TRACE.format(1), "m2"]


def test_the_device_is_told_what_was_refused_and_no_value(devices: World, calls: Calls) -> None:
    assert take(devices, published([HOT, TIMED | {"colour": "s3cr3t"}, TIMED])) == []
    (notice,) = notices(calls)
    assert notice == {
        "topic": "iotpipe/test/test:roof/errors",
        "payload": {
            "trace": TRACE.format(0),
            "problems": [
                {"index": 0, "code": "type", "field": "sensor_data.temperature"},
                {"index": 1, "code": "unknown", "field": "colour"},
            ],
        },
    }


def test_a_notice_of_one_reading_has_no_index(devices: World, calls: Calls) -> None:
    take(devices, published(HOT))
    assert notices(calls)[0]["payload"]["problems"] == [{"code": "type", "field": "sensor_data.temperature"}]


def test_a_device_gets_one_notice_of_a_batch_and_a_bounded_one(devices: World, calls: Calls) -> None:
    wrong = [HOT] * 200
    take(devices, *(published(wrong, trace=TRACE.format(index)) for index in range(3)), published(HOT, "cellar"))
    assert [one["topic"].split("/")[2] for one in notices(calls)] == ["test:roof", "test:cellar"]
    payload = notices(calls)[0]["payload"]
    assert (len(payload["problems"]), payload["omitted"]) == (20, 180)
    letter = letters(devices)[0]
    assert (len(letter["problems"]), letter["omitted"], letter["refused"]) == (100, 100, list(range(200)))


def test_no_more_than_ten_notices_are_published(devices: World, calls: Calls) -> None:
    take(devices, *(published(HOT, f"d{index}") for index in range(12)))
    assert len(notices(calls)) == 10
    assert len(letters(devices)) == 12


def test_a_notice_that_cannot_be_published_changes_nothing_and_is_logged_once(
    devices: World, calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    calls.answer("Publish", lambda _: failure("ForbiddenException", 403))
    assert take(devices, published(HOT), published(HOT, "cellar"), published(TIMED, "attic")) == []
    assert len(notices(calls)) == 1
    assert caplog.text.count("cannot tell devices what was refused") == 1
    assert (len(letters(devices)), len(devices.rows(devices.raw))) == (2, 1)


def test_no_notice_is_begun_when_the_time_is_over(devices: World, calls: Calls) -> None:
    def slowly(request: dict[str, Any]) -> Any:
        if request["QueueUrl"] == devices.dead:
            devices.clock.pass_(53)

    calls.answer("SendMessageBatch", slowly)
    assert take(devices, published(HOT)) == []
    assert notices(calls) == []


def test_a_message_that_trips_over_a_mistake_of_ours_goes_back_alone(
    devices: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = ingestion.device_batch.readings.from_text

    def mistaken(text: str, *rest: Any) -> Any:
        return 1 / 0 if "cellar" in text else original(text, *rest)

    monkeypatch.setattr("iotpipe.handlers.readings.from_text", mistaken)
    assert take(devices, published(TIMED), published(TIMED | {"device_id": "cellar"}, "cellar")) == ["m1"]
    assert len(devices.rows(devices.raw)) == 1
    assert letters(devices) == []
    assert "ZeroDivisionError in mistaken" in capsys.readouterr().out


@pytest.mark.parametrize("body", [None, 5, {"thing": "test:roof"}])
def test_a_record_whose_body_is_no_text_goes_back(devices: World, body: Any) -> None:
    assert take(devices, body, published(TIMED)) == ["m0"]


def test_the_log_line_counts_readings_and_names_certificates_but_no_data(
    devices: World, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    devices.clock.pass_(2)
    other = published([TIMED, TIMED, HOT], "s3cr3t", certificate="a" * 64, trace=TRACE.format(1))
    assert (
        take(devices, published(TIMED), other, published("s3cr3t"), published(TIMED, "odd", certificate="s3cr3t")) == []
    )
    written = capsys.readouterr().out
    line = json.loads(written)
    assert {name: line[name] for name in ("route", "messages", "handed_back")} == {
        "route": "mqtt",
        "messages": 4,
        "handed_back": 0,
    }
    counts = {name: line[name] for name in ("accepted", "duplicates", "failed", "refused_readings", "rejected")}
    assert counts == {"accepted": 3, "duplicates": 1, "failed": 0, "refused_readings": 1, "rejected": 1}
    assert line["wait"] == [2000] * 4
    assert line["certificates"] == ["3f2a9c0d41be", "a" * 12]
    assert line["correlation_ids"] == [TRACE.format(0), TRACE.format(1)]
    assert line["refusals"] == {"type": 1, "json": 1}
    assert "s3cr3t" not in written + caplog.text


def test_the_log_line_says_why_messages_went_back(
    devices: World, calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    calls.answer("BatchWriteItem", lambda _: failure("AccessDeniedException"))
    assert take(devices, published([TIMED, VALUE]), published(HOT)) == ["m0"]
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["failed"], line["handed_back"], line["accepted"]) == (2, 1, 0)
    assert line["reasons"] == {"AccessDeniedException": 1}
    assert line["wait"] == [0]


def test_where_devices_are_not_enabled_no_batch_is_acknowledged(world: World) -> None:
    with pytest.raises(ValueError, match="devices are not enabled"):
        ingestion.lambda_handler(batch(published(TIMED)), world.context())


def test_the_message_that_tests_the_rule_is_logged_and_nothing_else(
    devices: World, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = "0123456789abcdef" * 2
    test = published({"self_test": mark}, thing=f"{NAME}:")
    assert take(devices, test, published(TIMED)) == []
    line = json.loads(capsys.readouterr().out)
    assert (line["self_tests"], line["accepted"]) == ([mark], 1)
    assert len(devices.rows(devices.raw)) == 1 and letters(devices) == []


@pytest.mark.parametrize(
    ("payload", "thing"),
    [
        ({"self_test": "0123456789abcdef" * 2}, f"{NAME}:roof"),
        ({"self_test": "no mark"}, f"{NAME}:"),
        (["self_test"], f"{NAME}:"),
        (b"\xff", f"{NAME}:"),
        (TIMED, f"{NAME}:"),
    ],
    ids=["from a device", "another mark", "no object", "no text", "a reading of no device"],
)
def test_what_only_looks_like_such_a_message_is_refused(devices: World, payload: Any, thing: str) -> None:
    assert take(devices, published(payload, thing=thing)) == []
    assert len(letters(devices)) == 1 and devices.rows(devices.raw) == []
