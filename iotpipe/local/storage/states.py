"""The state of each service of ministack as text, with the big collections and long bytes named instead of in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from iotpipe.errors import LedgerTooNew
from iotpipe.local.storage.store import References, Store

_ROWS, _BLOB = "__iotpipe_rows__", "__iotpipe_blob__"
_LONG = 4096  # bytes: a layer or a function's code, which are not to be written with every change of its service


class States:
    """Encodes and decodes states. `kinds` are the classes of collections."""

    def __init__(self, store: Store, persistence: Any, kinds: Sequence[type[Any]]) -> None:
        self._store = store
        self._persistence = persistence
        self._kinds = tuple(kinds)
        self._by_name = {each.kind: each for each in kinds}
        self._saved = store.states()

    def check(self) -> None:
        """Raise LedgerCorrupt or LedgerTooNew where ministack would pass over a state and begin with nothing."""
        for service, content in self._saved.items():
            what = f"what {self._store.path} holds of {service}"
            try:
                version = json.loads(content)["__ministack_format__"]
            except (ValueError, KeyError, TypeError) as error:
                raise self._store.damaged(f"{service}: {error!r}") from error
            supported = self._persistence._state_format_version(service)
            if version > supported:
                message = f"{what} has format {version}, the ministack here reads up to {supported}"
                raise LedgerTooNew(message, "Nothing was changed. Upgrade iotpipe, and what it needs with it")

    def load(self, service: str) -> Any:
        """The state of a service; None if there is none."""
        content = self._saved.pop(service, None)
        return json.loads(content, object_hook=self._decoded)["payload"] if content else None

    def _decoded(self, found: dict[str, Any]) -> Any:
        if reference := found.get(_ROWS):
            kind, number = reference
            return self._by_name[kind](self._store, number)
        if digest := found.get(_BLOB):
            return self._store.blob(digest)
        return self._persistence._json_object_hook(found)

    def encoded(self, states: Mapping[str, Any], references: References) -> dict[str, bytes]:
        """The text of every service's state; what they refer to is added to `references`."""

        def default(value: Any) -> Any:
            if isinstance(value, self._kinds):
                references.collections.add(value.number)
                return {_ROWS: [value.kind, value.number]}
            if isinstance(value, bytes) and len(value) > _LONG:
                digest = hashlib.sha256(value).hexdigest()
                references.blobs[digest] = value
                return {_BLOB: digest}
            return self._persistence._json_default(value)

        version = self._persistence._state_format_version
        return {
            service: json.dumps({"__ministack_format__": version(service), "payload": state}, default=default).encode()
            for service, state in states.items()
        }
