"""Fetch stored rows, or buckets of them, from the API page by page."""

from __future__ import annotations

from collections.abc import Iterator

from iotpipe.readings import buckets, stored_rows
from iotpipe.readings.api_client import Api, Parameters
from iotpipe.readings.stored_rows import Page, Row

MAX_DEVICES, MAX_METRICS = 10, 20
"""The most that one GET may ask for."""
MAX_NAME_LENGTH = 255
"""Of a metric's name, in characters."""
DEVICE_ID = "[A-Za-z0-9._:/#-]{1,128}"
"""A regular expression of the ids that devices may have."""


def limited_pages(api: Api, parameters: Parameters, limit: int | None) -> Iterator[Page]:
    """The pages of the first `limit` rows of each device, or of its buckets with `every`; None: all of them.

    `more` of a page says that a device has more than its limit.
    """
    given = parameters["device_id"]
    if limit is None or isinstance(given, str):
        yield from _first(api, parameters, limit)
    else:
        # The API's own limit is of all devices together, which come one after the other.
        for device in given:
            yield from _first(api, {**parameters, "device_id": device}, limit)


def _first(api: Api, parameters: Parameters, limit: int | None) -> Iterator[Page]:
    source, most = (buckets, buckets.MAX_BUCKETS) if "every" in parameters else (stored_rows, stored_rows.MAX_ROWS)
    count = 0
    for page in source.pages(api, {**parameters, "limit": str(min(most, limit or most))}):
        count += len(page.items)
        if limit is not None and count >= limit:
            beyond = count - limit
            yield Page(page.items[: len(page.items) - beyond], page.more or beyond > 0)
            return
        yield Page(page.items, False)


def fetch_rows(api: Api, parameters: Parameters, limit: int | None) -> tuple[list[Row], bool]:
    """The first `limit` rows or buckets of each device (None: all), and whether there are more."""
    rows: list[Row] = []
    more = False
    for page in limited_pages(api, parameters, limit):
        rows += page.items
        more = more or page.more
    return rows, more
