"""The parameters of GET /query."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from iotpipe.handlers import identifiers, times
from iotpipe.handlers.parsing import has_lone_surrogate, quoted
from iotpipe.handlers.readings import MAX_NAME_LENGTH
from iotpipe.handlers.web import Request, detail, invalid

PARAMETERS = (
    "device_id",
    "metric",
    "table",
    "event_date",
    "from",
    "to",
    "every",
    "offset",
    "limit",
    "order",
    "next_token",
)
CHOICES = {"table": ("processed", "raw"), "order": ("asc", "desc")}
REPEATABLE = {"device_id": 10, "metric": 20}
"""The parameters that may be given more than once, and how often."""
MAX_LIMIT, DEFAULT_LIMIT = 1000, 100
MAX_BUCKETS, DEFAULT_BUCKETS = 5000, 1000
"""The limit where `every` is given."""
MAX_DAYS = 366
EVERY = "[1-9][0-9]{0,4}[smhd]"
OFFSET = "[+-]([01][0-9]|2[0-3]):[0-5][0-9]"
_UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": times.DAY}
_WHOLE_NUMBER = re.compile("[0-9]{1,20}")

Details = list[dict[str, Any]]


@dataclass(frozen=True)
class Grid:
    """Where buckets begin: every `width` milliseconds since 1970 in a zone that is `offset` milliseconds ahead of UTC.

    `text` is the width as it was given.
    """

    text: str
    width: int
    offset: int

    def start_of(self, time: int) -> int:
        """Return the start of the bucket that a time is in, in epoch milliseconds; for early times it is negative."""
        return time - (time + self.offset) % self.width


@dataclass(frozen=True)
class Query:
    """A query in DynamoDB's terms: `low` and `high` bound the range key.

    The answer has the devices one after the other. Without `metrics` it has all metrics. With a `grid` it has buckets
    instead of rows, and `limit` counts these.
    """

    devices: tuple[str, ...]
    table: str
    low: str
    high: str
    order: str
    limit: int
    metrics: tuple[str, ...] = ()
    grid: Grid | None = None

    @property
    def range_key(self) -> str:
        return "event_date" if self.table == "processed" else "timestamp"

    @property
    def key_type(self) -> str:
        return "S" if self.table == "processed" else "N"


def read(request: Request) -> Query:
    """Parse the query of a request. Raises Refused with all its problems."""
    given = {name: values[0] for name, values in request.parameters.items()}
    problems = (
        _name_problems(request)
        + _device_problems(request)
        + _metric_problems(request)
        + _choice_problems(given)
        + _limit_problems(given)
        + _period_problems(given)
        + _grid_problems(given)
    )
    if problems:
        raise invalid(problems)
    table = given.get("table", "processed")
    low, high = _bounds(given, table)
    return Query(
        devices=tuple(request.parameters["device_id"]),
        table=table,
        low=low,
        high=high,
        order=given.get("order", "asc"),
        limit=int(given.get("limit", _limits(given)[1])),
        metrics=tuple(sorted(request.parameters.get("metric", ()))),
        grid=_grid(given),
    )


def _name_problems(request: Request) -> Details:
    """Refuse unknown names: a mistyped `from` would silently return other rows."""
    unknown = [name for name in request.parameters if name not in PARAMETERS]
    problems = [detail(quoted(name), "unknown", "not a parameter") for name in unknown]
    for name, values in request.parameters.items():
        if len(values) > 1 and name not in REPEATABLE:
            problems.append(detail(quoted(name), "repeated", "given more than once"))
        elif len(set(values)) < len(values):
            problems.append(detail(name, "repeated", "the same value given more than once"))
        elif len(values) > REPEATABLE.get(name, 1):
            problems.append(detail(name, "count", f"given more than {REPEATABLE[name]} times"))
    return problems


def _device_problems(request: Request) -> Details:
    if "device_id" not in request.parameters:
        return [detail("device_id", "required", "required")]
    found = [identifiers.problem(value) for value in request.parameters["device_id"]]
    return [detail("device_id", *problem) for problem in found if problem]


def _metric_problems(request: Request) -> Details:
    names = request.parameters.get("metric", [])
    is_valid = all(1 <= len(name) <= MAX_NAME_LENGTH and not has_lone_surrogate(name) for name in names)
    return [] if is_valid else [detail("metric", "format", f"1 to {MAX_NAME_LENGTH} characters required")]


def _choice_problems(given: dict[str, str]) -> Details:
    invalid_names = [name for name, words in CHOICES.items() if given.get(name, words[0]) not in words]
    return [detail(name, "choice", f"{' or '.join(CHOICES[name])} required") for name in invalid_names]


def _limits(given: dict[str, str]) -> tuple[int, int]:
    """Return the highest and the usual limit."""
    return (MAX_BUCKETS, DEFAULT_BUCKETS) if "every" in given else (MAX_LIMIT, DEFAULT_LIMIT)


def _limit_problems(given: dict[str, str]) -> Details:
    most, usual = _limits(given)
    limit = given.get("limit", str(usual))
    is_valid = re.fullmatch("[0-9]{1,4}", limit) and 1 <= int(limit) <= most
    return [] if is_valid else [detail("limit", "range", f"a whole number from 1 to {most} required")]


def _period_problems(given: dict[str, str]) -> Details:
    problems: Details = []
    if "event_date" in given and ("from" in given or "to" in given):
        problems.append(detail("event_date", "conflict", "not together with from or to"))
    day = times.from_day(given["event_date"]) if "event_date" in given else 0
    if day is None or day < 0:
        problems.append(detail("event_date", "format", "YYYY-MM-DD required"))
    for name in ("from", "to"):
        if name in given and _parse_time(given[name], end=False) is None:
            problems.append(detail(name, "format", _time_problem(given[name])))
    if not problems and _start(given) > _end(given):
        problems.append(detail("from", "range", "later than to"))
    return problems


def _grid_problems(given: dict[str, str]) -> Details:
    problems: Details = []
    if "offset" in given and not re.fullmatch(OFFSET, given["offset"]):
        # In a URL "+" means a space.
        hint = "; write + as %2B in a URL" if given["offset"].startswith(" ") else ""
        problems.append(detail("offset", "format", f"+HH:MM or -HH:MM required, such as +02:00{hint}"))
    if "every" not in given:
        if "offset" in given:
            problems.append(detail("offset", "conflict", "only together with every"))
        return problems
    if not re.fullmatch(EVERY, given["every"]):
        problems.append(detail("every", "format", "a number of s, m, h or d required, such as 30s, 15m, 1h or 7d"))
    elif _width(given["every"]) > MAX_DAYS * times.DAY:
        problems.append(detail("every", "range", f"at most {MAX_DAYS}d required"))
    if "from" not in given and "event_date" not in given:
        problems.append(detail("from", "required", "from or event_date is required together with every"))
    if given.get("table") == "raw":
        problems.append(detail("table", "conflict", "every needs table=processed"))
    return problems


def _width(every: str) -> int:
    return int(every[:-1]) * _UNITS[every[-1]]


def _grid(given: dict[str, str]) -> Grid | None:
    if "every" not in given:
        return None
    sign, hours, minutes = re.split("(?<=[+-])|:", given.get("offset", "+00:00"))
    offset = int(hours) * _UNITS["h"] + int(minutes) * _UNITS["m"]
    return Grid(given["every"], _width(given["every"]), -offset if sign == "-" else offset)


def _parse_time(text: str, end: bool) -> int | None:
    """Return epoch milliseconds; for a day its first millisecond, or its last at the `end` of a range."""
    day = times.from_day(text)
    if day is not None and day >= 0:
        return day + times.DAY - 1 if end else day
    if _WHOLE_NUMBER.fullmatch(text):
        # 0 means "from the beginning"; any other small number is a mistake that would return too many rows.
        return None if int(text) and times.not_milliseconds(Decimal(text)) else int(text)
    exact = times.from_rfc_3339(text)
    return int(exact) if exact is not None and 0 <= exact <= times.LAST else None


def _time_problem(text: str) -> str:
    if _WHOLE_NUMBER.fullmatch(text):
        return times.not_milliseconds(Decimal(text)) or "epoch milliseconds required"
    if times.from_rfc_3339(text) is not None or times.from_day(text) is not None:
        return "a time from 1970 to 9999 required"
    return "epoch milliseconds, an RFC 3339 time or YYYY-MM-DD required"


def _start(given: dict[str, str]) -> int:
    first = given.get("event_date", given.get("from"))
    return 0 if first is None else _parse_time(first, end=False) or 0


def _end(given: dict[str, str]) -> int:
    last = given.get("event_date", given.get("to"))
    return times.LAST if last is None else _parse_time(last, end=True) or 0


def _bounds(given: dict[str, str], table: str) -> tuple[str, str]:
    """Return the lowest and highest possible range key of a period, for any hash."""
    start, end = _start(given), _end(given)
    if table == "raw":
        return str(start), f"{end}.{'9' * 18}"
    # "$" is the character after the "#" that precedes the hash.
    return times.iso(start), f"{times.iso(end)}$"
