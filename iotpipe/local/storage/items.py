"""The items of DynamoDB's tables: only in the database, since they are most of the data."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from iotpipe.local.storage import bounds, sortkeys
from iotpipe.local.storage.scoped import ConvertingScopedDict
from iotpipe.local.storage.store import Store

Item = dict[str, Any]
_REAPER = "dynamodb-ttl-reaper"
_SCAN_BLOCK = 1000
"""The approximate number of items that a Scan reads at once."""


def patch_ministack(store: Store) -> None:
    """Have ministack keep all items in the store. Call it before ministack reads its state."""
    from ministack.services import dynamodb

    def convert_backup(backup: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(backup["_items_snapshot"], Items):
            items = Items(store, store.reserve_collection())
            items.update(backup["_items_snapshot"])
            backup["_items_snapshot"] = items
        return backup

    dynamodb._tables = ConvertingScopedDict(lambda table: table if isinstance(table, Table) else Table(store, table))
    dynamodb._backups = ConvertingScopedDict(convert_backup)
    dynamodb._query = _bounded(dynamodb._query, bounds.of_query)
    dynamodb._scan = _bounded(dynamodb._scan, bounds.of_scan)
    # ministack calls it for every item.
    dynamodb._condition_syntax_error = lru_cache(dynamodb._condition_syntax_error)


def _bounded(read: Callable[[Any], Any], find_candidates: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """Restrict a read to its candidates: ministack reads a whole partition for a Query's page, a table for a Scan's."""
    from ministack.services import dynamodb

    def answer(data: Any) -> Any:
        table = dynamodb._tables.get(dynamodb._normalize_table_name(data.get("TableName")))
        candidates = find_candidates(table, data) if table else None
        if candidates is None:
            return read(data)
        with table["items"].showing_only(candidates):
            return read(data)

    return answer


class Table(dict[str, Any]):
    """ministack's description of a table; its items are stored in the database."""

    def __init__(self, store: Store, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._store = store
        self["items"] = values["items"]

    def __setitem__(self, name: str, value: Any) -> None:
        if name == "items":
            value = self._as_items(value)
        super().__setitem__(name, value)

    def _as_items(self, value: Any) -> Items:
        items = value if isinstance(value, Items) else Items(self._store, self._store.reserve_collection())
        types = {each["AttributeName"]: each["AttributeType"] for each in self.get("AttributeDefinitions", [])}
        items.order = sortkeys.NUMBERS if types.get(self.get("sk_name")) == "N" else sortkeys.TEXTS
        if items is not value:
            items.update(value)
        return items

    def __deepcopy__(self, memo: Any) -> dict[str, Any]:
        return {name: copy.deepcopy(value, memo) for name, value in self.items()}


class Items:
    """A table's items by partition key, with the dictionary methods that ministack uses."""

    kind = "items"

    def __init__(self, store: Store, number: int) -> None:
        self._store = store
        self.number = store.reserve_collection(number)
        self.order: sortkeys.Order = sortkeys.TEXTS
        self._thread = threading.local()

    @contextmanager
    def showing_only(self, candidates: Mapping[str, Mapping[str, Item]]) -> Iterator[None]:
        """Show only these items to this thread. Other threads (rules, state machines) still see and write all."""
        self._thread.shown = candidates
        try:
            yield
        finally:
            self._thread.shown = None

    @property
    def _shown(self) -> Mapping[str, Mapping[str, Item]] | None:
        return getattr(self._thread, "shown", None)

    def __getitem__(self, key: str) -> Any:
        if (shown := self._shown) is not None:
            return shown.get(key, {})
        return Partition(self._store, self.number, key, self.order)

    def get(self, key: str, default: Any = None) -> Any:
        return self[key]

    def setdefault(self, key: str, default: Any = None) -> Any:
        return self[key]

    def __setitem__(self, key: str, rows: Mapping[str, Item]) -> None:
        del self[key]
        for subkey, item in list(rows.items()):
            self[key][subkey] = item

    def update(self, other: Any) -> None:
        for key, rows in other.items():
            self[key] = rows

    def __delitem__(self, key: str) -> None:
        for subkey in self[key]:
            del self[key][subkey]

    def __contains__(self, key: str) -> bool:
        return bool(self[key])

    def decode_keys(self, key: bytes, subkey: bytes) -> tuple[str, str]:
        """Return the partition key and sort key of a database row."""
        return sortkeys.TEXTS.decode(key), self.order.decode(subkey)

    def keys(self) -> list[str]:
        if (shown := self._shown) is not None:
            return list(shown)
        return [sortkeys.TEXTS.decode(key) for key in self._store.keys(self.number)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def values(self) -> list[Any]:
        return [self[key] for key in self.keys()]

    def in_scan_order(self, begin: str) -> Iterator[tuple[str, Iterator[tuple[str, Item]]]]:
        """Yield the partition keys from `begin` on with their items, in the order of ministack's Scan.

        ministack sorts by the text of the sort key, even if it is a number.
        """
        keys = [key for key in self._store.keys(self.number) if sortkeys.TEXTS.decode(key) >= begin]
        count = 1
        while keys:
            block = self._store.rows_by_key(self.number, keys[:count])
            for key, rows in block.items():
                yield sortkeys.TEXTS.decode(key), self._in_text_order(rows)
            del keys[:count]
            # Read many small partitions at once, and large ones one by one.
            count = count * 2 if sum(map(len, block.values())) < _SCAN_BLOCK else 1

    def _in_text_order(self, rows: Mapping[bytes, bytes]) -> Iterator[tuple[str, Item]]:
        for subkey, content in sorted((self.order.decode(subkey), content) for subkey, content in rows.items()):
            yield subkey, _item(content)

    def items(self) -> list[tuple[str, Any]]:
        # time_to_live.py deletes expired items instead.
        if threading.current_thread().name == _REAPER:
            return []
        return [(key, self[key]) for key in self.keys()]

    def __deepcopy__(self, memo: Any) -> Items:
        return self


class Partition:
    """The items with one partition key, by sort key. Reading returns copies: changing one does not change the item."""

    def __init__(self, store: Store, number: int, key: str, order: sortkeys.Order) -> None:
        self._store = store
        self._collection_key = (number, sortkeys.TEXTS.encode(key))
        self._order = order

    def get(self, subkey: str, default: Any = None) -> Any:
        content = self._store.get(*self._collection_key, self._order.encode(subkey))
        return default if content is None else json.loads(content)

    def __getitem__(self, subkey: str) -> Item:
        content = self._store.get(*self._collection_key, self._order.encode(subkey))
        if content is None:
            raise KeyError(subkey)
        return _item(content)

    def __setitem__(self, subkey: str, item: Item) -> None:
        self._store.put(
            *self._collection_key, self._order.encode(subkey), json.dumps(item, separators=(",", ":")).encode()
        )

    def __delitem__(self, subkey: str) -> None:
        self._store.put(*self._collection_key, self._order.encode(subkey), None)

    def pop(self, subkey: str, default: Any = None) -> Any:
        item = self.get(subkey, default)
        del self[subkey]
        return item

    def __contains__(self, subkey: str) -> bool:
        return self._store.get(*self._collection_key, self._order.encode(subkey)) is not None

    def __bool__(self) -> bool:
        return self._store.has_rows(*self._collection_key)

    def between(self, low: str | None, high: str | None, limit: int | None, *, backward: bool) -> dict[str, Item]:
        """Return the first items with sort keys from `low` to `high`, both included; the last ones if `backward`."""
        first, last = self._order.bounds(low, high)
        return self._decode(self._store.rows_between(*self._collection_key, first, last, limit, backward=backward))

    def _decode(self, rows: Mapping[bytes, bytes]) -> dict[str, Item]:
        return {self._order.decode(subkey): _item(content) for subkey, content in rows.items()}

    def items(self) -> list[tuple[str, Item]]:
        return list(self._all().items())

    def keys(self) -> list[str]:
        return list(self._all())

    def values(self) -> list[Item]:
        return list(self._all().values())

    def _all(self) -> dict[str, Item]:
        return self._decode(self._store.rows(*self._collection_key))

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._store.rows(*self._collection_key))

    def __deepcopy__(self, memo: Any) -> dict[str, Item]:
        return self._all()


def _item(content: bytes) -> Item:
    item: Item = json.loads(content)
    return item
