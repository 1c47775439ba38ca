"""Requests of clients: accepted in every valid form, refused with all problems."""

from __future__ import annotations

import base64
import functools
import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from iotpipe.handlers import ingestion, parsing
from tests.support.handlers_world import (
    NOON,
    Calls,
    World,
    all_queued,
    all_stored,
    answered,
    failure,
    proxy_event,
    reading,
    success,
)

DAY = 86_400_000
WRITES = {"BatchWriteItem", "SendMessageBatch", "Publish"}
REQUEST_ID = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"

Wrong = list[tuple[int | None, str, str]]


def wrongs(answer: dict[str, Any]) -> Wrong:
    assert answer["statusCode"] == 400
    error = answered(answer)["error"]
    assert error["code"] == "validation_failed"
    assert error["request_id"] == REQUEST_ID
    assert all(one["message"] for one in error["details"])
    return [(one.get("index"), one["field"], one["code"]) for one in error["details"]]


def written(metrics: str = "{}", device: str = '"d"', more: str = "") -> str:
    """Return a reading as text, so that it may have errors that no JSON encoder makes."""
    return f'{{"device_id": {device}, "timestamp": {NOON}, "sensor_data": {metrics}{more}}}'


def nested(levels: int) -> str:
    """Return metrics with `levels` levels, the object included."""
    return '{"a": ' + "[" * (levels - 1) + "]" * (levels - 1) + "}"


@pytest.mark.parametrize(
    "body",
    [
        [reading()],
        {"readings": [reading()]},
        [reading(index) for index in range(500)],
        reading(device_id="A-z_0.9:/#-"),
        reading(device_id="x" * 128),
        reading(reading_id="urn:a/b#1"),
        reading(timestamp=NOON - 365 * DAY),
        reading(timestamp=NOON + 600_000),
        reading(sensor_data={f"m{index}": index for index in range(100)}),
        reading(sensor_data={"n" * 255: 1}),
        reading(sensor_data={"text": "x" * 249_980}),
        written(nested(15)),
        written('{"a": ' * 14 + "{}" + "}" * 14),
        f"[{written(nested(15))}]",
        f'{{"readings": [{written(nested(15))}]}}',
        f"\n\t {written()} \r\n",
    ],
    ids=lambda body: str(body)[:30],
)
def test_what_is_allowed_is_accepted_up_to_its_limits(world: World, calls: Calls, body: Any) -> None:
    for answer in (world.ingest(body), world.process(body)):
        assert answer["statusCode"] == 200, answer["body"]
    assert calls.of("BatchWriteItem")
    assert calls.of("SendMessageBatch")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"device_id"', (None, "body", "json")),
        ("'single'", (None, "body", "json")),
        ("{} {}", (None, "body", "json")),
        ("\ufeff{}", (None, "body", "json")),
        (written('{"a": NaN}'), (None, "sensor_data.a", "number")),
        (written('{"a": -Infinity}'), (None, "sensor_data.a", "number")),
        (written('{"a": 1E126}'), (None, "sensor_data.a", "number")),
        (written('{"a": 1E-131}'), (None, "sensor_data.a", "number")),
        (written('{"a": 1.5E-130}'), (None, "sensor_data.a", "number")),
        (written(f'{{"a": {"1" * 39}}}'), (None, "sensor_data.a", "number")),
        (written(f'{{"a": 0.{"1" * 39}}}'), (None, "sensor_data.a", "number")),
        (written(f'{{"a": {"1" * 100_000}}}'), (None, "sensor_data.a", "number")),
        (written('{"a": 1e999999999999999999}'), (None, "sensor_data.a", "number")),
        (written('{"a": 1, "a": 1}'), (None, "sensor_data.a", "duplicate_key")),
        (written(more=', "device_id": "other"'), (None, "device_id", "duplicate_key")),
        (written('{"a": "\\ud800"}'), (None, "sensor_data.a", "surrogate")),
        (written('{"a": {"\\udfff": 1}}'), (None, "sensor_data.a.\\udfff", "surrogate")),
        (written('{"a": "\ud83d"}'), (None, "sensor_data.a", "surrogate")),
        (written(nested(16)), (None, "sensor_data.a" + "[0]" * 14, "nesting")),
        (written('{"a": ' * 15 + "{}" + "}" * 15), (None, "sensor_data" + ".a" * 15, "nesting")),
        (written(nested(50_000)), (None, "body", "nesting")),
        ("[" * 100_000, (None, "body", "nesting")),
        ('{"a":' * 100_000, (None, "body", "nesting")),
        (" " * 2_000_001, (None, "body", "required")),
        (" " * 2_000_000 + "{", (None, "body", "size")),
        ("[" + "0," * 99_999 + "0]", (None, "body", "size")),
        ("[" + "[]," * 60_000 + "0]", (None, "body", "size")),
        (written(f"[{'0,' * 99_998}0]"), (None, "body", "size")),
        ("[]", (None, "readings", "count")),
        ('{"readings": []}', (None, "readings", "count")),
        ('{"readings": {}}', (None, "readings", "type")),
        ('{"readings": null}', (None, "readings", "type")),
        (f'{{"readings": [{written()}], "more": 1}}', (None, "more", "unknown")),
        (f"[{','.join([written()] * 501)}]", (None, "readings", "count")),
        ("null", (None, "reading", "type")),
        ("[[]]", (0, "reading", "type")),
        (written(device="17"), (None, "device_id", "type")),
        (written(device="null"), (None, "device_id", "type")),
        (written(device='""'), (None, "device_id", "format")),
        (written(device='"a b"'), (None, "device_id", "format")),
        (written(device='"é"'), (None, "device_id", "format")),
        (written(device='"a\\n"'), (None, "device_id", "format")),
        (written(device=f'"{"x" * 129}"'), (None, "device_id", "format")),
        (written(more=', "reading_id": null'), (None, "reading_id", "type")),
        (written(more=', "reading_id": ""'), (None, "reading_id", "format")),
        (written(more=', "colour": "red"'), (None, "colour", "unknown")),
        (written("null"), (None, "sensor_data", "type")),
        (written("[]"), (None, "sensor_data", "type")),
        (written('{"temperature": "25.5"}'), (None, "sensor_data.temperature", "type")),
        (written('{"temperature": true}'), (None, "sensor_data.temperature", "type")),
        (written('{"humidity": null}'), (None, "sensor_data.humidity", "type")),
        (written('{"pressure": [1]}'), (None, "sensor_data.pressure", "type")),
        (written('{"temperature": 6E125}'), (None, "sensor_data.temperature", "range")),
        (written('{"": 1}'), (None, "sensor_data", "name")),
        (written('{"a": [{"": 1}]}'), (None, "sensor_data", "name")),
        (written(f'{{"{"n" * 256}": 1}}'), (None, "sensor_data", "name")),
        (written(json.dumps({f"m{n}": 1 for n in range(101)})), (None, "sensor_data", "count")),
        (written(f'{{"text": "{"x" * 250_000}"}}'), (None, "sensor_data", "size")),
        (json.dumps(reading(timestamp="yesterday")), (None, "timestamp", "format")),
        (json.dumps(reading(timestamp="2026-11-22T11:00:00")), (None, "timestamp", "format")),
        (json.dumps(reading(timestamp="2026-02-30T11:00:00Z")), (None, "timestamp", "format")),
        (json.dumps(reading(timestamp="2026-11-22T11:00:00+99:00")), (None, "timestamp", "format")),
        (json.dumps(reading(timestamp=None)), (None, "timestamp", "type")),
        (json.dumps(reading(timestamp=True)), (None, "timestamp", "type")),
        (json.dumps(reading(timestamp=NOON // 1000)), (None, "timestamp", "range")),
        (json.dumps(reading(timestamp=-1)), (None, "timestamp", "range")),
        (json.dumps(reading(timestamp=NOON - 365 * DAY - 1)), (None, "timestamp", "range")),
        (json.dumps(reading(timestamp=NOON + 600_001)), (None, "timestamp", "range")),
        (json.dumps(reading(timestamp="0001-01-01T00:00:00+14:00")), (None, "timestamp", "range")),
        (json.dumps(reading(timestamp="9999-12-31T23:59:59-14:00")), (None, "timestamp", "range")),
        (written().replace(str(NOON), "1E125"), (None, "timestamp", "range")),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_wrong_is_named_and_nothing_is_stored(
    world: World, calls: Calls, body: str, expected: tuple[int | None, str, str]
) -> None:
    assert wrongs(world.ingest(body)) == [expected]
    assert wrongs(world.process(body)) == [expected]
    assert not WRITES & set(calls.names())


def test_a_batch_with_one_bad_reading_is_refused_whole_with_every_error(world: World, calls: Calls) -> None:
    batch = [
        reading(),
        {"device_id": 5, "sensor_data": {"temperature": "warm", "humidity": None}, "colour": "red"},
        reading(2),
        {"reading_id": "r"},
    ]
    expected = [
        (1, "colour", "unknown"),
        (1, "device_id", "type"),
        (1, "sensor_data.temperature", "type"),
        (1, "sensor_data.humidity", "type"),
        (3, "device_id", "required"),
        (3, "timestamp", "required"),
        (3, "sensor_data", "required"),
    ]
    assert wrongs(world.ingest(batch)) == expected
    assert wrongs(world.ingest({"readings": batch})) == expected
    assert not WRITES & set(calls.names())


def test_what_the_parser_stumbles_over_is_listed_like_everything_else(world: World, calls: Calls) -> None:
    """Of 500 readings with each kind of problem among them, every problem is reported."""
    batch = [written().replace(str(NOON), str(NOON - index)) for index in range(500)]
    batch[7] = written('{"temperature": 5}', device="[]")
    batch[137] = written('{"temperature": NaN, "list": [1, {"x": -Infinity}]}')
    batch[140] = written(nested(16), more=', "colour": 1e400')
    batch[141] = "Infinity"
    batch[300] = written('{"temperature": NaN}')
    batch[301] = written('{"a": "\\udfff", "a": 1}', more=', "timestamp": 1')
    batch[499] = written('{"humidity": "damp"}').replace(str(NOON), "1" * 39)
    expected = [
        (7, "device_id", "type"),
        (137, "sensor_data.temperature", "number"),
        (137, "sensor_data.list[1].x", "number"),
        (140, "sensor_data.a" + "[0]" * 14, "nesting"),
        (140, "colour", "number"),
        (141, "reading", "number"),
        (300, "sensor_data.temperature", "number"),
        (301, "timestamp", "duplicate_key"),
        (301, "sensor_data.a", "duplicate_key"),
        (499, "timestamp", "number"),
        (499, "sensor_data.humidity", "type"),
    ]
    for body in (f"[{','.join(batch)}]", f'{{"readings": [{",".join(batch)}]}}'):
        assert wrongs(world.ingest(body)) == expected
        assert wrongs(world.process(body)) == expected
    assert not WRITES & set(calls.names())


def test_what_is_wrong_with_the_envelope_is_listed_as_well(world: World) -> None:
    body = f'{{"readings": [{written()}], "readings": [{written()}], "more": NaN}}'
    assert wrongs(world.ingest(body)) == [(None, "more", "unknown"), (None, "readings", "duplicate_key")]
    assert wrongs(world.ingest('{"readings": NaN}')) == [(None, "readings", "type")]
    assert wrongs(world.ingest("NaN")) == [(None, "reading", "number")]


def test_a_path_is_short_and_ascii_whatever_the_names_are(world: World) -> None:
    name = "ü\ud800" * 100
    answer = world.ingest(written(f'{{"{name}": ' * 10 + "NaN" + "}" * 10))
    assert answer["body"].isascii()
    assert all(len(field) <= 200 for _, field, _ in wrongs(answer))


def test_an_object_that_names_very_many_keys_twice_is_answered(world: World) -> None:
    members = ", ".join(f'"k{index // 2}": {{}}' for index in range(70_000))
    assert len(wrongs(world.ingest(written(f"{{{members}}}")))) == 1000


SECONDS = NOON // 1000


@pytest.mark.parametrize("past_days", [365, 36_500])
@pytest.mark.parametrize(
    ("time", "words"),
    [
        (SECONDS, "looks like epoch seconds"),
        (float(SECONDS) + 0.25, "looks like epoch seconds"),
        (0, "does not look like epoch milliseconds"),
        (2026, "does not look like epoch milliseconds"),
        (20261122, "does not look like epoch milliseconds"),
        (46_348, "does not look like epoch milliseconds"),
        (-NOON, "does not look like epoch milliseconds"),
        (NOON * 1000, "micro- or nanoseconds"),
        (NOON * 1_000_000, "micro- or nanoseconds"),
    ],
)
def test_a_number_that_is_evidently_no_milliseconds_is_refused(
    world: World, time: Any, words: str, past_days: int
) -> None:
    """With a window of a century, epoch seconds would be accepted as a time in January 1970."""
    world.configure(past_days=past_days)
    for send in (world.ingest, world.process):
        answer = send(reading(timestamp=time))
        assert wrongs(answer) == [(None, "timestamp", "range")]
        assert words in answered(answer)["error"]["details"][0]["message"]


def test_a_time_of_long_ago_is_taken_if_it_is_written_as_one(world: World) -> None:
    world.configure(past_days=36_500)
    assert world.ingest(reading(timestamp="1970-01-21T18:42:28.800Z"))["statusCode"] == 200
    assert world.ingest(reading(timestamp=100_000_000_000))["statusCode"] == 200


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (str(NOON), "a number in quotes"),
        ("2026-11-22", "a date without a time"),
        ("2026-11-22T12:00:00", "no time zone"),
        ("2026-11-22 12:00", "no time zone"),
        ("2026-11-22T12:00:00.1234567890Z", "more than 9 decimal places"),
        ("2016-12-31T23:59:60Z", "a leap second"),
        ("yesterday", "not an RFC 3339 time"),
        ("2026-02-30T12:00:00Z", "not an RFC 3339 time"),
    ],
)
def test_a_text_that_is_no_time_is_told_why(world: World, text: str, words: str) -> None:
    answer = world.ingest(reading(timestamp=text))
    assert wrongs(answer) == [(None, "timestamp", "format")]
    assert words in answered(answer)["error"]["details"][0]["message"]


def test_a_text_s_size_is_that_of_ascii_json_and_the_refusal_says_so(world: World) -> None:
    """Messages are ASCII, because SQS refuses some characters: a character of three bytes in UTF-8 takes six there."""
    assert world.ingest(reading(sensor_data={"text": "水" * 41_660}))["statusCode"] == 200
    answer = world.ingest(reading(sensor_data={"text": "水" * 42_000}))
    assert wrongs(answer) == [(None, "sensor_data", "size")]
    assert "ASCII" in answered(answer)["error"]["details"][0]["message"]


def test_process_needs_a_timestamp_and_ingest_only_with_a_reading_id(world: World) -> None:
    untimed = {"device_id": "d", "sensor_data": {}}
    assert world.ingest(untimed)["statusCode"] == 200
    assert wrongs(world.process(untimed)) == [(None, "timestamp", "required")]
    assert wrongs(world.ingest(untimed | {"reading_id": "r"})) == [(None, "timestamp", "required")]


def test_the_list_of_errors_is_cut_before_the_answer_is_too_long_for_lambda(world: World) -> None:
    fields = {f"field-{index}-" + "ü" * 80: 1 for index in range(3_000)}
    answer = world.ingest(reading(**fields))
    assert len(wrongs(answer)) == 1000
    assert answered(answer)["error"]["omitted"] == 2_000
    assert len(json.dumps(answer)) < 1_000_000


def encoded(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def test_a_base64_body_is_decoded(world: World) -> None:
    body = json.dumps(reading(sensor_data={"Größe": 1}), ensure_ascii=False)
    assert world.ingest(encoded(body), isBase64Encoded=True)["statusCode"] == 200
    assert world.process(encoded(body), isBase64Encoded=True)["statusCode"] == 200
    (row,) = world.rows(world.raw)
    assert row["sensor_data"] == {"M": {"Größe": {"N": "1"}}}


@pytest.mark.parametrize(
    "body", ["%%%", "e30", encoded(b"\xff\xfe"), encoded(b'{"device_id": "\xed\xa0\x80"}'), "ünïcode", "{}"]
)
def test_a_body_that_is_no_base64_of_text_is_refused(world: World, body: str) -> None:
    assert wrongs(world.ingest(body, isBase64Encoded=True)) == [(None, "body", "base64")]


def zipped(send: Callable[..., dict[str, Any]], content: bytes, header: str = "gzip") -> dict[str, Any]:
    """Send a compressed body in base64, as API Gateway passes binary data on."""
    return send(encoded(content), isBase64Encoded=True, headers={"content-encoding": header})


@pytest.mark.parametrize("header", ["gzip", "GZIP", " x-gzip "])
def test_a_gzip_body_is_decompressed(world: World, header: str) -> None:
    batch = [reading(index, sensor_data={"text": "水" * 1000}) for index in range(20)]
    for send in (world.ingest, world.process):
        answer = zipped(send, gzip.compress(json.dumps(batch).encode()), header)
        assert answer["statusCode"] == 200, answer["body"]
    assert len(world.rows(world.raw)) == len(world.rows(world.processed)) == 20


@pytest.mark.parametrize(
    ("body", "is_base64"), [(json.dumps(reading()), False), (encoded(json.dumps(reading())), True)]
)
def test_a_body_that_api_gateway_has_decompressed_is_taken_whatever_its_header_says(
    world: World, body: str, is_base64: bool
) -> None:
    changes = {"headers": {"Content-Encoding": "gzip"}, "isBase64Encoded": is_base64}
    assert world.ingest(body, **changes)["statusCode"] == 200


@functools.cache
def bomb() -> bytes:
    return gzip.compress(b" " * 100_000_000)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        pytest.param(gzip.compress(b" " * 6_000_001), "size", id="one byte too many"),
        pytest.param(gzip.compress(b"{}")[:-1], "gzip", id="last byte missing"),
        pytest.param(gzip.compress(b"{}")[:-8] + b"12345678", "gzip", id="wrong checksum"),
        pytest.param(gzip.compress(b"{}") * 2, "gzip", id="two members"),
        pytest.param(gzip.compress(b"{}") + b"more", "gzip", id="trailing bytes"),
        pytest.param(gzip.compress(b"")[:2], "gzip", id="header cut off"),
        pytest.param(gzip.compress(b"\xff\xfe"), "base64", id="no text"),
        pytest.param(gzip.compress(gzip.compress(b"{}")), "base64", id="compressed twice"),
        pytest.param(zlib.compress(b"{}"), "base64", id="zlib"),
    ],
)
def test_gzip_that_is_too_large_or_damaged_is_refused(world: World, content: bytes, code: str) -> None:
    assert wrongs(zipped(world.ingest, content)) == [(None, "body", code)]
    assert wrongs(zipped(world.process, content)) == [(None, "body", code)]


@pytest.mark.parametrize(("length", "code"), [(None, "size"), (1000, "gzip")], ids=["whole", "cut off"])
def test_a_gzip_bomb_is_refused(world: World, length: int | None, code: str) -> None:
    assert wrongs(zipped(world.ingest, bomb()[:length])) == [(None, "body", code)]
    assert wrongs(zipped(world.process, bomb()[:length])) == [(None, "body", code)]


def test_what_gzip_would_grow_to_never_gets_into_memory(world: World) -> None:
    zipped(world.ingest, bomb())
    tracemalloc.start()
    zipped(world.ingest, bomb())
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20_000_000


def test_gzip_without_its_header_or_passed_on_as_text_is_told_apart(world: World) -> None:
    content = gzip.compress(json.dumps(reading()).encode())
    without = answered(world.ingest(encoded(content), isBase64Encoded=True))["error"]["details"]
    assert "Content-Encoding: gzip" in without[0]["message"]
    as_text = content.decode(errors="replace")
    assert wrongs(world.ingest(as_text, headers={"Content-Encoding": "gzip"})) == [(None, "body", "gzip")]


IN_PART = {"queryStringParameters": {"partial": "true"}}


def test_the_good_readings_of_a_batch_are_taken_if_that_is_asked_for(world: World, calls: Calls) -> None:
    untimed = {"device_id": "roof", "sensor_data": {"temperature": 1}}
    batch = [reading(0), {"device_id": 5, "colour": "red"}, reading(1), reading(0), "text", untimed, untimed]
    assert world.ingest(batch)["statusCode"] == 400
    assert not WRITES & set(calls.names())
    for body in (batch, {"readings": batch}):
        answer = world.ingest(body, **IN_PART)
        assert answer["statusCode"] == 207
        found = answered(answer)
        assert {name: found[name] for name in ("accepted", "duplicates", "failed", "rejected")} == {
            "accepted": 4,
            "duplicates": 1,
            "failed": 0,
            "rejected": 2,
        }
        statuses = ["accepted", "rejected", "accepted", "duplicate", "rejected", "accepted", "accepted"]
        assert [one["status"] for one in found["results"]] == statuses
        assert [one["index"] for one in found["results"]] == list(range(7))
        problems = [[(one["field"], one["code"]) for one in result["problems"]] for result in found["results"]]
        assert problems[1] == [("colour", "unknown"), ("device_id", "type"), ("sensor_data", "required")]
        assert problems[4] == [("reading", "type")]
        assert not any(problems[index] for index in (0, 2, 3, 5, 6))
    world.deliver()
    assert len(world.rows(world.raw)) == len(world.rows(world.processed)) == 4


def test_in_part_a_value_that_no_parser_keeps_costs_only_its_own_reading(world: World) -> None:
    bad = written('{"temperature": NaN}')
    body = f"[{written()}, {bad}, Infinity]"
    results = answered(world.ingest(body, **IN_PART))["results"]
    assert [one["status"] for one in results] == ["accepted", "rejected", "rejected"]
    assert results[1]["problems"][0]["field"] == "sensor_data.temperature"


@pytest.mark.parametrize(
    ("batch", "statuses"), [([reading()], ["accepted"]), (reading(), ["accepted"]), ([5], ["rejected"])]
)
def test_in_part_every_body_of_readings_has_a_result_for_each(world: World, batch: Any, statuses: list[str]) -> None:
    answer = world.ingest(batch, **IN_PART)
    assert answer["statusCode"] == 207
    assert [one["status"] for one in answered(answer)["results"]] == statuses


@pytest.mark.parametrize("body", ["[", "[]", '{"readings": 5}', None, f"[{','.join([written()] * 501)}]"])
def test_in_part_a_body_that_is_no_readings_is_refused_as_ever(world: World, body: Any) -> None:
    assert len(wrongs(world.ingest(body, **IN_PART))) == 1


def test_in_part_what_could_not_be_kept_is_no_success(world: World, calls: Calls) -> None:
    calls.answer("SendMessageBatch", lambda _: failure("AccessDenied"))
    answer = world.ingest([reading(), 5], **IN_PART)
    assert (answer["statusCode"], answer["headers"]["Retry-After"]) == (503, "2")
    results = answered(answer)["results"]
    assert [one["status"] for one in results] == ["failed", "rejected"]
    assert results[0]["reason"] == "AccessDenied"


@pytest.mark.parametrize("value", ["", "TRUE", "1", "yes", " true"])
def test_in_part_is_asked_for_in_one_way_only(world: World, calls: Calls, value: str) -> None:
    """A mistyped value must not silently change how readings are handled."""
    answer = world.ingest([reading(), 5], queryStringParameters={"partial": value})
    assert wrongs(answer) == [(None, "partial", "choice")]
    several = {"partial": ["true", "false"]}
    assert wrongs(world.ingest(reading(), multiValueQueryStringParameters=several)) == [(None, "partial", "repeated")]
    assert not WRITES & set(calls.names())


def test_whole_is_how_a_batch_is_taken_if_it_is_said_or_not(world: World) -> None:
    for changes in ({}, {"queryStringParameters": {"partial": "false"}}, {"queryStringParameters": {"colour": "red"}}):
        assert wrongs(world.ingest([reading(), 5], **changes)) == [(1, "reading", "type")]
        assert answered(world.ingest([reading()], **changes)).keys() == {"accepted", "duplicates", "failed", "results"}


def test_in_part_the_answer_stays_below_what_lambda_returns(world: World) -> None:
    batch = [reading(index, **{f"field-{n}-" + "x" * 80: 1 for n in range(20)}) for index in range(500)]
    answer = world.ingest(batch, **IN_PART)
    assert answer["statusCode"] == 207
    assert all(1 <= len(one["problems"]) <= 2 for one in answered(answer)["results"])
    assert len(json.dumps(answer)) < 1_000_000


@pytest.mark.matrix
def test_the_largest_reading_fits_a_row_and_a_message(world: World, calls: Calls) -> None:
    """The largest items that 250,000 bytes of JSON can become: the most values, or text with escapes."""
    calls.answer("BatchWriteItem", all_stored)
    calls.answer("SendMessageBatch", all_queued)
    few = parsing.MAX_VALUES - 10
    digits = {"list": [1] * few, "text": "x" * 99_000}
    nests = {"list": [json.loads("[" * 12 + "1" + "]" * 12)] * (few // 13), "text": "x" * 99_000}
    for metrics in (digits, nests, {"text": "\x01" * 41_660}):
        assert world.ingest(reading(sensor_data=metrics))["statusCode"] == 200
    assert world.process(reading(sensor_data=nests))["statusCode"] == 200
    written = [each for one in calls.of("BatchWriteItem") for rows in one["RequestItems"].values() for each in rows]
    assert max(item_bytes(each["PutRequest"]["Item"]) for each in written) <= 400 * 1024
    sent = [each["MessageBody"] for one in calls.of("SendMessageBatch") for each in one["Entries"]]
    assert max(map(len, sent)) < 262_144


def item_bytes(item: dict[str, Any]) -> int:
    """Return an item's size by DynamoDB's rules."""
    return sum(len(name.encode()) + attribute_bytes(value) for name, value in item.items())


def attribute_bytes(attribute: dict[str, Any]) -> int:
    ((kind, value),) = attribute.items()
    if kind == "M":
        return 3 + len(value) + item_bytes(value)
    if kind == "L":
        return 3 + len(value) + sum(map(attribute_bytes, value))
    return (len(value) + 1) // 2 + 1 if kind == "N" else len(value.encode())


@pytest.mark.matrix
def test_whatever_ingestion_takes_the_processor_takes_as_well(world: World, calls: Calls) -> None:
    """A reading with the maximum of values is processed, although its message has a few more."""
    calls.answer("BatchWriteItem", all_stored)
    bodies = [reading(sensor_data={"list": [1] * (parsing.MAX_VALUES - less)}) for less in range(10)]
    most = next(body for body in bodies if world.ingest(body)["statusCode"] == 200)
    assert most is not bodies[0]
    assert [answer["batchItemFailures"] for answer in world.deliver()] == [[]]


def test_calls_stay_within_the_limits_of_count_and_bytes(world: World, calls: Calls) -> None:
    calls.answer("BatchWriteItem", all_stored)
    calls.answer("SendMessageBatch", all_queued)
    small = [reading(index) for index in range(60)]
    large = [reading(100 + index, sensor_data={"text": "ü" * 40_000}) for index in range(24)]
    assert world.ingest(small)["statusCode"] == 200
    assert [len(one["RequestItems"][world.raw]) for one in calls.of("BatchWriteItem")] == [25, 25, 10]
    assert [len(one["Entries"]) for one in calls.of("SendMessageBatch")] == [10] * 6
    assert world.ingest(json.dumps(large, ensure_ascii=False))["statusCode"] == 200
    for request in calls.of("SendMessageBatch"):
        assert sum(len(entry["MessageBody"]) + 200 for entry in request["Entries"]) <= 262_144
    # A list of digits grows most in a request to DynamoDB: even a full chunk of those must fit into 16 MB.
    fullest = max(len(json.dumps(request)) for request in calls.of("BatchWriteItem"))
    assert world.ingest(reading(sensor_data={"list": [1] * 10_000}))["statusCode"] == 200
    growth = len(json.dumps(calls.of("BatchWriteItem")[-1])) / 20_000
    assert fullest * growth < 16 * 1024 * 1024


def test_a_permanent_refusal_of_the_queue_is_not_tried_again(world: World, calls: Calls) -> None:
    refused = [{"Id": "0", "SenderFault": True, "Code": "InvalidMessageContents"}]
    calls.answer("SendMessageBatch", lambda _: success(Failed=refused, Successful=[{"Id": "1"}]))
    answer = world.ingest([reading(0), reading(1)])
    assert answer["statusCode"] == 503
    results = answered(answer)["results"]
    assert [one["status"] for one in results] == ["failed", "accepted"]
    assert results[0]["reason"] == "InvalidMessageContents"
    assert len(calls.of("SendMessageBatch")) == 1


def test_an_unprocessed_item_under_a_key_that_is_written_otherwise_is_not_taken_for_stored(
    world: World, calls: Calls
) -> None:
    def otherwise(request: dict[str, Any]) -> Any:
        calls.let_through("BatchWriteItem")
        (*_, last) = request["RequestItems"][world.raw]
        last["PutRequest"]["Item"]["timestamp"]["N"] += "0"
        return success(UnprocessedItems={world.raw: [last]})

    calls.answer("BatchWriteItem", otherwise)
    assert answered(world.ingest([reading(index) for index in range(3)]))["accepted"] == 3
    assert len(world.rows(world.raw)) == 3


def test_unprocessed_items_and_failed_entries_are_sent_again_alone(world: World, calls: Calls) -> None:
    def first_only(request: dict[str, Any]) -> Any:
        calls.let_through("BatchWriteItem")
        return success(UnprocessedItems={world.raw: request["RequestItems"][world.raw][1:]})

    def last_fails(request: dict[str, Any]) -> Any:
        calls.let_through("SendMessageBatch")
        failed = [{"Id": "2", "SenderFault": False, "Code": "InternalError"}]
        return success(Failed=failed, Successful=[{"Id": "0"}, {"Id": "1"}])

    calls.answer("BatchWriteItem", first_only)
    calls.answer("SendMessageBatch", last_fails)
    assert answered(world.ingest([reading(index) for index in range(3)]))["accepted"] == 3
    assert [len(one["RequestItems"][world.raw]) for one in calls.of("BatchWriteItem")] == [3, 2]
    assert [len(one["Entries"]) for one in calls.of("SendMessageBatch")] == [3, 1]
    assert world.clock.slept


def test_unprocessed_items_are_known_again_as_dynamodb_writes_numbers(world: World, calls: Calls) -> None:
    def none_of_them(request: dict[str, Any]) -> Any:
        calls.let_through("BatchWriteItem")
        left = request["RequestItems"][world.raw]
        for one in left:
            one["PutRequest"]["Item"]["timestamp"]["N"] = one["PutRequest"]["Item"]["timestamp"]["N"].rstrip("0")
        return success(UnprocessedItems={world.raw: left})

    for start in range(0, 100, 25):
        calls.answer("BatchWriteItem", none_of_them)
        assert world.ingest([reading(start + index) for index in range(25)])["statusCode"] == 200
    assert len(world.rows(world.raw)) == 100


def test_what_is_not_stored_is_not_queued(world: World, calls: Calls) -> None:
    calls.answer("BatchWriteItem", lambda _: failure("ProvisionedThroughputExceededException"))
    answer = world.ingest([reading(0), reading(1)])
    assert answer["statusCode"] == 503
    assert answer["headers"]["Retry-After"].isdigit()
    body = answered(answer)
    assert (body["accepted"], body["duplicates"], body["failed"]) == (0, 0, 2)
    assert body["results"][1] == {
        "index": 1,
        "device_id": "sensor-001",
        "timestamp": NOON - 59_999,
        "status": "failed",
        "reason": "ProvisionedThroughputExceededException",
    }
    assert "SendMessageBatch" not in calls.names()


def test_retries_end_with_the_time_that_api_gateway_waits(world: World, calls: Calls) -> None:
    def slow_refusal(_: Any) -> Any:
        world.clock.pass_(3)
        return failure("ThrottlingException")

    calls.answer("BatchWriteItem", slow_refusal)
    begun = world.clock.elapsed()
    assert world.ingest([reading(index) for index in range(500)])["statusCode"] == 503
    assert world.clock.elapsed() - begun < 29
    assert answered(world.ingest(reading()))["failed"] == 1


def test_when_time_runs_short_what_is_stored_is_queued_as_well(world: World, calls: Calls) -> None:
    calls.answer("BatchWriteItem", lambda _: world.clock.pass_(0.4))
    event = proxy_event("POST", "/ingest", body=json.dumps([reading(index) for index in range(300)]))
    answer = ingestion.lambda_handler(event, world.context(3))
    assert answer["statusCode"] == 503
    assert answered(answer)["accepted"] == len(world.bodies(world.queue)) == 50


def test_a_reading_dynamodb_refuses_does_not_take_its_neighbours_along(world: World, calls: Calls) -> None:
    def refuse_the_second(request: dict[str, Any]) -> Any:
        items = [one["PutRequest"]["Item"] for one in request["RequestItems"][world.processed]]
        return failure("ValidationException") if any(item["temperature"] == {"N": "1"} for item in items) else None

    calls.answer("BatchWriteItem", refuse_the_second)
    answer = world.process([reading(index, sensor_data={"temperature": index}) for index in range(3)])
    assert answer["statusCode"] == 503
    assert [one["status"] for one in answered(answer)["results"]] == ["processed", "failed", "processed"]
    assert len(world.rows(world.processed)) == 2


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-Correlation-Id": "job-17"}, "job-17"),
        ({"x-correlation-id": "job-17"}, "job-17"),
        ({"X-CORRELATION-ID": "job-17"}, "job-17"),
        ({"X-Correlation-Id": 'x", "level": "forged'}, REQUEST_ID),
        ({"X-Correlation-Id": "a\nb"}, REQUEST_ID),
        ({"X-Correlation-Id": "x" * 129}, REQUEST_ID),
        ({"X-Correlation-Id": ""}, REQUEST_ID),
        (None, REQUEST_ID),
    ],
)
def test_the_correlation_id_travels_to_the_processor_if_it_is_harmless(
    world: World, capsys: pytest.CaptureFixture[str], headers: dict[str, str] | None, expected: str
) -> None:
    answer = world.ingest(reading(), headers=headers, multiValueHeaders=None)
    assert answer["headers"]["X-Correlation-Id"] == expected
    world.deliver()
    ingested, processed = map(json.loads, capsys.readouterr().out.splitlines())
    assert ingested["correlation_id"] == expected
    assert processed["correlation_ids"] == [expected]


def test_headers_may_also_come_as_lists(world: World) -> None:
    several = {"X-Correlation-ID": ["first", "second"]}
    answer = world.ingest(reading(), headers=None, multiValueHeaders=several)
    assert answer["headers"]["X-Correlation-Id"] == "second"
