"""The state file: the resources that iotpipe created, the ids that AWS assigned, and the properties that were last set.

It never contains a secret value.
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from iotpipe.errors import LedgerCorrupt, LedgerError, LedgerOfAnotherAccount, LedgerTooNew
from iotpipe.files import write_atomically
from iotpipe.provision import state_trust
from iotpipe.provision.resource import Properties, Recorded, Resource
from iotpipe.times import seconds, timestamp

FORMAT = 1
MAX_NAME_REUSE_DELAY = 60
"""Seconds after which AWS accepts every deleted name again: older deletions are dropped from the state file."""

_KEYS = {"format", "environment", "account", "region", "protected", "resources", "deleted"}


@dataclass(frozen=True)
class Row:
    """One recorded resource.

    `status` is creating, updating, ready or deleting. `properties` are those that were last set, or, while creating,
    those that are being set. `inside` is the address of the resource that contains this one: AWS deletes both together.
    """

    kind: str
    name: str
    status: str
    properties: Properties
    needs: tuple[str, ...] = ()
    inside: str = ""
    created_at: str = ""
    updated_at: str = ""

    @property
    def address(self) -> str:
        return f"{self.kind}/{self.name}"

    def recorded(self) -> Recorded:
        return Recorded(self.address, self.kind, self.name, self.properties)


@dataclass(frozen=True)
class Contents:
    """The parsed contents of a state file."""

    environment: str
    account: str
    region: str
    protected: bool
    rows: Mapping[str, Row]
    deleted: Mapping[str, str]


def path_of(directory: Path, environment: str) -> Path:
    """Return the path of an environment's state file."""
    return directory / f"{environment}.json"


def with_state(directory: Path) -> list[str]:
    """Return the environments whose state file records at least one resource, or cannot be read."""
    environments = []
    for path in sorted(directory.glob("*.json")):
        try:
            contents = read(path)
        except LedgerError:
            environments.append(path.stem)
        else:
            if contents and contents.rows:
                environments.append(path.stem)
    return environments


def read(path: Path) -> Contents | None:
    """Read the state file; None if there is no file. The file is not changed.

    Raises LedgerError if another user could have written it, LedgerCorrupt or LedgerTooNew.
    """
    state_trust.check(path)
    try:
        if path.is_fifo():
            raise OSError("it is a pipe, which would be waited for")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise LedgerCorrupt(f"cannot read the state file {path}: {error}", _RESTORE) from error
    try:
        return _parsed(path, json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise LedgerCorrupt(f"{path} is not a state file: {error!r}", _RESTORE) from error


_RESTORE = "Nothing was changed. Move it away: `iotpipe up` and `iotpipe down` find resources by the environment's tags"


def _parsed(path: Path, data: Any) -> Contents:
    if type(data["format"]) is not int or data["format"] < 1:
        raise ValueError(f"format {data['format']!r}")
    if data["format"] > FORMAT:
        raise LedgerTooNew(f"{path} has format {data['format']}, this iotpipe reads up to {FORMAT}", "Upgrade iotpipe")
    if unknown := data.keys() ^ _KEYS:
        raise ValueError(f"unexpected or missing: {', '.join(sorted(unknown))}")
    rows = {address: _row(address, row) for address, row in data["resources"].items()}
    _check_order(rows)
    texts = [data["environment"], data["account"], data["region"], *data["deleted"].values()]
    if not all(isinstance(text, str) for text in texts) or not isinstance(data["protected"], bool):
        raise ValueError("a value of the wrong type")
    for when in data["deleted"].values():
        seconds(when)
    deleted = _possibly_deleted(rows) | data["deleted"]
    return Contents(data["environment"], data["account"], data["region"], data["protected"], rows, deleted)


def _check_order(rows: Mapping[str, Row]) -> None:
    """Raise ValueError or RecursionError if the dependencies have a cycle: no deletion order exists then."""
    roots = {address: _root(address, rows) for address in rows}
    needs: dict[str, set[str]] = {root: set() for root in roots.values()}
    for address, row in rows.items():
        needs[roots[address]].update(roots[need] for need in row.needs if need in rows)
    TopologicalSorter({root: needed - {root} for root, needed in needs.items()}).prepare()


def _root(address: str, rows: Mapping[str, Row]) -> str:
    inside = rows[address].inside
    return _root(inside, rows) if inside in rows else address


def _possibly_deleted(rows: Mapping[str, Row]) -> dict[str, str]:
    """Return deletion times of resources whose deletion a killed command did not complete in the state file.

    Only kinds whose names AWS reserves after a deletion matter: a deleted queue answers for a while as if it still
    existed. If the resource was not deleted, iotpipe finds it again after the delay.
    """
    delayed_kinds = {name for name, kind in Resource.kinds.items() if kind.name_reuse_delay}
    deleting = (row for row in rows.values() if row.status == "deleting" and row.kind in delayed_kinds)
    return {row.address: row.updated_at for row in deleting}


def _row(address: str, data: Any) -> Row:
    # Every field must be present: a default must not replace a missing value.
    if unknown := data.keys() ^ {each.name for each in fields(Row)}:
        raise ValueError(f"{address}: unexpected or missing: {', '.join(sorted(unknown))}")
    row = Row(**(data | {"needs": tuple(data["needs"])}))
    texts = (row.kind, row.name, row.status, row.inside, row.created_at, row.updated_at, *row.needs)
    if row.address != address or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{address} does not match its row")
    kind = Resource.kinds.get(row.kind)
    if kind and bool(kind.inside) != bool(row.inside):
        raise ValueError(f"{address} is inside {row.inside or 'nothing'}, which does not fit its kind")
    if row.status not in ("creating", "updating", "ready", "deleting") or not isinstance(row.properties, dict):
        raise ValueError(f"{address} has an unknown status or properties")
    for when in (row.created_at, row.updated_at):
        seconds(when)
    return row


class Ledger:
    """The state file of one environment, for writing by the lock holder.

    Group commit: threads that record at the same time share one atomic write. Each thread returns after a write that
    contains its row is durable.
    """

    def __init__(self, path: Path, environment: str, account: str, region: str, now: Callable[[], float]) -> None:
        contents = read(path)
        if contents:
            check_binding(contents, path, environment, account, region)
        self.path = path
        self.protected = contents.protected if contents else False
        self.rows: dict[str, Row] = dict(contents.rows) if contents else {}
        self.deleted: dict[str, str] = dict(contents.deleted) if contents else {}
        self._head = {"format": FORMAT, "environment": environment, "account": account, "region": region}
        self._now = now
        self._texts = {address: _text(row) for address, row in self.rows.items()}
        self._changes = threading.Lock()
        self._writing = threading.Lock()
        self._version = self._written = 0

    def record(self, *rows: Row) -> None:
        """Write the rows. On return, the write is durable."""
        now = timestamp(self._now())
        with self._changes:
            for row in rows:
                before = self.rows.get(row.address)
                self.rows[row.address] = replace(row, created_at=before.created_at if before else now, updated_at=now)
                self._texts[row.address] = _text(self.rows[row.address])
                if row.status == "ready":
                    self.deleted.pop(row.address, None)
            version = self._changed()
        self._flush(version)

    def forget(self, addresses: Iterable[str], kept_back: Iterable[str] = ()) -> None:
        """Drop rows. Record the deletion time of the addresses `kept_back`, whose names AWS reserves for a while."""
        with self._changes:
            for address in addresses:
                self.rows.pop(address, None)
                self._texts.pop(address, None)
            # Whole seconds, rounded up: AWS refuses a name that is reused too early.
            self.deleted.update(dict.fromkeys(kept_back, timestamp(math.ceil(self._now()))))
            version = self._changed()
        self._flush(version)

    def protect(self, protected: bool) -> None:
        """Record whether `down` is refused, so that it is refused even if the declaration is missing."""
        if protected != self.protected:
            with self._changes:
                self.protected = protected
                version = self._changed()
            self._flush(version)

    def _changed(self) -> int:
        self._version += 1
        return self._version

    def _flush(self, version: int) -> None:
        with self._writing:
            if self._written >= version:
                return
            with self._changes:
                text, current = self._serialized(), self._version
            # Follow a symbolic link: replace its target, not the link.
            file = Path(os.path.realpath(self.path))
            if text:
                _write(file, text)
            else:
                file.unlink(missing_ok=True)
            self._written = current

    def _serialized(self) -> str:
        expired = timestamp(self._now() - MAX_NAME_REUSE_DELAY)
        self.deleted = {address: when for address, when in self.deleted.items() if when > expired}
        if not self.rows and not self.deleted:
            return ""
        head = json.dumps(self._head | {"protected": self.protected}, indent=1)[:-2]
        rows = ",\n".join(f"  {json.dumps(each)}: {self._texts[each]}" for each in sorted(self._texts))
        deleted = json.dumps(dict(sorted(self.deleted.items())))
        resources = f"{{\n{rows}\n }}" if rows else "{}"
        return f'{head},\n "resources": {resources},\n "deleted": {deleted}\n}}\n'


def check_binding(contents: Contents, path: Path, environment: str, account: str, region: str) -> None:
    """Raise LedgerOfAnotherAccount unless the state file belongs to this environment, account and region.

    Raises LedgerTooNew if it records a kind that this version of iotpipe does not know.
    """
    for what, recorded, actual in (
        ("environment", contents.environment, environment),
        ("account", contents.account, account),
        ("region", contents.region, region),
    ):
        if recorded != actual:
            raise LedgerOfAnotherAccount(
                f"{path} belongs to {what} {recorded}, this command is for {what} {actual}",
                "Choose the credentials, region or --state-dir that go with it; nothing was changed",
            )
    if unknown := {row.kind for row in contents.rows.values()} - Resource.kinds.keys():
        kinds = ", ".join(sorted(unknown))
        raise LedgerTooNew(f"{path} records kinds that this iotpipe does not know: {kinds}", "Upgrade iotpipe")


def _text(row: Row) -> str:
    return json.dumps({each.name: getattr(row, each.name) for each in fields(row)}, indent=1).replace("\n", "\n  ")


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        hint = "Free some disk space or change its permissions"
        raise LedgerError(f"cannot write the state file {path}: {error}", hint) from error
