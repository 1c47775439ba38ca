"""Deletes expired items of the embedded DynamoDB (time to live) once an hour; AWS takes up to some days.

ministack's own thread would read every item once a minute and block all writes meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from iotpipe.local.storage.store import Store

_FIRST_DELAY, _INTERVAL = 60.0, 3600.0
"""Seconds from the start to the first search, and between two searches."""
_BLOCK = 100
"""Items that are deleted before other requests are served."""


async def delete_expired_periodically(store: Store, log: Callable[[str], None]) -> None:
    """Delete expired items every hour until cancelled."""
    await asyncio.sleep(_FIRST_DELAY)
    while True:
        try:
            await delete_expired(store, time.time())
        # An error in ministack must not stop all later searches.
        except Exception as error:  # noqa: BLE001
            log(f"cannot delete expired items: {error!r}")
        await asyncio.sleep(_INTERVAL)


async def delete_expired(store: Store, now: float) -> int:
    """Delete the items of all tables that have expired at `now` (epoch seconds); returns their number."""
    from ministack.services import dynamodb

    deleted = 0
    for scope, attribute in list(_expiring_tables()):
        if (table := dynamodb._tables.get_scoped(*scope)) is None:
            continue
        items = table["items"]
        rows = await asyncio.to_thread(store.find_at_most, items.number, f"$.{json.dumps(attribute)}.N", now)
        for number, (key, subkey) in enumerate(rows):
            if number % _BLOCK == 0:
                await asyncio.sleep(0)
            partition_key, sort_key = items.decode_keys(key, subkey)
            # The item may have been replaced since the search.
            if _is_expired(items[partition_key].get(sort_key), attribute, now):
                dynamodb._remove_item(table, partition_key, sort_key)
                deleted += 1
    return deleted


def _expiring_tables() -> Iterator[tuple[tuple[str, str, str], str]]:
    """Yield account, region and name of each table with time to live, and its time-to-live attribute."""
    from ministack.services import dynamodb

    for scope, setting in dynamodb._ttl_settings.all_items():
        if setting.get("TimeToLiveStatus") == "ENABLED" and setting.get("AttributeName"):
            yield scope, setting["AttributeName"]


def _is_expired(item: Any, attribute: str, now: float) -> bool:
    try:
        return float(item[attribute]["N"]) <= now
    except (TypeError, KeyError, ValueError):
        return False
