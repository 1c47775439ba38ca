"""The state file: readable, of this environment, who writes it, and which names AWS still keeps back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from iotpipe.checks.finding import Finding, ok, problem, warning
from iotpipe.errors import LedgerError
from iotpipe.provision import ledger, lock
from iotpipe.provision.aws import Aws
from iotpipe.provision.ledger import Contents
from iotpipe.provision.resource import Resource
from iotpipe.times import seconds

STATE, DIRECTORY, LOCK, NAMES = "state file", "state directory", "lock", "names kept back"


def check(path: Path) -> tuple[Contents | None, list[Finding]]:
    """What the state file records, and what is to be said of it without asking AWS."""
    rest = [*_directories(path), *_lock(path)]
    try:
        contents = ledger.read(path)
    except LedgerError as error:
        return None, [problem(STATE, error.message, error.hint), *rest]
    if contents is None:
        return None, [ok(STATE, f"{path} is not there: nothing is recorded as made here"), *rest]
    return contents, rest


def binding(contents: Contents, path: Path, environment: str, aws: Aws) -> list[Finding]:
    """Whether the state file is this environment's, in this account and region."""
    try:
        ledger.check_binding(contents, path, environment, aws.account, aws.region)
    except LedgerError as error:
        return [problem(STATE, error.message, error.hint)]
    return [recorded(contents, path)]


def recorded(contents: Contents, path: Path) -> Finding:
    """A state file that can be read."""
    place = f"account {contents.account}, {contents.region}"
    return ok(STATE, f"{path} records {len(contents.rows)} resources in {place}")


def kept_back(deleted: Mapping[str, str], now: float) -> list[Finding]:
    """The names of queues and parameters that were deleted a moment ago and cannot be used again yet."""
    left = {each: min(0, seconds(when) - now) + _name_reuse_delay(each) for each, when in deleted.items()}
    waiting = {each: rest for each, rest in left.items() if rest > 0}
    if not waiting:
        return []
    names = ", ".join(f"{each} ({rest:.0f} s)" for each, rest in sorted(waiting.items()))
    text = f"AWS lets these names be used again only in a while: {names}"
    return [warning(NAMES, text, "Nothing: `up` waits for them, and makes everything else meanwhile")]


def _name_reuse_delay(address: str) -> int:
    kind = Resource.kinds.get(address.partition("/")[0])
    return kind.name_reuse_delay if kind else 0


def _directories(path: Path) -> list[Finding]:
    """A problem where `up` could record nothing: beside the file, or where a link leads. Nothing is written to see."""
    found = []
    for directory in dict.fromkeys((Path(os.path.realpath(path.parent)), Path(os.path.realpath(path)).parent)):
        there = next(each for each in (directory, *directory.parents) if os.path.lexists(each))
        if not there.is_dir():
            found.append(f"{there} is no directory")
        elif not os.access(there, os.W_OK | os.X_OK):
            found.append(
                f"{there} cannot be written" + ("" if there == directory else f", so that {directory} cannot be made")
            )
    remedy = "Make it writable, or choose another place with --state-dir or IOTPIPE_STATE_DIR"
    return [problem(DIRECTORY, f"{what}: nothing could be recorded", remedy) for what in found]


def _lock(path: Path) -> list[Finding]:
    refusal = lock.refusal(path)
    if refusal is None:
        return [ok(LOCK, "nobody is writing the state file")]
    return [warning(LOCK, refusal.message, refusal.hint)]
