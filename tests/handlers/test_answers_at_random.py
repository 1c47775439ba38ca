"""With random answers and failures of AWS, no reading is acknowledged that is not stored and queued.

An AWS that does a part of what it is asked and answers anything, but never confirms what it has not done. Each byte
of its answers goes through botocore. What was acknowledged is compared with what it really holds.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from iotpipe.handlers import aws, ingestion, processor
from tests.support.device_messages import TRACE, batch, handed_back, published
from tests.support.handlers_world import DEVICES, ENVIRONMENT, NOON, Clock, Context, proxy_event, sqs_record

pytestmark = pytest.mark.matrix

REQUESTS = 250
QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/queue"
DEAD = "https://sqs.eu-central-1.amazonaws.com/123456789012/dead"
Answer = tuple[int, bytes]
Key = tuple[str, str]

NO_CONFIRMATION = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"17",
    b'"done"',
    b"\xff\xfe",
    b"<html>Bad Gateway</html>",
    b'{"UnprocessedItems": {"cut": [',
    b'{"Successful": [{"Id": "0"',
    b'{"Successful": null, "UnprocessedItems": null}',
    b'{"Successful": [null], "UnprocessedItems": {"other": []}}',
    b'{"Successful": [{"Id": "nine"}, {}], "Failed": [{"Id": "ten"}], "UnprocessedItems": []}',
    b'{"message": "Internal server error"}',
]
ERRORS = ["ThrottlingException", "InternalServerError", "AccessDeniedException", "ValidationException", "", "Odd"]
ODD = [None, [], {}, "x", 5, True, [None], {"x": {}}]


class Raw:
    """A response body, with the interface that botocore reads."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content


class OddAws:
    """A fake of DynamoDB and SQS, which records what is really stored and queued."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.rows: dict[str, dict[Key, dict[str, Any]]] = defaultdict(dict)
        self.queues: dict[str, list[str]] = defaultdict(list)
        self.seen: Counter[str] = Counter()

    def __call__(self, request: Any, **_: Any) -> AWSResponse:
        status, content = self._answer(request)
        return AWSResponse(request.url, status, {}, Raw(content))

    def _answer(self, request: Any) -> Answer:
        target = request.headers.get("X-Amz-Target", b"")
        operation = (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2]
        if operation not in ("BatchWriteItem", "SendMessageBatch"):
            return self._beside(operation)
        asked = json.loads(request.body)
        chosen = self.dice.choice(["all"] * 6 + ["changed", "changed", "some", "some", "none", "lost", "error"])
        self.seen[chosen] += 1
        entries = self._entries(asked)
        done = {"none": [], "error": []}.get(chosen, entries)
        if chosen == "some":
            done = self.dice.sample(entries, self.dice.randrange(len(entries)))
        if chosen == "lost" and self.dice.random() < 0.5:
            done = []
        for entry in done:
            self._do(asked, entry)
        truth = self._truth(asked, entries, done)
        return self._said(chosen, truth, request.url)

    def _beside(self, operation: str) -> Answer:
        if operation == "GetParameter" and self.dice.random() < 0.5:
            return 200, b'{"Parameter": {"Value": "{}"}}'
        return self.dice.choice([200, 200, 400, 500]), self.dice.choice(NO_CONFIRMATION)

    def _entries(self, asked: dict[str, Any]) -> list[Any]:
        ((_, entries),) = asked.get("RequestItems", {"": asked.get("Entries")}).items()
        return list(entries)

    def _do(self, asked: dict[str, Any], entry: dict[str, Any]) -> None:
        if "Entries" in asked:
            self.queues[asked["QueueUrl"]].append(entry["MessageBody"])
            return
        ((table, _),) = asked["RequestItems"].items()
        item = entry["PutRequest"]["Item"]
        self.rows[table][key_of(item)] = item

    def _truth(self, asked: dict[str, Any], entries: list[Any], done: list[Any]) -> dict[str, Any]:
        left = [entry for entry in entries if entry not in done]
        if "Entries" in asked:
            failed = [{"Id": one["Id"], "SenderFault": self.dice.random() < 0.3, "Code": "x"} for one in left]
            named = {"Successful": [{"Id": one["Id"], "MessageId": "m"} for one in done], "Failed": failed}
            return {"Successful": named["Successful"]} if self.dice.random() < 0.3 else named
        ((table, _),) = asked["RequestItems"].items()
        return {"UnprocessedItems": {table: left} if left else {}}

    def _said(self, chosen: str, truth: dict[str, Any], url: str) -> Answer:
        if chosen in ("all", "some"):
            return 200, json.dumps(truth).encode()
        if chosen == "changed":
            return self.dice.choice([200, 200, 200, 500, 400]), self._changed(truth)
        if chosen == "lost":
            raise self.dice.choice([ConnectionClosedError, ReadTimeoutError])(endpoint_url=url)
        if chosen == "error":
            return self.dice.choice([400, 403, 500, 503]), json.dumps({"__type": self.dice.choice(ERRORS)}).encode()
        return self.dice.choice([200, 200, 400, 500]), self.dice.choice(NO_CONFIRMATION)

    def _changed(self, truth: Any) -> bytes:
        """Return a success's response, truncated or with a part replaced or removed."""
        text = json.dumps(truth).encode()
        if self.dice.random() < 0.3:
            return text[: self.dice.randrange(len(text))]
        node = truth = json.loads(text)
        while isinstance(node, dict | list) and node:
            place = self.dice.choice(list(node) if isinstance(node, dict) else range(len(node)))
            if self.dice.random() < 0.4:
                if self.dice.random() < 0.3:
                    del node[place]
                else:
                    node[place] = self.dice.choice(ODD)
                break
            node = node[place]
        return json.dumps(truth).encode()


def key_of(item: dict[str, Any]) -> Key:
    range_key = item.get("event_date") or item["timestamp"]
    return item["device_id"]["S"], str(*range_key.values())


@pytest.fixture
def play(
    environment: None, worker: Callable[[], None], now: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[int], OddAws]]:
    for name, value in {"QUEUE_URL": QUEUE, "DEAD_LETTER_QUEUE_URL": DEAD, **DEVICES}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ALERT_TOPIC_ARN", "arn:aws:sns:eu-central-1:123456789012:topic")
    events = [aws.client(service).meta.events for service in ("dynamodb", "sqs", "sns", "ssm", "iot-data")]
    playing: list[OddAws] = []

    def start(seed: int) -> OddAws:
        playing.append(OddAws(random.Random(seed)))
        now.jitter = playing[-1].dice.random
        monkeypatch.setattr("iotpipe.handlers.clock.jitter", now.jitter)
        for one in events:
            one.register_first("before-send", playing[-1])
        return playing[-1]

    yield start
    for each in playing:
        for one in events:
            one.unregister("before-send", each)


def some_body(dice: random.Random, number: int) -> tuple[list[Any], list[str | None]]:
    """Return a request's readings, and an identity for each; None for an invalid one."""
    batch: list[Any] = []
    names: list[str | None] = []
    for index in range(dice.choice([1, 1, 2, 5, 30, 60])):
        kind = dice.choice(["timed"] * 5 + ["untimed"] * 3 + ["again", "bad"])
        if kind == "again" and batch and names[-1] and names[-1].startswith("t"):
            batch.append(batch[-1])
            names.append(names[-1])
        elif kind == "bad":
            batch.append({"device_id": f"b{number}", "sensor_data": {"temperature": "hot"}})
            names.append(None)
        elif kind == "untimed":
            batch.append({"device_id": f"u{number}", "sensor_data": {"temperature": 21.5}})
            names.append(f"u{number}-{index}")
        else:
            time = NOON - dice.randrange(20)
            batch.append({"device_id": f"t{number}", "timestamp": time, "sensor_data": {"n": index}})
            names.append(f"t{number}-{index}")
    return batch, names


def some_event(dice: random.Random, number: int, batch: list[Any]) -> dict[str, Any]:
    content = json.dumps({"readings": batch} if dice.random() < 0.5 else batch).encode()
    changes: dict[str, Any] = {"body": content.decode()}
    if dice.random() < 0.2:
        changes = {"body": base64.b64encode(gzip.compress(content)).decode(), "isBase64Encoded": True}
        changes["headers"] = {"Content-Encoding": "gzip"}
    changes["queryStringParameters"] = dice.choice([None, {"partial": "true"}])
    changes["requestContext"] = {"requestId": f"r{number}", "requestTimeEpoch": NOON}
    return proxy_event("POST", "/ingest", **changes)


def acknowledged(answer: dict[str, Any], names: list[str | None]) -> list[str]:
    """Return the identities of the readings that the answer acknowledges."""
    body = json.loads(answer["body"])
    assert answer["statusCode"] in (200, 207, 400, 503), answer
    if answer["statusCode"] == 400:
        return []
    results = body.get("results", [])
    assert [one["index"] for one in results] in ([], list(range(len(names))))
    kept = [names[one["index"]] for one in results if one["status"] in ("accepted", "duplicate")]
    if answer["statusCode"] in (200, 207):
        assert kept == [name for name in names if name is not None]
    return [name for name in kept if name is not None]


def metrics_of(item: dict[str, Any]) -> dict[str, Any]:
    return {name: int(value["N"]) for name, value in item["sensor_data"]["M"].items() if name == "n"}


def assert_held(odd: OddAws, names: set[str]) -> None:
    timed = {name for name in names if name.startswith("t")}
    raw = odd.rows[ENVIRONMENT["RAW_TABLE_NAME"]]
    queued = [json.loads(body) for body in odd.queues[QUEUE]]
    stored = {f"{device}-{metrics_of(item)['n']}" for (device, _), item in raw.items() if device.startswith("t")}
    sent = {f"{one['device_id']}-{one['sensor_data']['n']}" for one in queued if one["device_id"].startswith("t")}
    assert timed <= stored
    assert timed <= sent
    untimed = Counter(name.partition("-")[0] for name in names if name.startswith("u"))
    keys = Counter(device for device, _ in raw)
    messages = Counter(device for device, _ in {(one["device_id"], one["event_date"]) for one in queued})
    for device, count in untimed.items():
        assert keys[device] >= count
        assert messages[device] >= count


def assert_none_twice(odd: OddAws, sent: Counter[str]) -> None:
    """A request that Lambda retries adds no reading again."""
    for device, rows in Counter(device for device, _ in odd.rows[ENVIRONMENT["RAW_TABLE_NAME"]]).items():
        assert rows <= sent[device]


@pytest.mark.sampled(1)
@pytest.mark.parametrize("seed", range(3))
def test_what_is_acknowledged_is_stored_and_queued(play: Callable[[int], OddAws], now: Clock, seed: int) -> None:
    odd, believed, statuses, sent = play(seed), set[str](), Counter[int](), Counter[str]()
    for number in range(REQUESTS):
        batch, names = some_body(odd.dice, number)
        event = some_event(odd.dice, number, batch)
        sent.update(name.partition("-")[0] for name in set(names) if name)
        for _ in range(odd.dice.choice([1, 1, 2])):
            answer = ingestion.lambda_handler(event, Context(now, odd.dice.choice([3, 30])))
            statuses[answer["statusCode"]] += 1
            believed |= set(acknowledged(answer, names))
            now.pass_(odd.dice.choice([0, 0, 40]))
    assert_held(odd, believed)
    # With too few of each the test would prove nothing.
    assert min(odd.seen.values()) > 20
    assert min(statuses[status] for status in (200, 207, 400, 503)) > 10, statuses
    assert len(believed) > 500
    assert_none_twice(odd, sent)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("seed", range(3))
def test_what_the_processor_does_not_hand_back_is_stored(play: Callable[[int], OddAws], now: Clock, seed: int) -> None:
    odd, handed_back, done = play(seed), 0, set[Key]()
    message = {"ReceiptHandle": "r", "MD5OfBody": ""}
    for number in range(REQUESTS):
        records = []
        for index in range(odd.dice.choice([1, 10, 60])):
            time = NOON - odd.dice.randrange(5)
            body = {
                "version": 1,
                "device_id": f"d{number}",
                "event_date": f"2026-11-22T{'12:00:00' if time == NOON else '11:59:59'}.{time % 1000:03}Z#{index:018}",
                "timestamp": time,
                "received_at": "2026-11-22T12:00:00.000Z",
                "sensor_data": {"temperature": 21.5},
            }
            text = json.dumps(body) if odd.dice.random() < 0.9 else "poison"
            records.append(sqs_record(message | {"MessageId": f"m{index}", "Body": text}))
        answer = processor.lambda_handler({"Records": records}, Context(now, odd.dice.choice([3, 30])))
        failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
        handed_back += len(failed)
        for record in records:
            if record["messageId"] not in failed:
                known = json.loads(record["body"])
                done.add((known["device_id"], known["event_date"]))
    assert done <= odd.rows[ENVIRONMENT["PROCESSED_TABLE_NAME"]].keys()
    assert min(len(done), handed_back) > 500


Published = tuple[str, set[int], set[int] | None]
"""A message of the device queue, the numbers of its valid readings, and the positions of those to be refused.

None means that the message is to be refused as a whole.
"""


def some_publish(dice: random.Random, name: str) -> Published:
    kind = dice.choice(["readings"] * 8 + ["not JSON", "not from the rule"])
    if kind != "readings":
        return (published("{", name), set(), None) if kind == "not JSON" else (name, set(), None)
    sent: list[Any] = []
    bad = set()
    for index in range(dice.choice([1, 1, 2, 5, 30])):
        timed = {"timestamp": NOON - dice.randrange(20)} if dice.random() < 0.6 else {}
        if dice.random() < 0.15:
            bad.add(index)
            timed = {"timestamp": "never"}
        sent.append({"sensor_data": {"n": index}, **timed})
    content = json.dumps(sent).encode()
    payload = gzip.compress(content) if dice.random() < 0.3 else content
    return published(payload, name, trace=TRACE.format(dice.randrange(100))), set(range(len(sent))) - bad, bad


def assert_done(odd: OddAws, name: str, message: Published) -> None:
    """Every reading of an acknowledged message is stored and queued, or its refusal is in the dead-letter queue."""
    body, good, bad = message
    raw = odd.rows[ENVIRONMENT["RAW_TABLE_NAME"]]
    assert good <= {metrics_of(item)["n"] for (device, _), item in raw.items() if device == name}
    queued = [json.loads(sent) for sent in odd.queues[QUEUE]]
    assert good <= {one["sensor_data"]["n"] for one in queued if one["device_id"] == name}
    letters = [json.loads(sent) for sent in odd.queues[DEAD]]
    own = [one for one in letters if one.get("thing") == f"test:{name}" or one.get("body") == body]
    if bad is None:
        assert own
        assert all("refused" not in one for one in own)
    else:
        assert bool(own) == bool(bad)
        assert all(set(one["refused"]) == bad for one in own)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("seed", range(3))
def test_what_a_device_published_is_stored_or_refused_or_handed_back(
    play: Callable[[int], OddAws], now: Clock, seed: int
) -> None:
    odd, outcomes, valid = play(seed), Counter[str](), {}
    for number in range(REQUESTS):
        messages = [some_publish(odd.dice, f"d{number}-{index}") for index in range(odd.dice.choice([1, 3, 10]))]
        valid |= {f"d{number}-{index}": len(good) for index, (_, good, _) in enumerate(messages)}
        # Lambda gives a batch to the function again although it was done, and again what was handed back.
        for _ in range(odd.dice.choice([1, 1, 2])):
            event = batch(*(body for body, _, _ in messages))
            undone = handed_back(ingestion.lambda_handler(event, Context(now, odd.dice.choice([3, 30]))))
            assert set(undone) <= {record["messageId"] for record in event["Records"]}
            outcomes["handed back"] += len(undone)
            for index, message in enumerate(messages):
                if f"m{index}" not in undone:
                    assert_done(odd, f"d{number}-{index}", message)
                    outcomes["refused" if message[2] or message[2] is None else "stored"] += 1
            now.pass_(odd.dice.choice([0, 0, 40]))
        odd.queues.clear()
    assert min(outcomes.values()) > 75, outcomes
    rows = Counter(device for device, _ in odd.rows[ENVIRONMENT["RAW_TABLE_NAME"]])
    assert all(rows[name] <= most for name, most in valid.items())
