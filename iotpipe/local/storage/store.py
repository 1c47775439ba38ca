"""The store of the embedded AWS: everything that it holds, in one SQLite database.

Large collections (items, messages, log events) are stored row by row, everything else as one state per service.
Changes stay in memory first and are written every few seconds in one transaction, so the database is always one
consistent snapshot. Reads combine the unsaved changes with the database.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from iotpipe.local.storage.database import check_pages, connect, damaged

_ROWS_PER_STATEMENT = 200
"""One statement per row would wait for Python's global lock after each row while requests are served."""

Changes = dict[tuple[int, bytes], dict[bytes, bytes | None]]
"""Rows that are not on the disk yet, by collection and key; None for a deleted one."""


@dataclass
class References:
    """The collections and blobs that the services' states refer to.

    `newest` is the last collection that the states can refer to; rows of later ones are kept.
    """

    newest: int = 0
    collections: set[int] = field(default_factory=set)
    blobs: dict[str, bytes] = field(default_factory=dict)


class Store:
    """The database at `path`. Raises LedgerCorrupt and LedgerTooNew if it cannot be read.

    Its methods are thread-safe, except that only one thread at a time may call `save`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.RLock()
        """Changes made while a thread holds this lock are saved together."""
        self._pending: Changes = {}
        self._saving: Changes = {}
        self._saved_digests: dict[str, bytes] = {}
        self._saved_references: References | None = None
        try:
            self._reading = connect(path)
            self._writing = connect(path)
            check_pages(self._reading, path)
            # Rows that no state refers to may remain from a kill: a new collection must not get their number.
            (newest,) = self._reading.execute("SELECT max(collection) FROM rows").fetchone()
            self._newest_collection = int(newest or 0)
            self._file = os.stat(path)
        except sqlite3.DatabaseError as error:
            raise damaged(path, error) from error

    def close(self) -> None:
        """Close the database; SQLite then merges its journal into the one file."""
        self._reading.close()
        self._writing.close()

    @property
    def saved_at(self) -> float:
        """The time of the snapshot on the disk, in epoch seconds; 0 if there is none."""
        with self.lock:
            (seconds,) = self._reading.execute("SELECT seconds FROM moment").fetchone()
        return float(seconds)

    def states(self) -> dict[str, bytes]:
        """Return the saved state of each service. Raises LedgerCorrupt."""
        try:
            with self.lock:
                return dict(self._reading.execute("SELECT service, content FROM states"))
        except sqlite3.DatabaseError as error:
            raise damaged(self.path, error) from error

    def blob(self, digest: str) -> bytes:
        """Return the bytes with this digest. Raises LedgerCorrupt if there are none."""
        with self.lock:
            row = self._reading.execute("SELECT content FROM blobs WHERE digest = ?", (digest,)).fetchone()
        if row is None:
            raise damaged(self.path, f"it has no {digest}")
        return bytes(row[0])

    def reserve_collection(self, number: int | None = None) -> int:
        """Return the number of a new collection, or reserve the given number."""
        with self.lock:
            number = self._newest_collection + 1 if number is None else number
            self._newest_collection = max(self._newest_collection, number)
        return number

    def get(self, collection: int, key: bytes, subkey: bytes) -> bytes | None:
        """Return a row's content, or None if there is no such row."""
        with self.lock:
            for changes in (self._pending, self._saving):
                rows = changes.get((collection, key))
                if rows is not None and subkey in rows:
                    return rows[subkey]
            row = self._reading.execute(
                "SELECT content FROM rows WHERE collection = ? AND key = ? AND subkey = ?", (collection, key, subkey)
            ).fetchone()
            return row[0] if row else None

    def put(self, collection: int, key: bytes, subkey: bytes, content: bytes | None) -> None:
        """Write a row; delete it if `content` is None."""
        with self.lock:
            self._pending.setdefault((collection, key), {})[subkey] = content

    def rows(self, collection: int, key: bytes) -> dict[bytes, bytes]:
        """Return all rows with this key, by subkey."""
        with self.lock:
            found: dict[bytes, bytes | None] = dict(
                self._reading.execute(
                    "SELECT subkey, content FROM rows WHERE collection = ? AND key = ?", (collection, key)
                )
            )
            for changes in (self._saving, self._pending):
                found.update(changes.get((collection, key), {}))
        return {subkey: content for subkey, content in found.items() if content is not None}

    def rows_by_key(self, collection: int, keys: list[bytes]) -> dict[bytes, dict[bytes, bytes]]:
        """Return all rows with these keys, by key and subkey. They should be neighbours in the result of `keys`."""
        found: dict[bytes, dict[bytes, bytes | None]] = {key: {} for key in keys}
        with self.lock:
            for key, subkey, content in self._reading.execute(
                "SELECT key, subkey, content FROM rows WHERE collection = ? AND key BETWEEN ? AND ?",
                (collection, keys[0], keys[-1]),
            ):
                if key in found:
                    found[key][subkey] = content
            for changes in (self._saving, self._pending):
                for key in keys:
                    found[key].update(changes.get((collection, key), {}))
        return {
            key: {subkey: content for subkey, content in rows.items() if content is not None}
            for key, rows in found.items()
        }

    def rows_between(
        self, collection: int, key: bytes, low: bytes, high: bytes, limit: int | None, *, backward: bool = False
    ) -> dict[bytes, bytes]:
        """Return the first rows from `low` to `high`, both included, up to `limit`; the last ones if `backward`."""
        order = "DESC" if backward else "ASC"
        with self.lock:
            changed = {
                subkey: content
                for changes in (self._saving, self._pending)
                for subkey, content in changes.get((collection, key), {}).items()
                if low <= subkey <= high
            }
            # Any of the changed rows may be deleted, so the query has to return that many more.
            query_limit = -1 if limit is None else limit + len(changed)
            found: dict[bytes, bytes | None] = dict(
                self._reading.execute(
                    "SELECT subkey, content FROM rows WHERE collection = ? AND key = ? AND subkey BETWEEN ? AND ? "
                    f"ORDER BY subkey {order} LIMIT ?",
                    (collection, key, low, high, query_limit),
                )
            )
        ordered = sorted((found | changed).items(), reverse=backward)
        return dict(islice(((subkey, content) for subkey, content in ordered if content is not None), limit))

    def has_rows(self, collection: int, key: bytes) -> bool:
        """Whether any row has this key."""
        with self.lock:
            changed = self._saving.get((collection, key), {}) | self._pending.get((collection, key), {})
            if any(content is not None for content in changed.values()):
                return True
            saved = self._reading.execute("SELECT subkey FROM rows WHERE collection = ? AND key = ?", (collection, key))
            return any(subkey not in changed for (subkey,) in saved)

    def keys(self, collection: int) -> list[bytes]:
        """Return the keys that have rows, in order."""
        with self.lock:
            # One index lookup per key; DISTINCT would read every row.
            saved_keys = self._reading.execute(
                "WITH RECURSIVE each(key) AS (SELECT min(key) FROM rows WHERE collection = :collection UNION ALL "
                "SELECT (SELECT min(key) FROM rows WHERE collection = :collection AND key > each.key) FROM each "
                "WHERE each.key IS NOT NULL) SELECT key FROM each WHERE key IS NOT NULL",
                {"collection": collection},
            )
            saved = {key for (key,) in saved_keys}
            changed = {key for rows in (self._saving, self._pending) for number, key in rows if number == collection}
            return sorted(key for key in saved | changed if key not in changed or self.has_rows(collection, key))

    @property
    def has_changes(self) -> bool:
        """Whether any row has changed since the last `begin_save`."""
        return bool(self._pending)

    def find_at_most(self, collection: int, json_path: str, maximum: float) -> list[tuple[bytes, bytes]]:
        """Return keys and subkeys of the saved rows whose number at this JSON path is at most `maximum`.

        Reads every row, on a connection of its own: other calls do not wait for it.
        """
        with closing(sqlite3.connect(self.path)) as reading:
            return reading.execute(
                "SELECT key, subkey FROM rows WHERE collection = ? "
                "AND CAST(json_extract(CAST(content AS TEXT), ?) AS REAL) <= ?",
                (collection, json_path, maximum),
            ).fetchall()

    def begin_save(self) -> int:
        """Fix what the next `save` writes: the changes made up to now. Returns the newest collection."""
        with self.lock:
            # The rows of a failed save are still in `_saving`.
            for collection_key, rows in self._pending.items():
                self._saving.setdefault(collection_key, {}).update(rows)
            self._pending = {}
            return self._newest_collection

    def save(self, states: Mapping[str, bytes], references: References, seconds: float) -> bool:
        """Write the changes made up to `begin_save` in one transaction; False if there are none.

        `states` are the services' states at that time, `seconds`. Rows and blobs that they do not refer to are
        deleted. Raises sqlite3.Error if the database cannot be written, and OSError if it was deleted; either way
        nothing is written.
        """
        self._check_file()
        digests = {service: hashlib.sha256(content).digest() for service, content in states.items()}
        changed = [(name, states[name]) for name, digest in digests.items() if digest != self._saved_digests.get(name)]
        if not (changed or self._saving):
            return False
        rows = (
            (collection, key, subkey, content)
            for (collection, key), by_subkey in self._saving.items()
            for subkey, content in by_subkey.items()
        )
        writing = self._writing
        writing.execute("BEGIN IMMEDIATE")
        try:
            self._write_rows(rows)
            writing.executemany("INSERT OR REPLACE INTO states VALUES (?, ?)", changed)
            self._apply_references(references)
            writing.execute("UPDATE moment SET seconds = ?", (seconds,))
            writing.execute("COMMIT")
        except BaseException:
            if writing.in_transaction:  # a full disk may have ended the transaction
                writing.execute("ROLLBACK")
            raise
        with self.lock:
            self._saving = {}
        self._saved_digests, self._saved_references = digests, references
        return True

    def _check_file(self) -> None:
        """Raise OSError if the file was deleted: SQLite would keep writing to a file that ends with the process."""
        if not (self.path.exists() and os.path.samestat(os.stat(self.path), self._file)):
            raise OSError(f"{self.path} was deleted or replaced")

    def _write_rows(self, rows: Iterable[tuple[int, bytes, bytes, bytes | None]]) -> None:
        remaining = iter(rows)
        while chunk := list(islice(remaining, _ROWS_PER_STATEMENT)):
            written = [value for row in chunk if row[3] is not None for value in row]
            deleted = [value for row in chunk if row[3] is None for value in row[:3]]
            if written:
                values = ", ".join(["(?, ?, ?, ?)"] * (len(written) // 4))
                self._writing.execute(f"INSERT OR REPLACE INTO rows VALUES {values}", written)
            if deleted:
                values = ", ".join(["(?, ?, ?)"] * (len(deleted) // 3))
                # A join uses the index; SQLite would scan all rows for an IN of the three columns.
                self._writing.execute(
                    f"DELETE FROM rows WHERE rowid IN (SELECT each.rowid FROM (VALUES {values}) AS gone CROSS JOIN "
                    "rows AS each ON each.collection = gone.column1 AND each.key = gone.column2 "
                    "AND each.subkey = gone.column3)",
                    deleted,
                )

    def _apply_references(self, references: References) -> None:
        """Write the new blobs, and delete the blobs and rows that are no longer referenced."""
        before = self._saved_references
        if before is None or references.blobs.keys() != before.blobs.keys():
            self._writing.executemany("INSERT OR IGNORE INTO blobs VALUES (?, ?)", references.blobs.items())
            kept = json.dumps(list(references.blobs))
            self._writing.execute("DELETE FROM blobs WHERE digest NOT IN (SELECT value FROM json_each(?))", (kept,))
        if before is None or references.collections != before.collections:
            kept = json.dumps(list(references.collections))
            self._writing.execute(
                "DELETE FROM rows WHERE collection <= ? AND collection NOT IN (SELECT value FROM json_each(?))",
                (references.newest, kept),
            )
