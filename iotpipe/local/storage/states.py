"""Encodes each ministack service's state as JSON, with references to its large collections and blobs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from iotpipe.errors import LedgerTooNew
from iotpipe.local.storage.database import damaged
from iotpipe.local.storage.store import References, Store

_ROWS, _BLOB = "__iotpipe_rows__", "__iotpipe_blob__"
# Longer bytes (a layer, a function's code) are stored as a blob: a change of the service does not write them again.
_MAX_INLINE_BYTES = 4096


class States:
    """Encodes and decodes states. `kinds` are the classes of the large collections."""

    def __init__(self, store: Store, persistence: Any, kinds: Sequence[type[Any]]) -> None:
        self._store = store
        self._persistence = persistence
        self._kinds = tuple(kinds)
        self._by_name = {each.kind: each for each in kinds}
        self._saved = store.states()

    def check(self) -> None:
        """Raise LedgerCorrupt or LedgerTooNew for a state that ministack would ignore, starting without its data."""
        for service, content in self._saved.items():
            try:
                version = json.loads(content)["__ministack_format__"]
            except (ValueError, KeyError, TypeError) as error:
                raise damaged(self._store.path, f"{service}: {error!r}") from error
            supported = self._persistence._state_format_version(service)
            if version > supported:
                message = (
                    f"the state of {service} in {self._store.path} has format {version}, "
                    f"the installed ministack reads up to {supported}"
                )
                raise LedgerTooNew(message, "Nothing was changed. Upgrade iotpipe and its dependencies")

    def load(self, service: str) -> Any:
        """Return the state of a service; None if there is none."""
        content = self._saved.pop(service, None)
        return json.loads(content, object_hook=self._decode)["payload"] if content else None

    def _decode(self, members: dict[str, Any]) -> Any:
        if reference := members.get(_ROWS):
            kind, number = reference
            return self._by_name[kind](self._store, number)
        if digest := members.get(_BLOB):
            return self._store.blob(digest)
        return self._persistence._json_object_hook(members)

    def encode(self, states: Mapping[str, Any], references: References) -> dict[str, bytes]:
        """Return each service's state as JSON; adds the collections and blobs that it refers to to `references`."""

        def default(value: Any) -> Any:
            if isinstance(value, self._kinds):
                references.collections.add(value.number)
                return {_ROWS: [value.kind, value.number]}
            if isinstance(value, bytes) and len(value) > _MAX_INLINE_BYTES:
                digest = hashlib.sha256(value).hexdigest()
                references.blobs[digest] = value
                return {_BLOB: digest}
            return self._persistence._json_default(value)

        version = self._persistence._state_format_version
        return {
            service: json.dumps({"__ministack_format__": version(service), "payload": state}, default=default).encode()
            for service, state in states.items()
        }
