"""One SQLite database with all that the embedded AWS holds: big collections row by row, all else service by service.

What changes is first in memory, and reaches the disk every few seconds in one transaction: so the database always
holds one whole moment. Whoever reads a row gets it from memory or from the disk, and need not know which.
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

from iotpipe.errors import LedgerCorrupt, LedgerTooNew

APPLICATION = 0x696F7470  # "iotp", which tells file(1) and us whose database it is
FORMAT = 1

# Rows are big: without a rowid they would be in the inner pages of the tree as well, and make it four times slower.
_TABLES = """
CREATE TABLE rows (
    collection INTEGER, key BLOB, subkey BLOB, content BLOB, PRIMARY KEY (collection, key, subkey)
);
CREATE TABLE blobs (digest TEXT PRIMARY KEY, content BLOB) WITHOUT ROWID;
CREATE TABLE states (service TEXT PRIMARY KEY, content BLOB) WITHOUT ROWID;
CREATE TABLE moment (seconds REAL);
INSERT INTO moment VALUES (0);
"""
# A thread that writes row by row would wait for Python's lock after each of them while requests are served.
_AT_ONCE = 200
_CACHE = 65_536  # KiB, of each connection

Layer = dict[tuple[int, bytes], dict[bytes, bytes | None]]
"""What is not on the disk yet, by collection and key; None for what is deleted."""


@dataclass
class References:
    """What the services' states name: collections, of which `newest` is the last that they can know, and blobs."""

    newest: int = 0
    collections: set[int] = field(default_factory=set)
    blobs: dict[str, bytes] = field(default_factory=dict)


class Store:
    """The database at `path`. Raises LedgerCorrupt and LedgerTooNew where it cannot be read.

    Its methods may be called by any thread, `save` by one at a time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.RLock()
        """What a thread does while it holds this is in one moment: all of it is saved, or nothing yet."""
        self._pending: Layer = {}
        self._saving: Layer = {}
        self._digests: dict[str, bytes] = {}
        self._used: References | None = None
        try:
            self._reading = self._connected()
            self._writing = self._connected()
            # A page that cannot be read would be found by the request that needs it, or by none.
            (found,) = self._reading.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise self.damaged(found)
            # Rows that no state names may have been left: a new collection must not begin with them.
            (newest,) = self._reading.execute("SELECT max(collection) FROM rows").fetchone()
            self._collections = int(newest or 0)
            self._file = os.stat(path)
        except sqlite3.DatabaseError as error:
            raise self.damaged(error) from error

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA cache_size=-{_CACHE}")
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application == APPLICATION and version > FORMAT:
            message = f"{self.path} has format {version}, this iotpipe reads up to {FORMAT}"
            raise LedgerTooNew(message, "Nothing was changed. Upgrade iotpipe")
        if application != APPLICATION and (application or version or tables):
            raise LedgerCorrupt(
                f"{self.path} is another program's database", "Nothing was changed. Check what it is for"
            )
        if not tables:
            connection.executescript(
                f"BEGIN; PRAGMA application_id={APPLICATION}; PRAGMA user_version={FORMAT}; {_TABLES} COMMIT"
            )
        # Readers and the writer do not wait for each other then. It writes, so it comes after the looks.
        connection.execute("PRAGMA journal_mode=WAL")
        return connection

    def damaged(self, error: object) -> LedgerCorrupt:
        """What to raise where the database does not hold what was written."""
        hint = "Nothing was changed. Restore it from a backup, or start over with `iotpipe local reset`"
        return LedgerCorrupt(f"{self.path} is damaged: {error}", hint)

    def close(self) -> None:
        """Close the database; SQLite puts everything into its one file then."""
        self._reading.close()
        self._writing.close()

    @property
    def moment(self) -> float:
        """When what is on the disk was so, in epoch seconds; 0 where nothing is."""
        with self.lock:
            (seconds,) = self._reading.execute("SELECT seconds FROM moment").fetchone()
        return float(seconds)

    def states(self) -> dict[str, bytes]:
        """What was saved of each service. Raises LedgerCorrupt."""
        try:
            with self.lock:
                return dict(self._reading.execute("SELECT service, content FROM states"))
        except sqlite3.DatabaseError as error:
            raise self.damaged(error) from error

    def blob(self, digest: str) -> bytes:
        """The bytes with this digest. Raises LedgerCorrupt where there are none."""
        with self.lock:
            found = self._reading.execute("SELECT content FROM blobs WHERE digest = ?", (digest,)).fetchone()
        if found is None:
            raise self.damaged(f"it has no {digest}")
        return bytes(found[0])

    def collection(self, number: int | None = None) -> int:
        """The number of a new collection, or note that this one is taken."""
        with self.lock:
            number = self._collections + 1 if number is None else number
            self._collections = max(self._collections, number)
        return number

    def get(self, collection: int, key: bytes, subkey: bytes) -> bytes | None:
        """A row's content; None where there is no such row."""
        with self.lock:
            for layer in (self._pending, self._saving):
                rows = layer.get((collection, key))
                if rows is not None and subkey in rows:
                    return rows[subkey]
            found = self._reading.execute(
                "SELECT content FROM rows WHERE collection = ? AND key = ? AND subkey = ?", (collection, key, subkey)
            ).fetchone()
            return found[0] if found else None

    def put(self, collection: int, key: bytes, subkey: bytes, content: bytes | None) -> None:
        """Write a row, or delete it with None."""
        with self.lock:
            self._pending.setdefault((collection, key), {})[subkey] = content

    def rows(self, collection: int, key: bytes) -> dict[bytes, bytes]:
        """All rows with this key, by subkey."""
        with self.lock:
            found: dict[bytes, bytes | None] = dict(
                self._reading.execute(
                    "SELECT subkey, content FROM rows WHERE collection = ? AND key = ?", (collection, key)
                )
            )
            for layer in (self._saving, self._pending):
                found.update(layer.get((collection, key), {}))
        return {subkey: content for subkey, content in found.items() if content is not None}

    def rows_of(self, collection: int, keys: list[bytes]) -> dict[bytes, dict[bytes, bytes]]:
        """All rows with these keys, by key and subkey: several of those that follow each other in `keys`."""
        found: dict[bytes, dict[bytes, bytes | None]] = {key: {} for key in keys}
        with self.lock:
            for key, subkey, content in self._reading.execute(
                "SELECT key, subkey, content FROM rows WHERE collection = ? AND key BETWEEN ? AND ?",
                (collection, keys[0], keys[-1]),
            ):
                if key in found:
                    found[key][subkey] = content
            for layer in (self._saving, self._pending):
                for key in keys:
                    found[key].update(layer.get((collection, key), {}))
        return {
            key: {subkey: content for subkey, content in rows.items() if content is not None}
            for key, rows in found.items()
        }

    def span(
        self, collection: int, key: bytes, low: bytes, high: bytes, most: int | None, *, backward: bool = False
    ) -> dict[bytes, bytes]:
        """The rows from `low` up to `high`, both included; at most so many of them, from whichever end."""
        order = "DESC" if backward else "ASC"
        with self.lock:
            changed = {
                subkey: content
                for layer in (self._saving, self._pending)
                for subkey, content in layer.get((collection, key), {}).items()
                if low <= subkey <= high
            }
            # What was changed may have to be left out of what is found.
            limit = -1 if most is None else most + len(changed)
            found: dict[bytes, bytes | None] = dict(
                self._reading.execute(
                    "SELECT subkey, content FROM rows WHERE collection = ? AND key = ? AND subkey BETWEEN ? AND ? "
                    f"ORDER BY subkey {order} LIMIT ?",
                    (collection, key, low, high, limit),
                )
            )
        ordered = sorted((found | changed).items(), reverse=backward)
        return dict(islice(((subkey, content) for subkey, content in ordered if content is not None), most))

    def holds(self, collection: int, key: bytes) -> bool:
        """Whether there is any row with this key."""
        with self.lock:
            changed = self._saving.get((collection, key), {}) | self._pending.get((collection, key), {})
            if any(content is not None for content in changed.values()):
                return True
            saved = self._reading.execute("SELECT subkey FROM rows WHERE collection = ? AND key = ?", (collection, key))
            return any(subkey not in changed for (subkey,) in saved)

    def keys(self, collection: int) -> list[bytes]:
        """The keys under which there are rows."""
        with self.lock:
            # One look into the index per key, where DISTINCT would go through every row.
            found = self._reading.execute(
                "WITH RECURSIVE each(key) AS (SELECT min(key) FROM rows WHERE collection = :collection UNION ALL "
                "SELECT (SELECT min(key) FROM rows WHERE collection = :collection AND key > each.key) FROM each "
                "WHERE each.key IS NOT NULL) SELECT key FROM each WHERE key IS NOT NULL",
                {"collection": collection},
            )
            saved = {key for (key,) in found}
            changed = {key for layer in (self._saving, self._pending) for number, key in layer if number == collection}
            return sorted(key for key in saved | changed if key not in changed or self.holds(collection, key))

    @property
    def changed(self) -> bool:
        """Whether any row has changed since the last `swap`."""
        return bool(self._pending)

    def below(self, collection: int, path: str, most: float) -> list[tuple[bytes, bytes]]:
        """Keys and subkeys of the saved rows with a number of at most `most` at this place in their JSON.

        Reads every row, beside whatever else is going on.
        """
        with closing(sqlite3.connect(self.path)) as reading:
            return reading.execute(
                "SELECT key, subkey FROM rows WHERE collection = ? "
                "AND CAST(json_extract(CAST(content AS TEXT), ?) AS REAL) <= ?",
                (collection, path, most),
            ).fetchall()

    def swap(self) -> int:
        """Begin a new moment: what has changed up to now is what `save` writes. Answers the collections so far."""
        with self.lock:
            # A save that failed has left its rows.
            for where, rows in self._pending.items():
                self._saving.setdefault(where, {}).update(rows)
            self._pending = {}
            return self._collections

    def save(self, states: Mapping[str, bytes], references: References, seconds: float) -> bool:
        """Write what has changed until `swap`, in one transaction; False if nothing has.

        `states` are the services', as they were then, and `seconds` is when: what they do not refer to is deleted.
        Raises sqlite3.Error where it cannot be written, or OSError where it is not there any more: then nothing is.
        """
        self._check_place()
        digests = {service: hashlib.sha256(content).digest() for service, content in states.items()}
        changed = [(name, states[name]) for name, digest in digests.items() if digest != self._digests.get(name)]
        if not (changed or self._saving):
            return False
        rows = ((*where, subkey, content) for where, found in self._saving.items() for subkey, content in found.items())
        writing = self._writing
        writing.execute("BEGIN IMMEDIATE")
        try:
            self._write_rows(rows)
            writing.executemany("INSERT OR REPLACE INTO states VALUES (?, ?)", changed)
            self._keep_only(references)
            writing.execute("UPDATE moment SET seconds = ?", (seconds,))
            writing.execute("COMMIT")
        except BaseException:
            if writing.in_transaction:  # a full disk may have ended it
                writing.execute("ROLLBACK")
            raise
        with self.lock:
            self._saving = {}
        self._digests, self._used = digests, references
        return True

    def _check_place(self) -> None:
        """Raise OSError where the file was deleted: SQLite goes on to write into it, and it ends with the process."""
        if not (self.path.exists() and os.path.samestat(os.stat(self.path), self._file)):
            raise OSError(f"{self.path} was deleted or replaced")

    def _write_rows(self, rows: Iterable[tuple[int, bytes, bytes, bytes | None]]) -> None:
        left = iter(rows)
        while chunk := list(islice(left, _AT_ONCE)):
            kept = [value for row in chunk if row[3] is not None for value in row]
            gone = [value for row in chunk if row[3] is None for value in row[:3]]
            if kept:
                values = ", ".join(["(?, ?, ?, ?)"] * (len(kept) // 4))
                self._writing.execute(f"INSERT OR REPLACE INTO rows VALUES {values}", kept)
            if gone:
                values = ", ".join(["(?, ?, ?)"] * (len(gone) // 3))
                # By a join: SQLite would go through all rows for an IN of the three columns.
                self._writing.execute(
                    f"DELETE FROM rows WHERE rowid IN (SELECT each.rowid FROM (VALUES {values}) AS gone CROSS JOIN "
                    "rows AS each ON each.collection = gone.column1 AND each.key = gone.column2 "
                    "AND each.subkey = gone.column3)",
                    gone,
                )

    def _keep_only(self, references: References) -> None:
        used = self._used
        if used is None or references.blobs.keys() != used.blobs.keys():
            self._writing.executemany("INSERT OR IGNORE INTO blobs VALUES (?, ?)", references.blobs.items())
            kept = json.dumps(list(references.blobs))
            self._writing.execute("DELETE FROM blobs WHERE digest NOT IN (SELECT value FROM json_each(?))", (kept,))
        if used is None or references.collections != used.collections:
            kept = json.dumps(list(references.collections))
            self._writing.execute(
                "DELETE FROM rows WHERE collection <= ? AND collection NOT IN (SELECT value FROM json_each(?))",
                (references.newest, kept),
            )
