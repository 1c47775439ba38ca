"""The SQLite file of the embedded AWS: its format, its tables, and how it is opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from iotpipe.errors import LedgerCorrupt, LedgerTooNew

APPLICATION = 0x696F7470  # "iotp": identifies the database to file(1) and to iotpipe
FORMAT = 1
_CACHE_KIB = 65_536  # of each connection

# Rows are large: WITHOUT ROWID would store them in the inner pages of the B-tree too, which is four times slower.
_TABLES = """
CREATE TABLE rows (
    collection INTEGER, key BLOB, subkey BLOB, content BLOB, PRIMARY KEY (collection, key, subkey)
);
CREATE TABLE blobs (digest TEXT PRIMARY KEY, content BLOB) WITHOUT ROWID;
CREATE TABLE states (service TEXT PRIMARY KEY, content BLOB) WITHOUT ROWID;
CREATE TABLE moment (seconds REAL);
INSERT INTO moment VALUES (0);
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open the database and create its tables if it is new.

    Raises LedgerTooNew for the format of a newer iotpipe, LedgerCorrupt for the database of another program, and
    sqlite3.DatabaseError if it cannot be read.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == APPLICATION and version > FORMAT:
        message = f"{path} has format {version}, this iotpipe reads up to {FORMAT}"
        raise LedgerTooNew(message, "Nothing was changed. Upgrade iotpipe")
    if application != APPLICATION and (application or version or tables):
        raise LedgerCorrupt(f"{path} is another program's database", "Nothing was changed. Check what it is for")
    if not tables:
        connection.executescript(
            f"BEGIN; PRAGMA application_id={APPLICATION}; PRAGMA user_version={FORMAT}; {_TABLES} COMMIT"
        )
    # In WAL mode readers and the writer do not block each other. The pragma writes, so it follows the checks.
    connection.execute("PRAGMA journal_mode=WAL")
    return connection


def check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """Raise LedgerCorrupt for an unreadable page, which otherwise only the request that reads it would find."""
    (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if result != "ok":
        raise damaged(path, result)


def damaged(path: Path, error: object) -> LedgerCorrupt:
    """Return the error to raise if the database does not contain what was written."""
    hint = "Nothing was changed. Restore it from a backup, or start over with `iotpipe local reset`"
    return LedgerCorrupt(f"{path} is damaged: {error}", hint)
