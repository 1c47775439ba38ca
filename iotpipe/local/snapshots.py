"""What the embedded AWS holds, kept on the disk: whole snapshots, each a directory that is complete or not there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from iotpipe.errors import LedgerCorrupt, LedgerTooNew

_CODE = "lambda-blobs"


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
        numbered = [path for path in self._directory.glob("[0-9]*") if path.is_dir() and path.name.isdigit()]
        return max(numbered, key=lambda path: int(path.name), default=None)

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
                raise LedgerTooNew(message, "Nothing was changed. `pip install -U 'iotpipe[local]'` upgrades it")

    def prepare(self) -> Path:
        """An empty directory for the next snapshot, with the function code of the last one in it."""
        draft = self._directory / "next"
        shutil.rmtree(draft, ignore_errors=True)
        code = draft / _CODE
        code.mkdir(parents=True)
        if self.newest and (self.newest / _CODE).is_dir():
            for blob in (self.newest / _CODE).iterdir():
                os.link(blob, code / blob.name)
        return code

    def finish(self, states: Mapping[str, Any], encode: Callable[[str, Any], bytes], moment: float) -> bool:
        """Write the states, and make them the newest snapshot; False if nothing has changed since the last one.

        `moment` (s) is from before they were copied: what was written later may not be in them, so it is the
        directory's time.
        """
        draft, newest = self._directory / "next", self.newest
        texts = {service: encode(service, state) for service, state in states.items()}
        digests = {service: hashlib.sha256(text).hexdigest() for service, text in texts.items()}
        if newest and digests == self._digests:
            shutil.rmtree(draft)
            return False
        for service, text in texts.items():
            path = draft / f"{service}.json"
            if newest and digests[service] == self._digests.get(service):
                os.link(newest / path.name, path)
            else:
                _write(path, text)
        for blob in (draft / _CODE).iterdir():
            _sync(blob)
        _sync(draft / _CODE)
        os.utime(draft, (moment, moment))
        _sync(draft)
        draft.rename(self._directory / str(int(newest.name) + 1 if newest else 1))
        _sync(self._directory)
        self._digests = digests
        self._forget_old()
        return True

    def _forget_old(self) -> None:
        for path in self._directory.iterdir():
            if path != self.newest:
                shutil.rmtree(path, ignore_errors=True)


def _write(path: Path, text: bytes) -> None:
    with path.open("wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
