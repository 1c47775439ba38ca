"""The page token of GET /query: where the next page of the same query starts."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from typing import Any

from iotpipe.handlers.query_parameters import Query
from iotpipe.handlers.web import Refused, detail, invalid

# The number format of DynamoDB, which is stricter than Decimal's.
_NUMBER = re.compile("[0-9.]{1,39}(E[+-]?[0-9]{1,3})?")
_MAX_KEY_BYTES = 1024


@dataclass(frozen=True)
class Place:
    """A page starts after the range key `key` of a device; with a `metric`, after this one of the bucket there."""

    device_id: str
    key: str
    metric: str = ""


def write(query: Query, place: Place) -> str:
    """Return the page token that continues this query after the place.

    It is not signed with a secret, because the workers share none, and needs none: a forged token only selects another
    page of the caller's own query. The digest detects a token of another query.
    """
    more = [] if _is_plain(query) else [place.device_id, place.metric]
    return encode([place.key, _digest(query, place), *more])


def read(query: Query, text: str) -> Place:
    """Return the place of a token. Raises Refused if it is not a token of this query."""
    try:
        key, digest, *more = decode(text)
        device, metric = (*query.devices, "") if _is_plain(query) and not more else more
        place = Place(device, key, metric)
        genuine = is_same(digest, _digest(query, place)) and device in query.devices and _within(query, key)
    except (ValueError, TypeError, RecursionError, DecimalException):
        genuine = False
    if not genuine:
        raise refused("query")
    return place


def encode(document: list[Any]) -> str:
    """Return a token's document as text that a URL can hold."""
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def decode(text: str) -> Any:
    """Return the document of a token. Raises ValueError or RecursionError for what is none."""
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def digest_of(document: list[Any]) -> str:
    """Return the digest that binds a token to what it was made for."""
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()[:32]


def is_same(found: Any, digest: str) -> bool:
    """Whether a token has this digest. Raises TypeError if what it has is no text of ASCII characters."""
    return hmac.compare_digest(found, digest)


def refused(what: str) -> Refused:
    """The refusal of a token that is not one of this query or list."""
    return invalid([detail("next_token", "token", f"not a token of this {what}")])


def _is_plain(query: Query) -> bool:
    """Whether the query is of all rows of one device. Its tokens keep the form that they have always had."""
    return len(query.devices) == 1 and not query.metrics and query.grid is None


def _digest(query: Query, place: Place) -> str:
    if _is_plain(query):
        return digest_of([place.device_id, query.table, query.low, query.high, query.order, place.key])
    grid = query.grid and [query.grid.width, query.grid.offset]
    bound = [query.devices, query.metrics, query.table, query.low, query.high, query.order, grid]
    return digest_of([*bound, place.device_id, place.key, place.metric])


def _within(query: Query, key: str) -> bool:
    if query.key_type == "S":
        return query.low <= key <= query.high and len(key.encode()) <= _MAX_KEY_BYTES
    return bool(_NUMBER.fullmatch(key)) and Decimal(query.low) <= Decimal(key) <= Decimal(query.high)
