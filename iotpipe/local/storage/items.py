"""The items of DynamoDB's tables: in the database alone, since they are what there is most of."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from iotpipe.local.storage import bounds, sortkeys
from iotpipe.local.storage.scoped import Scoped
from iotpipe.local.storage.store import Store

Item = dict[str, Any]
_REAPER = "dynamodb-ttl-reaper"
_AT_ONCE = 1000
"""Items that a Scan reads at once, about."""


def keep_in(store: Store) -> None:
    """Have ministack keep all items there; before it reads its state."""
    from ministack.services import dynamodb

    def backup(described: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(described["_items_snapshot"], Items):
            items = Items(store, store.collection())
            items.update(described["_items_snapshot"])
            described["_items_snapshot"] = items
        return described

    dynamodb._tables = Scoped(lambda table: table if isinstance(table, Table) else Table(store, table))
    dynamodb._backups = Scoped(backup)
    dynamodb._query = _bounded(dynamodb._query, bounds.of_query)
    dynamodb._scan = _bounded(dynamodb._scan, bounds.of_scan)
    # It is asked anew for every item.
    dynamodb._condition_syntax_error = lru_cache(dynamodb._condition_syntax_error)


def _bounded(read: Callable[[Any], Any], bounds_of: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """ministack looks at all items of a device for each page of them, and at all of a table to scan one."""
    from ministack.services import dynamodb

    def answer(data: Any) -> Any:
        table = dynamodb._tables.get(dynamodb._normalize_table_name(data.get("TableName")))
        found = bounds_of(table, data) if table else None
        if found is None:
            return read(data)
        with table["items"].showing(found):
            return read(data)

    return answer


class Table(dict[str, Any]):
    """What ministack knows of a table. Whatever is put into it as its items goes to the database."""

    def __init__(self, store: Store, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._store = store
        self["items"] = values["items"]

    def __setitem__(self, name: str, value: Any) -> None:
        if name == "items":
            value = self._kept(value)
        super().__setitem__(name, value)

    def _kept(self, value: Any) -> Items:
        items = value if isinstance(value, Items) else Items(self._store, self._store.collection())
        types = {each["AttributeName"]: each["AttributeType"] for each in self.get("AttributeDefinitions", [])}
        items.order = sortkeys.NUMBERS if types.get(self.get("sk_name")) == "N" else sortkeys.TEXTS
        if items is not value:
            items.update(value)
        return items

    def __deepcopy__(self, memo: Any) -> dict[str, Any]:
        return {name: copy.deepcopy(value, memo) for name, value in self.items()}


class Items:
    """A table's items by partition key, with what ministack uses of a dictionary."""

    kind = "items"

    def __init__(self, store: Store, number: int) -> None:
        self._store = store
        self.number = store.collection(number)
        self.order: sortkeys.Order = sortkeys.TEXTS
        self._reading = threading.local()

    @contextmanager
    def showing(self, found: Mapping[str, Mapping[str, Item]]) -> Iterator[None]:
        """Have ministack see these items alone, in this thread: rules and state machines write in others."""
        self._reading.found = found
        try:
            yield
        finally:
            self._reading.found = None

    @property
    def _shown(self) -> Mapping[str, Mapping[str, Item]] | None:
        return getattr(self._reading, "found", None)

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

    def named(self, key: bytes, subkey: bytes) -> tuple[str, str]:
        """Partition and sort key of a row in the database."""
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

    def scanned(self, begin: str) -> Iterator[tuple[str, Iterator[tuple[str, Item]]]]:
        """Partition keys from `begin` on with their items, as a Scan comes upon them.

        ministack sorts by the text of the sort key, also where it is a number.
        """
        keys = [key for key in self._store.keys(self.number) if sortkeys.TEXTS.decode(key) >= begin]
        most = 1
        while keys:
            found = self._store.rows_of(self.number, keys[:most])
            for key, rows in found.items():
                yield sortkeys.TEXTS.decode(key), self._in_text_order(rows)
            del keys[:most]
            # Many with one item each are read at once, and few with many one by one.
            most = most * 2 if sum(map(len, found.values())) < _AT_ONCE else 1

    def _in_text_order(self, rows: Mapping[bytes, bytes]) -> Iterator[tuple[str, Item]]:
        for subkey, content in sorted((self.order.decode(subkey), content) for subkey, content in rows.items()):
            yield subkey, _item(content)

    def items(self) -> list[tuple[str, Any]]:
        # What expires is looked for elsewhere.
        if threading.current_thread().name == _REAPER:
            return []
        return [(key, self[key]) for key in self.keys()]

    def __deepcopy__(self, memo: Any) -> Items:
        return self


class Partition:
    """The items with one partition key, by sort key. Each is read anew: changing what was read changes nothing here."""

    def __init__(self, store: Store, number: int, key: str, order: sortkeys.Order) -> None:
        self._store = store
        self._where = (number, sortkeys.TEXTS.encode(key))
        self._order = order

    def get(self, subkey: str, default: Any = None) -> Any:
        content = self._store.get(*self._where, self._order.encode(subkey))
        return default if content is None else json.loads(content)

    def __getitem__(self, subkey: str) -> Item:
        content = self._store.get(*self._where, self._order.encode(subkey))
        if content is None:
            raise KeyError(subkey)
        return _item(content)

    def __setitem__(self, subkey: str, item: Item) -> None:
        self._store.put(*self._where, self._order.encode(subkey), json.dumps(item, separators=(",", ":")).encode())

    def __delitem__(self, subkey: str) -> None:
        self._store.put(*self._where, self._order.encode(subkey), None)

    def pop(self, subkey: str, default: Any = None) -> Any:
        item = self.get(subkey, default)
        del self[subkey]
        return item

    def __contains__(self, subkey: str) -> bool:
        return self._store.get(*self._where, self._order.encode(subkey)) is not None

    def __bool__(self) -> bool:
        return self._store.holds(*self._where)

    def within(self, low: str | None, high: str | None, most: int | None, *, backward: bool) -> dict[str, Item]:
        """The items with sort keys from `low` up to `high`, both included; at most so many, from whichever end."""
        first, last = self._order.bounds(low, high)
        return self._decoded(self._store.span(*self._where, first, last, most, backward=backward))

    def _decoded(self, rows: Mapping[bytes, bytes]) -> dict[str, Item]:
        return {self._order.decode(subkey): _item(content) for subkey, content in rows.items()}

    def items(self) -> list[tuple[str, Item]]:
        return list(self._all().items())

    def keys(self) -> list[str]:
        return list(self._all())

    def values(self) -> list[Item]:
        return list(self._all().values())

    def _all(self) -> dict[str, Item]:
        return self._decoded(self._store.rows(*self._where))

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._store.rows(*self._where))

    def __deepcopy__(self, memo: Any) -> dict[str, Item]:
        return self._all()


def _item(content: bytes) -> Item:
    found: Item = json.loads(content)
    return found
