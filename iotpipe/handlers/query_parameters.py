"""The parameters of GET /query, and the token that continues an answer where it stopped."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass, replace
from decimal import Decimal, DecimalException
from typing import Any

from iotpipe.handlers import identifiers, times
from iotpipe.handlers.parsing import quoted
from iotpipe.handlers.web import Request, detail, invalid

PARAMETERS = ("device_id", "table", "event_date", "from", "to", "limit", "order", "next_token")
CHOICES = {"table": ("processed", "raw"), "order": ("asc", "desc")}
MOST, USUAL = 1000, 100
# As DynamoDB writes numbers; it takes nothing else for one, though Decimal would.
_NUMBER = re.compile("[0-9.]{1,39}(E[+-]?[0-9]{1,3})?")
_LONGEST_KEY = 1024  # bytes
_WHOLE = re.compile("[0-9]{1,20}")

Details = list[dict[str, Any]]


@dataclass(frozen=True)
class Question:
    """A query in DynamoDB's terms: `low` and `high` bound the range key, `after` is where to go on."""

    device_id: str
    table: str
    low: str
    high: str
    order: str
    limit: int
    after: str | None = None

    @property
    def range_key(self) -> str:
        return "event_date" if self.table == "processed" else "timestamp"

    @property
    def kind(self) -> str:
        return "S" if self.table == "processed" else "N"


def read(request: Request) -> Question:
    """What a request asks for. Raises Refused with everything that is wrong with it."""
    given = {name: values[0] for name, values in request.parameters.items()}
    wrong = _names(request) + _device(given) + _choices(given) + _limit(given) + _period(given)
    if wrong:
        raise invalid(wrong)
    table = given.get("table", "processed")
    low, high = _bounds(given, table)
    question = Question(
        device_id=given["device_id"],
        table=table,
        low=low,
        high=high,
        order=given.get("order", "asc"),
        limit=int(given.get("limit", USUAL)),
    )
    return _continued(question, given["next_token"]) if "next_token" in given else question


def _names(request: Request) -> Details:
    """An unknown name is refused: with a mistyped `from` the answer would silently be another."""
    foreign = [name for name in request.parameters if name not in PARAMETERS]
    repeated = [name for name, values in request.parameters.items() if len(values) > 1]
    wrong = [detail(quoted(name), "unknown", "not a parameter") for name in foreign]
    return wrong + [detail(quoted(name), "repeated", "given more than once") for name in repeated]


def _device(given: dict[str, str]) -> Details:
    if "device_id" not in given:
        return [detail("device_id", "required", "required")]
    problem = identifiers.problem(given["device_id"])
    return [detail("device_id", *problem)] if problem else []


def _choices(given: dict[str, str]) -> Details:
    bad = [name for name, words in CHOICES.items() if given.get(name, words[0]) not in words]
    return [detail(name, "choice", f"{' or '.join(CHOICES[name])} required") for name in bad]


def _limit(given: dict[str, str]) -> Details:
    limit = given.get("limit", str(USUAL))
    good = re.fullmatch("[0-9]{1,4}", limit) and 1 <= int(limit) <= MOST
    return [] if good else [detail("limit", "range", f"a whole number from 1 to {MOST} required")]


def _period(given: dict[str, str]) -> Details:
    wrong: Details = []
    if "event_date" in given and ("from" in given or "to" in given):
        wrong.append(detail("event_date", "conflict", "not together with from or to"))
    if "event_date" in given and (times.from_day(given["event_date"]) or -1) < 0:
        wrong.append(detail("event_date", "format", "YYYY-MM-DD required"))
    for name in ("from", "to"):
        if name in given and _moment(given[name], end=False) is None:
            wrong.append(detail(name, "format", _why_not(given[name])))
    if not wrong and _start(given) > _end(given):
        wrong.append(detail("from", "range", "later than to"))
    return wrong


def _moment(text: str, end: bool) -> int | None:
    """The millisecond a text names; of a day its first, or at the `end` of a range its last."""
    day = times.from_day(text)
    if day is not None and day >= 0:
        return day + times.DAY - 1 if end else day
    if _WHOLE.fullmatch(text):
        # 0 is how people write "from the beginning"; every other small number is a mistake that would find too much.
        return None if int(text) and times.not_milliseconds(Decimal(text)) else int(text)
    exact = times.from_rfc_3339(text)
    return int(exact) if exact is not None and 0 <= exact <= times.LAST else None


def _why_not(text: str) -> str:
    if _WHOLE.fullmatch(text):
        return times.not_milliseconds(Decimal(text)) or "epoch milliseconds required"
    if times.from_rfc_3339(text) is not None or times.from_day(text) is not None:
        return "a time from 1970 to 9999 required"
    return "epoch milliseconds, an RFC 3339 time or YYYY-MM-DD required"


def _start(given: dict[str, str]) -> int:
    first = given.get("event_date", given.get("from"))
    return 0 if first is None else _moment(first, end=False) or 0


def _end(given: dict[str, str]) -> int:
    last = given.get("event_date", given.get("to"))
    return times.LAST if last is None else _moment(last, end=True) or 0


def _bounds(given: dict[str, str], table: str) -> tuple[str, str]:
    """The first and last range key of a period, whatever their hashes are."""
    start, end = _start(given), _end(given)
    if table == "raw":
        return str(start), f"{end}.{'9' * 18}"
    # "$" comes next after the "#" before the hash.
    return times.iso(start), f"{times.iso(end)}$"


def token(question: Question, last: str) -> str:
    """What continues this question's answer after the row with the range key `last`.

    It has no secret in it, since the function has none to share with its other workers. It need not: who
    computes one for another row has only chosen where in an answer of his own to go on. The digest is there
    so that a token of another question is noticed.
    """
    document = json.dumps([last, _digest(question, last)])
    return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")


def _digest(question: Question, last: str) -> str:
    bound = [question.device_id, question.table, question.low, question.high, question.order, last]
    return hashlib.sha256(json.dumps(bound).encode()).hexdigest()[:32]


def _continued(question: Question, text: str) -> Question:
    try:
        last, digest = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        genuine = hmac.compare_digest(digest, _digest(question, last)) and _within(question, last)
    except (ValueError, TypeError, RecursionError, DecimalException):
        genuine = False
    if not genuine:
        raise invalid([detail("next_token", "token", "not a token of this query")])
    return replace(question, after=last)


def _within(question: Question, last: str) -> bool:
    if question.kind == "S":
        return question.low <= last <= question.high and len(last.encode()) <= _LONGEST_KEY
    return bool(_NUMBER.fullmatch(last)) and Decimal(question.low) <= Decimal(last) <= Decimal(question.high)
