"""What the embedded AWS holds, kept on the disk: whole snapshots, each a directory that is complete or not there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from iotpipe.errors import LedgerCorrupt, LedgerTooNew
from iotpipe.local.belongings import CODE, NEXT, is_code, is_snapshot, remove_snapshot


class Snapshots:
    """The snapshots of one engine, numbered; only the newest is kept.

    ministack itself writes one file per service, and only when it is stopped in good order. `states` are its
    functions that copy a service's state, `encode` makes JSON of one.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._digests: dict[str, str] = {}

    @property
    def newest(self) -> Path | None:
        """The directory of the newest snapshot."""
        return max(filter(is_snapshot, self._directory.glob("[0-9]*")), key=lambda path: int(path.name), default=None)

    def check(self, format_of: Callable[[str], int]) -> None:
        """Raise LedgerCorrupt or LedgerTooNew where ministack would pass over a file and begin with nothing."""
        for path in sorted((self.newest or self._directory / "none").glob("*.json")):
            hint = "Nothing was changed. Restore it from a backup, or `iotpipe local reset` begins anew"
            try:
                version = json.loads(path.read_bytes())["__ministack_format__"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise LedgerCorrupt(f"{path} is damaged: {error!r}", hint) from error
            if version > format_of(path.stem):
                message = f"{path} has format {version}, the ministack here reads up to {format_of(path.stem)}"
                raise LedgerTooNew(message, "Nothing was changed. Upgrade iotpipe, and what it needs with it")

    def prepare(self) -> Path:
        """An empty directory for the next snapshot, with the function code of the last one in it."""
        draft = self._directory / NEXT
        remove_snapshot(draft)
        code = draft / CODE
        draft.mkdir()
        code.mkdir()
        if self.newest:
            for blob in filter(is_code, (self.newest / CODE).iterdir()):
                os.link(blob, code / blob.name)
        return code

    def finish(self, states: Mapping[str, Any], encode: Callable[[str, Any], bytes], moment: float) -> bool:
        """Write the states, and make them the newest snapshot; False if nothing has changed since the last one.

        `moment` (s) is from before they were copied: what was written later may not be in them, so it is the
        directory's time.
        """
        draft, newest = self._directory / NEXT, self.newest
        texts = {service: encode(service, state) for service, state in states.items()}
        digests = {service: hashlib.sha256(text).hexdigest() for service, text in texts.items()}
        if newest and digests == self._digests:
            remove_snapshot(draft)
            return False
        for service, text in texts.items():
            path = draft / f"{service}.json"
            if newest and digests[service] == self._digests.get(service):
                os.link(newest / path.name, path)
            else:
                _write(path, text)
        for blob in (draft / CODE).iterdir():
            _sync(blob)
        _sync(draft / CODE)
        os.utime(draft, (moment, moment))
        _sync(draft)
        # Also after what somebody else has numbered: a directory that is in the way would keep every snapshot out.
        taken = [int(path.name) for path in self._directory.iterdir() if path.name.isdecimal()]
        draft.rename(self._directory / str(max(taken, default=0) + 1))
        _sync(self._directory)
        self._digests = digests
        self._forget_old()
        return True

    def _forget_old(self) -> None:
        for path in self._directory.iterdir():
            if path != self.newest and is_snapshot(path):
                remove_snapshot(path)


def _write(path: Path, text: bytes) -> None:
    with path.open("xb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
