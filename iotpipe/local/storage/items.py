"""The items of DynamoDB's tables: in the database alone, since they are what there is most of."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from iotpipe.local.storage.scoped import Scoped
from iotpipe.local.storage.store import Store

Item = dict[str, Any]
_REAPER = "dynamodb-ttl-reaper"


def keep_in(store: Store) -> None:
    """Have ministack keep all items there; before it reads its state."""
    from ministack.services import dynamodb

    dynamodb._tables = Scoped(lambda table: table if isinstance(table, Table) else Table(store, table))


class Table(dict[str, Any]):
    """What ministack knows of a table. Whatever is put into it as its items goes to the database."""

    def __init__(self, store: Store, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._store = store
        self["items"] = values["items"]

    def __setitem__(self, name: str, value: Any) -> None:
        if name == "items" and not isinstance(value, Items):
            items = Items(self._store, self._store.collection())
            for key, rows in value.items():
                items[key] = rows
            value = items
        super().__setitem__(name, value)

    def __deepcopy__(self, memo: Any) -> dict[str, Any]:
        return {name: copy.deepcopy(value, memo) for name, value in self.items()}


class Items:
    """A table's items by partition key, with what ministack uses of a dictionary."""

    kind = "items"

    def __init__(self, store: Store, number: int) -> None:
        self._store = store
        self.number = store.collection(number)

    def __getitem__(self, key: str) -> Partition:
        return Partition(self._store, self.number, key)

    def get(self, key: str, default: Any = None) -> Partition:
        return self[key]

    def setdefault(self, key: str, default: Any = None) -> Partition:
        return self[key]

    def __setitem__(self, key: str, rows: Mapping[str, Item]) -> None:
        del self[key]
        for subkey, item in list(rows.items()):
            self[key][subkey] = item

    def __delitem__(self, key: str) -> None:
        for subkey in self[key]:
            del self[key][subkey]

    def __contains__(self, key: str) -> bool:
        return bool(self[key])

    def keys(self) -> list[str]:
        return [_text(key) for key in self._store.keys(self.number)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def values(self) -> list[Partition]:
        return [self[key] for key in self.keys()]

    def items(self) -> list[tuple[str, Partition]]:
        # ministack's own thread would read every item once a minute, and hold up all writes meanwhile.
        if threading.current_thread().name == _REAPER:
            return []
        return [(key, self[key]) for key in self.keys()]

    def __deepcopy__(self, memo: Any) -> Items:
        return self


class Partition:
    """The items with one partition key, by sort key. Each is read anew: changing what was read changes nothing here."""

    def __init__(self, store: Store, number: int, key: str) -> None:
        self._store = store
        self._where = (number, _bytes(key))

    def get(self, subkey: str, default: Any = None) -> Any:
        content = self._store.get(*self._where, _bytes(subkey))
        return default if content is None else json.loads(content)

    def __getitem__(self, subkey: str) -> Item:
        content = self._store.get(*self._where, _bytes(subkey))
        if content is None:
            raise KeyError(subkey)
        return _item(content)

    def __setitem__(self, subkey: str, item: Item) -> None:
        self._store.put(*self._where, _bytes(subkey), json.dumps(item, separators=(",", ":")).encode())

    def __delitem__(self, subkey: str) -> None:
        self._store.put(*self._where, _bytes(subkey), None)

    def pop(self, subkey: str, default: Any = None) -> Any:
        item = self.get(subkey, default)
        del self[subkey]
        return item

    def __contains__(self, subkey: str) -> bool:
        return self._store.get(*self._where, _bytes(subkey)) is not None

    def __bool__(self) -> bool:
        return self._store.holds(*self._where)

    def items(self) -> list[tuple[str, Item]]:
        return [(_text(subkey), _item(content)) for subkey, content in self._store.rows(*self._where).items()]

    def keys(self) -> list[str]:
        return [_text(subkey) for subkey in self._store.rows(*self._where)]

    def values(self) -> list[Item]:
        return [_item(content) for content in self._store.rows(*self._where).values()]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._store.rows(*self._where))

    def __deepcopy__(self, memo: Any) -> dict[str, Item]:
        return dict(self.items())


def _item(content: bytes) -> Item:
    found: Item = json.loads(content)
    return found


def _bytes(text: str) -> bytes:
    # A key may hold half of a surrogate pair: JSON allows it, and ministack does not look.
    return text.encode("utf-8", "surrogatepass")


def _text(key: bytes) -> str:
    return key.decode("utf-8", "surrogatepass")
