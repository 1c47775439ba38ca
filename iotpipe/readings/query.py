"""Fetch stored rows from the API, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from iotpipe.readings import stored_rows
from iotpipe.readings.api_client import Api
from iotpipe.readings.stored_rows import Page, Row


def limited_pages(api: Api, parameters: Mapping[str, str], limit: int | None) -> Iterator[Page]:
    """The pages of the first `limit` rows (None: all). A page's `more` also counts the rows beyond the limit."""
    page_size = min(stored_rows.MAX_ROWS, limit or stored_rows.MAX_ROWS)
    count = 0
    for page in stored_rows.pages(api, {**parameters, "limit": str(page_size)}):
        count += len(page.items)
        if limit is not None and count >= limit:
            beyond = count - limit
            yield Page(page.items[: len(page.items) - beyond], page.more or beyond > 0)
            return
        yield page


def fetch_rows(api: Api, parameters: Mapping[str, str], limit: int | None) -> tuple[list[Row], bool]:
    """The first `limit` rows (None: all), and whether there are more."""
    rows: list[Row] = []
    more = False
    for page in limited_pages(api, parameters, limit):
        rows += page.items
        more = page.more
    return rows, more
