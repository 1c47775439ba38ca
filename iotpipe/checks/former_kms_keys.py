"""Whether a KMS key that the functions are no longer to use is still needed to read what it encrypted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from iotpipe.pipeline.functions import USES_KEY
from iotpipe.provision.resource import Properties, Resource
from iotpipe.provision.resources.function import Function
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.role import POLICY, Role
from iotpipe.provision.resources.secret import Secret
from iotpipe.provision.resources.table import Table
from iotpipe.provision.resources.topic import Topic
from iotpipe.provision.run import Run

USED_BY_FUNCTIONS = (Function, Queue, Secret, Table, Topic)
_COUNTED = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
_KEEP = "Add {key} to former_kms_keys, and take it out of there when nothing needs it any more"
_SETTLED = 60
"""Seconds after which SQS has counted all that was sent:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html
"""


def usable(resources: Sequence[Resource]) -> set[str]:
    """The keys that the functions' roles may use by the declaration."""
    roles = [each for each in resources if isinstance(each, Role)]
    return {key for role in roles for allowed in role.may if allowed.sid == USES_KEY for key in allowed.on}


def needed(run: Run, resources: Sequence[Resource]) -> Iterator[tuple[str, str]]:
    """What is said of each key that the roles would lose too early, and what to do about it.

    Raises ResourceError where AWS does not say what there is.
    """
    used = _used(run, resources) - usable(resources)
    for key in sorted(used):
        if reasons := [*_encrypted(run, resources, key), *_waiting(run, resources)]:
            told = (
                f"the functions would lose their right to the KMS key {key}, which is neither kms_key nor one of "
                f"former_kms_keys, and need it: {'; '.join(reasons)}"
            )
            yield told, _KEEP.format(key=key)
    yield from _sent_with_another(run, resources, used)


def _sent_with_another(run: Run, resources: Sequence[Resource], told: set[str]) -> Iterator[tuple[str, str]]:
    """Queues with messages and a key to which the roles have no right: by hand, or since somebody took that away."""
    for each in (each for each in resources if isinstance(each, Queue)):
        queue = _observed(run, each)
        key = _whole(run, queue.get("KmsMasterKeyId") or "")
        if not key or key in told | usable(resources):
            continue
        if reason := _not_empty(run, each.address, queue):
            yield (
                f"{each.address} is encrypted with the KMS key {key}, which is neither kms_key nor one of "
                f"former_kms_keys, and {reason}; the functions could not read them",
                _KEEP.format(key=key),
            )


def _whole(run: Run, key: str) -> str:
    """The ARN of the key, which SQS shows as it was set; empty for an alias, as that of AWS's own key is."""
    if key.startswith("arn:"):
        return "" if ":alias/" in key else key
    return "" if not key or key.startswith("alias/") else run.aws.arn("kms", f"key/{key}")


def _not_empty(run: Run, address: str, queue: Properties) -> str:
    if sum(int(queue.get(name, 0)) for name in _COUNTED):
        return "holds messages that may have been sent with it"
    if run.clock.now() < float(queue["LastModifiedTimestamp"]) + _SETTLED:
        return f"was changed less than {_SETTLED} s ago, so that SQS has not counted its messages yet"
    return ""


def _used(run: Run, resources: Sequence[Resource]) -> set[str]:
    """The keys that the roles may use now; that is known also where the state file is lost."""
    found: set[str] = set()
    for role in (each for each in resources if isinstance(each, Role)):
        # Somebody may have given the statement another name.
        found |= set(_keys(_observed(run, role).get("Policies", {}).get(POLICY, {})))
    return found


def lacks(run: Run, role: Role, key: str) -> bool:
    """Whether the role is there and may not use the key."""
    observed = _observed(run, role)
    return bool(observed) and key not in _keys(observed.get("Policies", {}).get(POLICY, {}))


def _keys(document: Any) -> Iterator[str]:
    """The ARNs of keys anywhere in a policy."""
    if isinstance(document, str):
        if re.match(r"arn:[^:]+:kms:.*:key/[^*?]+$", document):
            yield document
    elif isinstance(document, dict | list | tuple):
        for each in document.values() if isinstance(document, dict) else document:
            yield from _keys(each)


def _encrypted(run: Run, resources: Sequence[Resource], key: str) -> Iterator[str]:
    encrypted = [
        each.address for each in resources if isinstance(each, USED_BY_FUNCTIONS) and names(_observed(run, each), key)
    ]
    if encrypted:
        yield f"{', '.join(encrypted)} {'are' if len(encrypted) > 1 else 'is'} encrypted with it"


def names(value: Any, key: str) -> bool:
    """Whether the key stands anywhere in a property."""
    if isinstance(value, dict):
        return any(names(each, key) for each in value.values())
    return bool(value == key)


def _waiting(run: Run, resources: Sequence[Resource]) -> Iterator[str]:
    """A message stays encrypted with the key with which it was sent, also when it moves to the dead-letter queue."""
    queues = {each.address: _observed(run, each) for each in resources if isinstance(each, Queue)}
    changed = max((float(each["LastModifiedTimestamp"]) for each in queues.values() if each), default=0)
    for address, queue in queues.items():
        last = changed + int(queue.get("MessageRetentionPeriod", 0))
        messages = sum(int(queue.get(name, 0)) for name in _COUNTED)
        until = datetime.fromtimestamp(last, UTC).strftime("%Y-%m-%d %H:%M UTC")
        if messages and run.clock.now() < last:
            yield f"{address} holds messages that may have been sent with it, until {until} at the latest"
        elif queue and run.clock.now() < changed + _SETTLED:
            yield f"{address} was changed less than {_SETTLED} s ago, and SQS has not counted its messages yet"


def _observed(run: Run, resource: Resource) -> Properties:
    return run.with_retries("read", resource.address, _look(run, resource)) or {}


def _look(run: Run, resource: Resource) -> Callable[[int], Properties | None]:
    return lambda attempt: run.look(resource)
