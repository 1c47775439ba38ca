"""Time to live of the items in the embedded DynamoDB: looked at once an hour, where AWS takes days.

ministack's own thread for that would read every item once a minute, and hold up all writes meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from iotpipe.local.storage.store import Store

_FIRST, _PAUSE = 60.0, 3600.0
"""Seconds from the start to the first look, and from one look to the next."""
_AT_ONCE = 100
"""Items that are deleted before other requests have their turn."""


async def keep_expiring(store: Store, log: Callable[[str], None]) -> None:
    """Go on until cancelled."""
    await asyncio.sleep(_FIRST)
    while True:
        try:
            await expire(store, time.time())
        # What ministack trips over must not be the end of all expiry.
        except Exception as error:  # noqa: BLE001
            log(f"cannot look for expired items: {error!r}")
        await asyncio.sleep(_PAUSE)


async def expire(store: Store, now: float) -> int:
    """Delete the items of all tables whose time is over by `now` (epoch seconds); how many these were."""
    from ministack.services import dynamodb

    deleted = 0
    for scope, attribute in list(_attributes()):
        if (table := dynamodb._tables.get_scoped(*scope)) is None:
            continue
        items = table["items"]
        rows = await asyncio.to_thread(store.find_at_most, items.number, f"$.{json.dumps(attribute)}.N", now)
        for number, (key, subkey) in enumerate(rows):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            partition, sort = items.decode_keys(key, subkey)
            # It may have been written anew meanwhile.
            if _is_over(items[partition].get(sort), attribute, now):
                dynamodb._remove_item(table, partition, sort)
                deleted += 1
    return deleted


def _attributes() -> Iterator[tuple[tuple[str, str, str], str]]:
    """Account, region and name of each table whose items expire, and the attribute that says when."""
    from ministack.services import dynamodb

    for scope, setting in dynamodb._ttl_settings.all_items():
        if setting.get("TimeToLiveStatus") == "ENABLED" and setting.get("AttributeName"):
            yield scope, setting["AttributeName"]


def _is_over(item: Any, attribute: str, now: float) -> bool:
    try:
        return float(item[attribute]["N"]) <= now
    except (TypeError, KeyError, ValueError):
        return False
