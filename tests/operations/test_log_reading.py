"""Reading the functions' logs: everything, once, in the order of time, also what comes late."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from iotpipe.errors import ResourceError, UsageError
from iotpipe.operations.log_filter import Selection
from iotpipe.operations.logs import (
    OVERLAP,
    LogEvent,
    LogReader,
    TooManyEvents,
    follow_events,
    merge,
    parse_since,
)
from tests.support.engine_world import World, refusal

MINUTE = 60_000


@dataclass
class Groups:
    """Log groups, and readers of them that begin an hour ago. Times are milliseconds before now."""

    world: World
    run: Any = None
    streams: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        self.run = self.world.run("logs")
        self.now = int(self.world.clock.now() * 1000)

    def make(self, *functions: str) -> None:
        for function in functions:
            self.run.client("logs").create_log_group(logGroupName=function)

    def write(self, function: str, *entries: tuple[int, str]) -> None:
        """One stream with these entries, as one function instance writes them."""
        stream = f"stream-{next(self.streams)}"
        logs = self.run.client("logs")
        logs.create_log_stream(logGroupName=function, logStreamName=stream)
        events = [{"timestamp": self.now - ago, "message": text} for ago, text in entries]
        logs.put_log_events(logGroupName=function, logStreamName=stream, logEvents=events)

    def reader(self, function: str, **options: Any) -> LogReader:
        return LogReader(self.run, function, function, self.now - 60 * MINUTE, **options)


@pytest.fixture
def groups(world: World) -> Groups:
    return Groups(world)


def said(events: Any) -> list[str]:
    return [event.message for event in events]


def test_entries_of_all_functions_come_in_the_order_of_time(groups: Groups) -> None:
    groups.make("ingestion", "processor")
    groups.write("ingestion", (9000, "first"), (3000, "third\n"))
    groups.write("processor", (6000, "second"), (1000, "fourth"))
    assert said(merge([groups.reader("processor"), groups.reader("ingestion")])) == [
        "first",
        "second",
        "third",
        "fourth",
    ]


def test_what_is_older_than_asked_for_is_left_out(groups: Groups) -> None:
    groups.make("query")
    groups.write("query", (61 * MINUTE, "before"), (59 * MINUTE, "after"))
    assert said(groups.reader("query").new()) == ["after"]


@pytest.mark.parametrize(
    "message",
    [
        "RequestId: 1 Error: Runtime exited without providing a reason",
        "RequestId: 1 Process exited before completing request",
        "LAMBDA_WARNING: Unhandled exception. The most likely cause is an issue in the function code.",
        "Fatal Python error: Segmentation fault",
        "REPORT RequestId: 1\tDuration: 3.00 ms\tStatus: failure",
        '{"timestamp":"2026-01-15T10:30:00Z","level":"ERROR","message":"no","requestId":"1"}',
        '{"time":"2026-01-15T10:30:00Z","type":"platform.report","record":{"requestId":"1","status":"timeout"}}',
    ],
)
def test_what_lambda_says_of_a_failure_counts_as_one(message: str) -> None:
    assert Selection(errors=True).includes(LogEvent(0, "query", message, "1", "stream"))


@pytest.mark.parametrize(
    "message",
    [
        '{"timestamp":"2026-01-15T10:30:00Z","level":"INFO","message":"yes","requestId":"1"}',
        '{"time":"2026-01-15T10:30:00Z","type":"platform.report","record":{"requestId":"1","status":"success"}}',
        '{"time":"2026-01-15T10:30:00Z","type":"platform.start","record":{"requestId":"1"}}',
        "REPORT RequestId: 1\tDuration: 3.00 ms",
    ],
)
def test_what_lambda_says_of_a_success_does_not(message: str) -> None:
    assert not Selection(errors=True).includes(LogEvent(0, "query", message, "1", "stream"))


def test_every_page_is_read(groups: Groups) -> None:
    groups.make("query")
    groups.write("query", *((10_000 - number, f"entry {number}") for number in range(25)))
    logs = groups.run.client("logs")
    logs.meta.events.register(
        "provide-client-params.cloudwatch-logs.FilterLogEvents", lambda params, **call: params | {"limit": 7}
    )
    assert said(groups.reader("query").new()) == [f"entry {number}" for number in range(25)]
    assert groups.world.calls.count("FilterLogEvents") == 4


@pytest.mark.matrix
def test_an_emulator_that_cuts_off_without_a_token_is_asked_on(groups: Groups) -> None:
    groups.make("query")
    entries = [(30_000 - number, f"entry {number}") for number in range(10_001)]
    groups.write("query", *entries[:9_000])
    groups.write("query", *entries[9_000:])
    logs = groups.run.client("logs")
    logs.meta.events.register("after-call.cloudwatch-logs.FilterLogEvents", _without_token)
    assert said(groups.reader("query").new()) == [f"entry {number}" for number in range(10_001)]


def test_an_emulator_without_ids_has_each_entry_shown_once_as_well(groups: Groups) -> None:
    groups.make("ingestion")
    logs = groups.run.client("logs")
    logs.meta.events.register("after-call.cloudwatch-logs.FilterLogEvents", _without_ids)
    reader = groups.reader("ingestion")
    groups.write("ingestion", (8000, "same"), (8000, "same"), (7000, "same"))
    assert said(reader.new()) == ["same", "same", "same"]
    groups.write("ingestion", (8000, "same"), (8000, "late"))
    assert said(reader.new()) == ["same", "late"]
    assert said(reader.new()) == []


def _without_ids(parsed: dict[str, Any], **call: Any) -> None:
    for each in parsed["events"]:
        del each["eventId"]


def _without_token(parsed: dict[str, Any], **call: Any) -> None:
    parsed.pop("nextToken", None)


def test_no_entry_is_shown_twice_or_lost_between_two_looks_also_a_late_one(groups: Groups) -> None:
    groups.make("ingestion")
    reader = groups.reader("ingestion")
    groups.write("ingestion", (8000, "one"), (2000, "two"))
    assert said(reader.new()) == ["one", "two"]
    assert said(reader.new()) == []
    groups.write("ingestion", (5000, "late"), (2000, "two"), (1000, "three"))
    assert said(reader.new()) == ["late", "two", "three"]  # the same text at the same time is another entry
    groups.write("ingestion", (OVERLAP - 1000, "very late"))
    assert said(reader.new()) == ["very late"]
    assert said(reader.new()) == []


def test_an_entry_from_the_future_hides_nothing_that_comes_before_it(groups: Groups) -> None:
    groups.make("ingestion")
    reader = groups.reader("ingestion")
    groups.write("ingestion", (-60 * MINUTE, "from the future"))
    assert said(reader.new()) == ["from the future"]
    groups.write("ingestion", (1000, "now"))
    assert said(reader.new()) == ["now"]


def test_looking_again_reads_only_what_may_be_new_and_remembers_no_more_than_that(groups: Groups) -> None:
    groups.make("ingestion")
    reader = groups.reader("ingestion")
    groups.write("ingestion", *((50 * MINUTE - number, f"old {number}") for number in range(50)), (1000, "new"))
    assert len(said(reader.new())) == 51
    begins = []
    groups.world.before = lambda operation, params: begins.append(json.loads(params["body"])["startTime"])
    assert said(reader.new()) == []
    assert begins == [groups.now - 1000 - OVERLAP]
    assert len(reader._seen) == 1


def test_following_waits_between_looks_and_shows_what_came_meanwhile(groups: Groups) -> None:
    groups.make("ingestion", "query")
    readers = [groups.reader("ingestion"), groups.reader("query")]
    groups.write("ingestion", (3000, "before"))
    assert said(merge(readers)) == ["before"]
    groups.write("query", (2000, "meanwhile"))
    coming = follow_events(groups.run, readers)
    assert next(coming).message == "meanwhile"
    groups.write("ingestion", (1000, "then"))
    assert next(coming).message == "then"
    assert groups.world.clock.slept == [2.0, 2.0]


def test_a_group_that_is_not_there_is_no_error_and_is_found_once_it_comes(groups: Groups) -> None:
    groups.make("query")
    readers = [groups.reader("ingestion"), groups.reader("query")]
    groups.write("query", (2000, "here"))
    assert said(merge(readers)) == ["here"]
    assert [reader.group_exists for reader in readers] == [False, True]
    groups.make("ingestion")
    groups.write("ingestion", (1000, "there"))
    assert said(merge(readers)) == ["there"]


def test_throttling_is_waited_out_and_loses_nothing(groups: Groups) -> None:
    groups.make("query")
    groups.write("query", (2000, "here"))
    answers = iter([refusal("FilterLogEvents", "ThrottlingException", "Rate exceeded")] * 2)
    groups.world.before = lambda operation, params: next(answers, None)
    assert said(groups.reader("query").new()) == ["here"]
    assert len(groups.world.clock.slept) == 2


def test_a_missing_permission_is_named(groups: Groups) -> None:
    denied = refusal(
        "FilterLogEvents",
        "AccessDeniedException",
        "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: logs:FilterLogEvents on resource: "
        "arn:aws:logs:us-east-1:123456789012:log-group:query:log-stream: because no identity-based policy allows "
        "the logs:FilterLogEvents action",
    )
    groups.world.before = lambda operation, params: denied
    with pytest.raises(ResourceError, match="cannot read log-group/query: AccessDenied") as caught:
        list(groups.reader("query").new())
    assert caught.value.hint.startswith("The credentials need the permission for FilterLogEvents: `iotpipe policy")


def test_a_correlation_id_finds_its_request_its_batch_and_no_other(groups: Groups) -> None:
    groups.make("ingestion")
    own = [
        json.dumps({"correlation_id": "abc-1", "milliseconds": 1}),
        json.dumps({"correlation_ids": ["zzz", "abc-1"], "milliseconds": 2}),
        "[ERROR] KeyError while working on abc-1",
    ]
    others = [
        json.dumps({"correlation_id": "abc-12", "milliseconds": 3}),
        json.dumps({"correlation_id": "other", "reasons": ["abc-1"], "milliseconds": 3}),
        "START RequestId: 1",
    ]
    groups.write("ingestion", *((9000 - number, text) for number, text in enumerate(own + others)))
    filters = []
    groups.world.before = lambda operation, params: filters.append(json.loads(params["body"]).get("filterPattern"))
    assert said(groups.reader("ingestion", correlation_id="abc-1").new()) == own
    assert said(groups.reader("ingestion", correlation_id='no "such" id').new()) == []
    assert filters == ['"abc-1"', None]


@pytest.mark.parametrize("text", ["[1]", '"text"', "7", "null", "{broken"])
def test_an_entry_that_is_no_line_of_ours_is_taken_as_text(text: str) -> None:
    event = LogEvent(0, "query", text, "1", "s")
    assert event.document() is None
    assert not event.concerns("abc")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 999_970),
        ("10m", 999_400),
        ("2h", 992_800),
        ("3d", 740_800),
        ("1970-01-12T12:00:00Z", 993_600),
        ("1970-01-12T13:00:00+01:00", 993_600),
        ("1970-01-12T12:00:00", 993_600),
        ("1970-01-12", 950_400),
        ("99999d", 0),
    ],
)
def test_a_moment_is_so_long_ago_or_an_iso_time(text: str, seconds: int) -> None:
    assert parse_since(text, 1_000_000) == seconds * 1000


@pytest.mark.parametrize("text", ["", "10", "m", "-10m", "10 minutes", "yesterday", "1970-13-01", "1970-02-01"])
def test_what_is_no_time_or_still_to_come_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_since(text, 1_000_000)


def test_a_reader_with_a_shorter_overlap_misses_what_comes_later_than_that(groups: Groups) -> None:
    groups.make("query")
    reader = groups.reader("query", overlap=5000)
    groups.write("query", (10_000, "first"))
    assert said(reader.new()) == ["first"]
    groups.write("query", (20_000, "too late"), (14_000, "a little late"))
    assert said(reader.new()) == ["a little late"]


def test_a_reader_refuses_to_read_more_lines_at_once_than_it_may(groups: Groups) -> None:
    groups.make("query")
    groups.write("query", (9000, "first"), (8000, "second"))
    reader = groups.reader("query", most=2)
    assert said(reader.new()) == ["first", "second"]
    groups.write("query", (7000, "third"))
    with pytest.raises(TooManyEvents, match="query has more than 2 log lines"):
        list(reader.new())
