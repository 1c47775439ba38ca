"""Any input gets 200 or 400, never an exception, and refused input stores nothing."""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from iotpipe.handlers import ingestion, processor, query
from tests.support.device_messages import batch, handed_back, published
from tests.support.handlers_world import (
    DEVICES,
    ENVIRONMENT,
    NOON,
    Calls,
    Clock,
    all_queued,
    all_stored,
    proxy_event,
    sqs_record,
    success,
    watch,
)

pytestmark = pytest.mark.matrix

EXAMPLES = 2_500
DEAD = "https://sqs.eu-central-1.amazonaws.com/123456789012/dead"
SEEDS = pytest.mark.parametrize("seed", range(20261122, 20261126))
Draw = Callable[[random.Random], Any]
"""Draws a random value."""


@pytest.fixture
def aws_calls(environment: None, worker: Any, now: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    """A fake AWS that performs and records every request."""
    monkeypatch.setenv("QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/queue")
    monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", DEAD)
    for name, value in DEVICES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ALERT_TOPIC_ARN", "arn:aws:sns:eu-central-1:123456789012:topic")
    recorded = Calls()
    recorded.answer("BatchWriteItem", all_stored)
    recorded.answer("SendMessageBatch", all_queued)
    recorded.answer("Publish", lambda _: success(MessageId="m"))
    recorded.answer("Query", lambda _: success(Items=[]))
    recorded.answer("GetParameter", lambda _: success(Parameter={"Value": "{}"}))
    end = watch(recorded)
    yield recorded
    end()


# Everything below makes text, since no JSON writer would make the mistakes that matter here. To be fast enough for
# thousands of examples, values are made beforehand, by a grammar with a seed, and put together by a draw with a seed:
# Hypothesis would take three times as long as all that is tested. What fails is in the traceback.
# A lone surrogate is written in two ways: escaped, and as a character.
DICE = random.Random(20261122)
NUMBERS = [
    "0",
    "-0",
    "0.0",
    "25.5",
    "-40",
    "1e2",
    "1E125",
    "1E126",
    "1E-130",
    "1E-131",
    "1.5E-130",
    "1e400",
    "1e99999999999",
    "-17",
    "NaN",
    "Infinity",
    "-Infinity",
    "00",
    "+1",
    ".5",
    "1.",
    "0x10",
    "1795348800000",
    "1795348800",
]
NUMBERS += ["1" * 38, "1" * 39, "9" * 400, "0." + "3" * 60]
STRINGS = [
    '""',
    '"a"',
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"\\ud83d\\ude00"',
    '"\\u0000"',
    '"\\x"',
    '"ü"',
    '"😀"',
    '"device_id"',
    '"temperature"',
    '"2026-11-22T12:00:00Z"',
    '"9999-12-31T23:59:59-23:59"',
    "'a'",
    '"',
]
STRINGS += ['"\ud83d"', '"\n"', '"' + "x" * 300 + '"', '"a b"']
OTHERS = ["null", "true", "false", "{}", "[]", "undefined", ""]


def an_array(texts: Sequence[str]) -> str:
    return f"[{', '.join(texts)}]"


def an_object(*pairs: tuple[str, str]) -> str:
    return "{" + ", ".join(f"{name}: {value}" for name, value in pairs if value is not None) + "}"


def any_value(depth: int = 0) -> str:
    kind = DICE.choice(["number", "string", "other", "array", "object", "deep"][: 3 if depth == 3 else 6])
    if kind == "array":
        return an_array([any_value(depth + 1) for _ in range(DICE.randrange(4))])
    if kind == "object":
        return an_object(*((DICE.choice(STRINGS), any_value(depth + 1)) for _ in range(DICE.randrange(4))))
    if kind == "deep":
        levels = DICE.randrange(1, 60)
        return "[" * levels + "]" * levels
    return DICE.choice({"number": NUMBERS, "string": STRINGS, "other": OTHERS}[kind])


def any_text() -> str:
    return "".join(map(chr, (DICE.randrange(0x20, 0x3000) for _ in range(DICE.randrange(20)))))


def good_metrics() -> str:
    numbers = ["0", "-40", "25.5", "1e2", "1" * 38, "0.1", "1E-130"]
    values = [*numbers, '"ü"', "null", "true", '""', "[1, [2]]", '{"a": {}}', '"\\ud83d\\ude00"', '"😀"']
    names = DICE.sample(['"temperature"', '"humidity"', '"pressure"', '"a"', '"b c"', '"ü"'], DICE.randrange(5))
    return an_object(*((name, DICE.choice(numbers if len(name) > 6 else values)) for name in names))


ANY = [any_value() for _ in range(2_000)] + [any_text() for _ in range(200)] + ["[" * 5_000, '{"a":' * 5_000]


def one_of(choices: Sequence[Any]) -> Draw:
    return lambda dice: dice.choice(choices)


def mostly(*good: str | None) -> Draw:
    """Draw a valid value eleven times out of twelve, else any value."""
    return one_of(list(good) * (len(ANY) * 11 // len(good)) + ANY)


MEMBERS = {
    '"device_id"': mostly('"d"', '"sensor-001"', '"a:b/c#1"'),
    '"timestamp"': mostly(str(NOON), f"{NOON}.5", '"2026-11-22T11:00:00.123456+01:00"', '"2026-11-22T11:00:00Z"'),
    '"sensor_data"': mostly(*(good_metrics() for _ in range(100))),
    '"reading_id"': mostly(None, '"r-1"'),
    '"colour"': mostly(None),
}


def a_reading(dice: random.Random) -> str:
    return an_object(*((name, draw(dice)) for name, draw in MEMBERS.items()))


SHAPES = [
    lambda first, second, anything: first,
    lambda first, second, anything: an_array([first]),
    lambda first, second, anything: an_array([first, second]),
    lambda first, second, anything: an_object(('"readings"', an_array([first, second]))),
    lambda first, second, anything: an_object(('"readings"', anything)),
    lambda first, second, anything: an_array([first, anything]),
    lambda first, second, anything: anything,
    lambda first, second, anything: first + anything,
    lambda first, second, anything: first[: len(anything)],
    lambda first, second, anything: first.replace(": ", f": {anything}", 1),
    lambda first, second, anything: None,
]


def a_document(dice: random.Random) -> str | None:
    shape = dice.choice(SHAPES[:4] * 4 + SHAPES)
    return shape(a_reading(dice), a_reading(dice), dice.choice(ANY))


def as_text(body: str | None) -> dict[str, Any]:
    return {"body": body}


def as_base64(body: str | None) -> dict[str, Any]:
    encoded = (body or "").encode(errors="surrogatepass")
    return {"body": base64.b64encode(encoded).decode(), "isBase64Encoded": True}


def as_broken_base64(body: str | None) -> dict[str, Any]:
    return {"body": body, "isBase64Encoded": True}


WAYS = [as_text] * 4 + [as_base64] * 2 + [as_broken_base64]


def something_sent(dice: random.Random) -> dict[str, Any]:
    return dice.choice(WAYS)(a_document(dice))


def answer_of(calls: Calls, handler: Any, event: dict[str, Any]) -> int:
    """Check an answer's form and return its status."""
    calls.made.clear()
    calls.requests.clear()
    answer = handler(event, None)
    body = json.loads(answer["body"])
    assert answer["body"].isascii()
    stored = {"BatchWriteItem", "SendMessageBatch", "Publish"} & set(calls.names())
    if answer["statusCode"] == 400:
        assert body["error"]["code"] == "validation_failed"
        assert body["error"]["details"]
        assert not stored
    else:
        assert answer["statusCode"] == 200
    return int(answer["statusCode"])


def assert_both_happened(statuses: Counter[int]) -> None:
    """The grammar must make both accepted and refused input, or the tests would prove nothing."""
    assert sum(statuses.values()) == EXAMPLES
    assert min(statuses[200], statuses[400]) > EXAMPLES / 10, statuses


def drawn(draw: Draw, seed: int, examples: int = EXAMPLES) -> Iterator[Any]:
    """Return the given number of examples, the same in each run."""
    dice = random.Random(seed)
    return (draw(dice) for _ in range(examples))


@pytest.mark.sampled(1)
@SEEDS
def test_any_body_for_ingest(aws_calls: Calls, seed: int) -> None:
    statuses: Counter[int] = Counter()
    for sent in drawn(something_sent, seed):
        status = answer_of(aws_calls, ingestion.lambda_handler, proxy_event("POST", "/ingest", **sent))
        assert (status == 200) == ({"BatchWriteItem", "SendMessageBatch"} <= set(aws_calls.names()))
        statuses[status] += 1
    assert_both_happened(statuses)


@pytest.mark.sampled(1)
@SEEDS
def test_any_body_for_process(aws_calls: Calls, seed: int) -> None:
    statuses: Counter[int] = Counter()
    for sent in drawn(something_sent, seed):
        status = answer_of(aws_calls, processor.lambda_handler, proxy_event("POST", "/process", **sent))
        assert (status == 200) == ("BatchWriteItem" in aws_calls.names())
        statuses[status] += 1
    assert_both_happened(statuses)


def some_readings(dice: random.Random) -> list[str]:
    return [dice.choice([a_reading(dice), dice.choice(ANY)]) for _ in range(dice.randrange(1, 6))]


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def alone(text: str) -> list[tuple[str, str]]:
    """Return the problems of a reading that is sent alone."""
    answer = ingestion.lambda_handler(proxy_event("POST", "/ingest", body=text), None)
    return [(one["field"], one["code"]) for one in json.loads(answer["body"]).get("error", {}).get("details", [])]


@pytest.mark.sampled(1)
@SEEDS
def test_a_reading_is_judged_alike_alone_in_a_batch_and_in_part(aws_calls: Calls, seed: int) -> None:
    """Each reading of a batch is accepted or refused as it is alone, with the same problems."""
    outcomes: Counter[str] = Counter()
    in_part = {"queryStringParameters": {"partial": "true"}}
    for drawn_texts in drawn(some_readings, seed, 500):
        texts = [text for text in drawn_texts if is_json(text) and not text.startswith(("[", '{"readings"'))]
        if not texts:
            continue
        expected = [alone(text) for text in texts]
        batch = f"[{','.join(texts)}]"
        whole = json.loads(ingestion.lambda_handler(proxy_event("POST", "/ingest", body=batch), None)["body"])
        found: list[list[tuple[str, str]]] = [[] for _ in texts]
        for one in whole.get("error", {}).get("details", []):
            found[one["index"]].append((one["field"], one["code"]))
        assert found == expected, batch
        answer = ingestion.lambda_handler(proxy_event("POST", "/ingest", body=batch, **in_part), None)
        results = json.loads(answer["body"])["results"]
        assert answer["statusCode"] == 207
        assert [[(one["field"], one["code"]) for one in result["problems"]] for result in results] == expected, batch
        outcomes.update(result["status"] for result in results)
    assert min(outcomes["accepted"], outcomes["rejected"]) > 125, outcomes


TEXTS = ["", "null", "0", "-1", "1e3", "\ud800", "٣", "9" * 400, "2026-02-30", "9999-12-31T23:59:59-23:59", "x" * 5_000]
TEXTS += [any_text() for _ in range(100)] + [base64.b64encode(any_text().encode()).decode() for _ in range(100)]


def perhaps(*good: str) -> Draw:
    """Omit the value half of the time; else draw a mostly valid one."""
    many = len(TEXTS) * 11
    return one_of(list(good) * (many // len(good)) + [None] * many + TEXTS)


PARAMETERS = {
    "device_id": one_of(["d", "sensor-001"] * len(TEXTS) * 10 + [None] * len(TEXTS) + TEXTS),
    "table": perhaps("raw", "processed"),
    "event_date": perhaps("2026-11-22", "2024-02-29"),
    "from": perhaps("0", "2026-11-22", "2026-11-22T12:00:00Z"),
    "to": perhaps("253402300799999", "2026-11-23"),
    "limit": perhaps("1", "1000"),
    "order": perhaps("asc", "desc"),
    "next_token": one_of([None] * len(TEXTS) * 11 + TEXTS),
    "colour": one_of([None] * len(TEXTS) * 20 + TEXTS),
}
MANY = [None, None, None, {}, {"limit": ["1", "1"]}, {"device_id": ["d"]}, {"\ud800": ["x"]}, {"to": []}]


def some_parameters(dice: random.Random) -> dict[str, Any]:
    given = {name: value for name, draw in PARAMETERS.items() if (value := draw(dice)) is not None}
    return {"queryStringParameters": given or None, "multiValueQueryStringParameters": dice.choice(MANY)}


@pytest.mark.sampled(1)
@SEEDS
def test_any_parameters_for_query(aws_calls: Calls, seed: int) -> None:
    statuses: Counter[int] = Counter()
    for changes in drawn(some_parameters, seed):
        status = answer_of(aws_calls, query.lambda_handler, proxy_event("GET", "/query", **changes))
        assert (status == 200) == ("Query" in aws_calls.names())
        statuses[status] += 1
    assert_both_happened(statuses)


def as_message(reading: str, version: str) -> str:
    """Return the queue message of a reading, as ingestion would write it."""
    noon = "2026-11-22T12:00:00.000Z"
    more = f'"version": {version}, "event_date": "{noon}#{"0" * 18}", "received_at": "{noon}"'
    return f"{reading[:-1]}, {more}}}"


def queued(dice: random.Random) -> str:
    return as_message(a_reading(dice), dice.choice(["1", "1", "2"]))


def a_message(dice: random.Random) -> str | None:
    return dice.choice([queued, a_document])(dice)


def some_messages(dice: random.Random) -> list[str | None]:
    return [a_message(dice) for _ in range(dice.randint(1, 4))]


@pytest.mark.sampled(1)
@SEEDS
def test_any_messages_in_a_batch(aws_calls: Calls, seed: int) -> None:
    """Each message is either stored or returned to the queue."""
    outcomes: Counter[str] = Counter()
    for bodies in drawn(some_messages, seed, 750):
        aws_calls.made.clear()
        aws_calls.requests.clear()
        message = {"ReceiptHandle": "r", "MD5OfBody": ""}
        records = [sqs_record(message | {"MessageId": str(index), "Body": body}) for index, body in enumerate(bodies)]
        answer = processor.lambda_handler({"Records": records}, None)
        failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
        assert failed <= {str(index) for index in range(len(bodies))}
        stored = sum(
            len(one["RequestItems"][ENVIRONMENT["PROCESSED_TABLE_NAME"]]) for one in aws_calls.of("BatchWriteItem")
        )
        assert stored <= len(bodies) - len(failed)
        assert bool(stored) == (len(failed) < len(bodies))
        outcomes["stored"] += stored
        outcomes["failed"] += len(failed)
    assert min(outcomes["stored"], outcomes["failed"]) > 75, outcomes


def some_bytes(dice: random.Random) -> bytes:
    content = (a_document(dice) or "").encode(errors="surrogatepass")
    damaged = gzip.compress(content)[: dice.randrange(40)]
    return dice.choice([content] * 5 + [gzip.compress(content)] * 3 + [damaged, b"\x1f\x8b" + content])


def a_publish(dice: random.Random) -> str:
    """Return a message of the topic rule about a device that is mostly `d`, or about anything."""
    members = {name: json_value(dice) for name in ("thing", "received", "trace", "payload") if dice.random() < 0.05}
    return dice.choice(
        [published(some_bytes(dice), dice.choice(["d", "sensor-001"]), **members)] * 9 + [dice.choice(ANY)]
    )


def json_value(dice: random.Random) -> Any:
    text = dice.choice(ANY)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text[:200]


@pytest.mark.sampled(1)
@SEEDS
def test_any_messages_of_devices(aws_calls: Calls, seed: int) -> None:
    """Each message is stored, or refused with a dead letter; AWS accepts everything, so none goes back."""
    outcomes: Counter[str] = Counter()
    for bodies in drawn(lambda dice: [a_publish(dice) for _ in range(dice.randint(1, 4))], seed, 750):
        aws_calls.made.clear()
        aws_calls.requests.clear()
        assert handed_back(ingestion.lambda_handler(batch(*bodies), None)) == []
        sent = [(one["QueueUrl"] == DEAD, len(one["Entries"])) for one in aws_calls.of("SendMessageBatch")]
        stored, refused = (sum(count for dead, count in sent if dead is wanted) for wanted in (False, True))
        assert refused <= len(bodies)
        assert stored or refused
        assert bool(stored) == ("BatchWriteItem" in aws_calls.names())
        assert stored or refused == len(bodies)
        outcomes["stored"] += stored
        outcomes["refused"] += refused
    assert min(outcomes["stored"], outcomes["refused"]) > 75, outcomes
