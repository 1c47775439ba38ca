"""The recorded answers and errors of AWS, as boto3 would return them: masks filled in, texts as times and numbers."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.session

DIRECTORY = Path(__file__).parents[2] / "recorded"
ACCOUNT, REGION = "123456789012", "us-east-1"
_MASKED_TIME = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_MORE_PAGES = frozenset(
    ("nextToken", "NextToken", "position", "Marker", "NextMarker", "PaginationToken", "IsTruncated")
)


@dataclass(frozen=True)
class Recording:
    """One answer of AWS, or one error where it has a `code`. `number` is its place among those of its operation."""

    service: str
    operation: str
    number: int
    status: int
    answer: Any
    code: str = ""
    message: str = ""
    query_code: str = ""

    @property
    def id(self) -> str:
        return f"{self.service} {self.operation} {self.code or 'answer'} {self.number}"

    def parsed(self) -> dict[str, Any]:
        """What botocore's parser makes of it."""
        if not self.code:
            return dict(self.answer)
        error = {"Code": self.code, "Message": self.message}
        if self.query_code:
            error["QueryErrorCode"] = self.query_code
        return {"Error": error, "message": self.message, "ResponseMetadata": {"HTTPStatusCode": self.status}}


def answers() -> list[Recording]:
    return [
        Recording(service, operation, number, 200, _answer(service, operation, each["answer"]))
        for service, operation, found in _operations()
        for number, each in enumerate(found.get("answers", []))
    ]


def errors() -> list[Recording]:
    return [
        Recording(
            service,
            operation,
            number,
            each["http"] or 400,
            None,
            each["code"],
            filled(each["message"]),
            each.get("query_error_code", ""),
        )
        for service, operation, found in _operations()
        for number, each in enumerate(found.get("errors", []))
    ]


def _operations() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path in sorted(DIRECTORY.glob("*.json")):
        file = json.loads(path.read_text())
        for operation, found in file["operations"].items():
            yield file["service"], operation, found


def filled(text: str) -> str:
    """A text with the account and region of the tests instead of the masks for them; a masked time in milliseconds."""
    if text in ("timestamp", "<timestamp>"):
        return str(int(_MASKED_TIME.timestamp() * 1000))
    return text.replace("<region>", REGION).replace("<partition>", "aws").replace("111111111111", ACCOUNT)


@functools.cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def _answer(service: str, operation: str, recorded: Any) -> dict[str, Any]:
    shape = _model(service).operation_model(operation).output_shape
    found: dict[str, Any] = _as(shape, recorded) if shape else {}
    # There is only this page: a second one is not recorded.
    return {name: value for name, value in found.items() if name not in _MORE_PAGES}


def _as(shape: Any, value: Any) -> Any:
    """A recorded value as boto3 returns it; of a mask only its type is known."""
    kind = shape.type_name
    if kind == "structure":
        # One recording has only the names of the members.
        members = dict.fromkeys(value, "<masked>") if isinstance(value, list) else value
        known = members.items() if isinstance(members, dict) else ()
        return {name: _as(shape.members[name], each) for name, each in known if name in shape.members}
    if kind == "list":
        listed = value if isinstance(value, list) else []
        return [_as(shape.member, each) for each in listed if not re.fullmatch(r"<\d+ more>", str(each))]
    if kind == "map":
        pairs = value.items() if isinstance(value, dict) else ()
        return {filled(key): _as(shape.value, each) for key, each in pairs}
    return _SCALARS.get(kind, _text)(value, shape.name)


def _text(value: Any, name: str) -> Any:
    if value is None or isinstance(value, str):
        return filled(value or "")
    text = filled(json.dumps(value))
    # IAM's documents botocore has decoded already.
    return json.loads(text) if name == "policyDocumentType" else text


def _integer(value: Any, name: str) -> int:
    return int(value) if _NUMBER.fullmatch(str(value)) else 1


def _time(value: Any, name: str) -> datetime:
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return _MASKED_TIME
    return found if found.tzinfo else found.replace(tzinfo=UTC)


_SCALARS = {
    "boolean": lambda value, name: str(value).lower() == "true",
    "integer": _integer,
    "long": _integer,
    "float": lambda value, name: float(value),
    "double": lambda value, name: float(value),
    "timestamp": _time,
    "blob": lambda value, name: str(value).encode(),
}
