"""The parameters of GET /query, and the token that continues an answer where it stopped."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from iotpipe.handlers import moments
from iotpipe.handlers.web import Refused, Request, detail, invalid

_NAMES = ("device_id", "table", "event_date", "from", "to", "limit", "order", "next_token")
_IDENTIFIER = re.compile(r"[A-Za-z0-9._:/#-]{1,128}")
_FRACTION = "999999999999999999"


@dataclass(frozen=True)
class Question:
    """A query in DynamoDB's terms; `low` and `high` bound the range key, both included."""

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
    """The question that a request asks. Raises Refused with everything that is wrong with it."""
    given = {name: values[0] for name, values in request.parameters.items()}
    wrong = [detail(name[:64], "unknown", "not a parameter") for name in given if name not in _NAMES]
    wrong += [detail(n, "repeated", "given twice") for n, v in request.parameters.items() if len(v) > 1]
    for check in (_device, _choices, _limit, _period):
        wrong += check(given)
    if wrong:
        raise invalid(wrong)
    table = given.get("table", "processed")
    low, high = _bounds(given, table)
    order = given.get("order", "asc")
    question = Question(given["device_id"], table, low, high, order, int(given.get("limit", "100")))
    if "next_token" not in given:
        return question
    return _continued(question, given["next_token"])


def _device(given: dict[str, str]) -> list[dict[str, Any]]:
    if "device_id" not in given:
        return [detail("device_id", "required", "required")]
    if not _IDENTIFIER.fullmatch(given["device_id"]):
        return [detail("device_id", "format", "1 to 128 of A-Z a-z 0-9 . _ : / # - required")]
    return []


def _choices(given: dict[str, str]) -> list[dict[str, Any]]:
    choices = {"table": ("processed", "raw"), "order": ("asc", "desc")}
    return [
        detail(name, "choice", f"{' or '.join(words)} required")
        for name, words in choices.items()
        if name in given and given[name] not in words
    ]


def _limit(given: dict[str, str]) -> list[dict[str, Any]]:
    limit = given.get("limit", "100")
    good = re.fullmatch("[0-9]{1,4}", limit) and 1 <= int(limit) <= 1000
    return [] if good else [detail("limit", "range", "a whole number from 1 to 1000 required")]


def _period(given: dict[str, str]) -> list[dict[str, Any]]:
    if "event_date" in given and ("from" in given or "to" in given):
        return [detail("event_date", "conflict", "either event_date or from and to")]
    wrong = []
    if "event_date" in given and moments.from_day(given["event_date"]) is None:
        wrong.append(detail("event_date", "format", "YYYY-MM-DD required"))
    for name in ("from", "to"):
        if name in given and _moment(given[name], end=False) is None:
            wrong.append(
                detail(name, "format", "epoch milliseconds, an RFC 3339 time or YYYY-MM-DD required")
            )
    if not wrong and _start(given) > _end(given):
        wrong.append(detail("from", "range", "later than to"))
    return wrong


def _moment(text: str, end: bool) -> int | None:
    day = moments.from_day(text)
    if day is not None:
        return day + moments.DAY - 1 if end else day
    exact = Decimal(text) if re.fullmatch("[0-9]{1,15}", text) else moments.from_rfc_3339(text)
    return int(exact) if exact is not None and 0 <= exact <= moments.LAST else None


def _start(given: dict[str, str]) -> int:
    return (_moment(given["from"], end=False) or 0) if "from" in given else 0


def _end(given: dict[str, str]) -> int:
    moment = _moment(given["to"], end=True) if "to" in given else None
    return moments.LAST if moment is None else moment


def _bounds(given: dict[str, str], table: str) -> tuple[str, str]:
    day = moments.from_day(given["event_date"]) if "event_date" in given else None
    start, end = (_start(given), _end(given)) if day is None else (day, day + moments.DAY - 1)
    if table == "raw":
        return str(start), f"{end}.{_FRACTION}"
    # "#" stands before "$": the upper bound takes in every hash of its millisecond.
    return moments.iso(start), f"{moments.iso(end)}$"


def token(question: Question, last: str) -> str:
    """An opaque token that goes on after the row whose range key is `last`, for this question only."""
    document = json.dumps([last, _digest(question, last)])
    return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")


def _digest(question: Question, last: str) -> str:
    bound = [question.device_id, question.table, question.low, question.high, question.order, last]
    return hashlib.sha256(json.dumps(bound).encode()).hexdigest()[:32]


def _continued(question: Question, text: str) -> Question:
    try:
        last, digest = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        genuine = hmac.compare_digest(digest, _digest(question, last)) and _within(question, last)
    except (binascii.Error, ValueError, TypeError, RecursionError, InvalidOperation):
        genuine = False
    if not genuine:
        raise _foreign()
    return Question(**{**question.__dict__, "after": last})


def _foreign() -> Refused:
    return invalid([detail("next_token", "token", "not a token of this query")])


def _within(question: Question, last: str) -> bool:
    if question.kind == "S":
        return question.low <= last <= question.high
    return Decimal(question.low) <= Decimal(last) <= Decimal(question.high)
