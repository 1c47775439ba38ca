"""Find KMS keys that the functions still need to decrypt data, but that the configuration no longer names."""

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
_KEEP = "Add {key} to former_kms_keys, and remove it when nothing needs it any more"
_COUNT_DELAY = 60
"""Seconds until SQS's message counts include all messages (they are eventually consistent):
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html
"""


def usable(resources: Sequence[Resource]) -> set[str]:
    """The keys that the declared roles of the functions may use."""
    roles = [each for each in resources if isinstance(each, Role)]
    return {key for role in roles for allowed in role.may if allowed.sid == USES_KEY for key in allowed.on}


def needed(run: Run, resources: Sequence[Resource]) -> Iterator[tuple[str, str]]:
    """The problem and remedy of each key that the roles would lose although the functions still need it.

    Raises ResourceError if AWS does not answer.
    """
    lost = _used(run, resources) - usable(resources)
    for key in sorted(lost):
        if reasons := [*_encrypted(run, resources, key), *_waiting(run, resources)]:
            message = (
                f"the functions would lose their right to the KMS key {key}, which is neither kms_key nor one of "
                f"former_kms_keys, and need it: {'; '.join(reasons)}"
            )
            yield message, _KEEP.format(key=key)
    yield from _queues_with_other_keys(run, resources, lost)


def _queues_with_other_keys(run: Run, resources: Sequence[Resource], reported: set[str]) -> Iterator[tuple[str, str]]:
    """Queues with messages and a key that the roles may not use, because of a manual change of queue or role."""
    for resource in (each for each in resources if isinstance(each, Queue)):
        queue = _observed(run, resource)
        key = _key_arn(run, queue.get("KmsMasterKeyId") or "")
        if not key or key in reported | usable(resources):
            continue
        if reason := _may_hold_messages(run, queue):
            yield (
                f"{resource.address} is encrypted with the KMS key {key}, which is neither kms_key nor one of "
                f"former_kms_keys, and {reason}; the functions could not read them",
                _KEEP.format(key=key),
            )


def _key_arn(run: Run, key: str) -> str:
    """The ARN of the key, which SQS returns as it was set (ARN or id); empty for an alias, such as AWS's own key's."""
    if key.startswith("arn:"):
        return "" if ":alias/" in key else key
    return "" if not key or key.startswith("alias/") else run.aws.arn("kms", f"key/{key}")


def _may_hold_messages(run: Run, queue: Properties) -> str:
    if sum(int(queue.get(name, 0)) for name in _COUNTED):
        return "holds messages that may have been sent with it"
    if run.clock.now() < float(queue["LastModifiedTimestamp"]) + _COUNT_DELAY:
        return f"was changed less than {_COUNT_DELAY} s ago, so that SQS has not counted its messages yet"
    return ""


def _used(run: Run, resources: Sequence[Resource]) -> set[str]:
    """The keys that the roles may use now, read from AWS, because the state file may be lost."""
    keys: set[str] = set()
    for role in (each for each in resources if isinstance(each, Role)):
        # All statements: the Sid may have been changed.
        keys |= set(_keys(_observed(run, role).get("Policies", {}).get(POLICY, {})))
    return keys


def lacks(run: Run, role: Role, key: str) -> bool:
    """Whether the role exists and may not use the key."""
    observed = _observed(run, role)
    return bool(observed) and key not in _keys(observed.get("Policies", {}).get(POLICY, {}))


def _keys(document: Any) -> Iterator[str]:
    """All key ARNs in a policy."""
    if isinstance(document, str):
        if re.match(r"arn:[^:]+:kms:.*:key/[^*?]+$", document):
            yield document
    elif isinstance(document, dict | list | tuple):
        for each in document.values() if isinstance(document, dict) else document:
            yield from _keys(each)


def _encrypted(run: Run, resources: Sequence[Resource], key: str) -> Iterator[str]:
    encrypted = [
        each.address
        for each in resources
        if isinstance(each, USED_BY_FUNCTIONS) and contains_key(_observed(run, each), key)
    ]
    if encrypted:
        yield f"{', '.join(encrypted)} {'are' if len(encrypted) > 1 else 'is'} encrypted with it"


def contains_key(value: Any, key: str) -> bool:
    """Whether the key occurs anywhere in a property."""
    if isinstance(value, dict):
        return any(contains_key(each, key) for each in value.values())
    return bool(value == key)


def _waiting(run: Run, resources: Sequence[Resource]) -> Iterator[str]:
    """Queues with messages of this key: a message keeps the key with which it was sent, also in the DLQ."""
    queues = {each.address: _observed(run, each) for each in resources if isinstance(each, Queue)}
    changed = max((float(each["LastModifiedTimestamp"]) for each in queues.values() if each), default=0)
    for address, queue in queues.items():
        last = changed + int(queue.get("MessageRetentionPeriod", 0))
        messages = sum(int(queue.get(name, 0)) for name in _COUNTED)
        until = datetime.fromtimestamp(last, UTC).strftime("%Y-%m-%d %H:%M UTC")
        if messages and run.clock.now() < last:
            yield f"{address} holds messages that may have been sent with it, until {until} at the latest"
        elif queue and run.clock.now() < changed + _COUNT_DELAY:
            yield f"{address} was changed less than {_COUNT_DELAY} s ago, and SQS has not counted its messages yet"


def _observed(run: Run, resource: Resource) -> Properties:
    return run.with_retries("read", resource.address, _look(run, resource)) or {}


def _look(run: Run, resource: Resource) -> Callable[[int], Properties | None]:
    return lambda attempt: run.look(resource)
