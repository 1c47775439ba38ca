"""Check the state file: readable, of this environment, writable, not locked; and names that cannot be reused yet."""

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
    """The state file's contents, and the findings that need no call to AWS."""
    rest = [*_directories(path), *_lock(path)]
    try:
        contents = ledger.read(path)
    except LedgerError as error:
        return None, [problem(STATE, error.message, error.hint), *rest]
    if contents is None:
        return None, [ok(STATE, f"{path} does not exist: no resources are recorded"), *rest]
    return contents, rest


def binding(contents: Contents, path: Path, environment: str, aws: Aws) -> list[Finding]:
    """Check that the state file belongs to this environment, account and region."""
    try:
        ledger.check_binding(contents, path, environment, aws.account, aws.region)
    except LedgerError as error:
        return [problem(STATE, error.message, error.hint)]
    return [recorded(contents, path)]


def recorded(contents: Contents, path: Path) -> Finding:
    """The finding for a readable state file."""
    return ok(STATE, f"{path} records {len(contents.rows)} resources in account {contents.account}, {contents.region}")


def names_not_reusable_yet(deleted: Mapping[str, str], now: float) -> list[Finding]:
    """Warn about names of recently deleted queues and parameters that AWS does not allow to reuse yet."""
    left = {each: min(0, seconds(when) - now) + _name_reuse_delay(each) for each, when in deleted.items()}
    waiting = {each: rest for each, rest in left.items() if rest > 0}
    if not waiting:
        return []
    names = ", ".join(f"{each} ({rest:.0f} s)" for each, rest in sorted(waiting.items()))
    text = f"AWS does not allow reusing these names yet: {names}"
    return [warning(NAMES, text, "Nothing to do: `up` waits for them and creates everything else meanwhile")]


def _name_reuse_delay(address: str) -> int:
    kind = Resource.kinds.get(address.partition("/")[0])
    return kind.name_reuse_delay if kind else 0


def _directories(path: Path) -> list[Finding]:
    """Problems of the directories of the state file and of its symlink's target, found without writing to them."""
    problems = []
    for directory in dict.fromkeys((Path(os.path.realpath(path.parent)), Path(os.path.realpath(path)).parent)):
        existing = next(each for each in (directory, *directory.parents) if os.path.lexists(each))
        if not existing.is_dir():
            problems.append(f"{existing} is not a directory")
        elif not os.access(existing, os.W_OK | os.X_OK):
            missing = "" if existing == directory else f", so that {directory} cannot be created"
            problems.append(f"{existing} is not writable{missing}")
    remedy = "Make it writable, or choose another directory with --state-dir or IOTPIPE_STATE_DIR"
    return [problem(DIRECTORY, f"{text}: the state file cannot be written", remedy) for text in problems]


def _lock(path: Path) -> list[Finding]:
    refusal = lock.refusal(path)
    if refusal is None:
        return [ok(LOCK, "no other command is writing the state file")]
    return [warning(LOCK, refusal.message, refusal.hint)]
