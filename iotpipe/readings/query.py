"""Fetch stored rows from the API, page by page."""

from __future__ import annotations

from collections.abc import Mapping

from iotpipe.readings import stored_rows
from iotpipe.readings.api_client import Api
from iotpipe.readings.stored_rows import Row


def fetch_rows(api: Api, parameters: Mapping[str, str], limit: int | None) -> tuple[list[Row], bool]:
    """The first `limit` rows (None: all), and whether there are more."""
    rows: list[Row] = []
    page_size = min(stored_rows.MAX_ROWS, limit or stored_rows.MAX_ROWS)
    for page in stored_rows.pages(api, {**parameters, "limit": str(page_size)}):
        rows += page.items
        if limit is not None and len(rows) >= limit:
            return rows[:limit], page.more or len(rows) > limit
    return rows, False
