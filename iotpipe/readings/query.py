"""Asks the API for stored rows, page by page."""

from __future__ import annotations

from collections.abc import Mapping

from iotpipe.readings import stored_rows
from iotpipe.readings.api_client import Api
from iotpipe.readings.stored_rows import Row


def ask(api: Api, parameters: Mapping[str, str], most: int | None) -> tuple[list[Row], bool]:
    """The first `most` rows (None: all), fetched by pages; and whether there are more."""
    found: list[Row] = []
    for page in stored_rows.pages(api, {**parameters, "limit": str(min(stored_rows.MOST, most or stored_rows.MOST))}):
        found += page.items
        if most is not None and len(found) >= most:
            return found[:most], page.more or len(found) > most
    return found, False
