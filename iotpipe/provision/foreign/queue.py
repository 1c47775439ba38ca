"""What others added to queues."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from iotpipe.provision.foreign.finding import ALTERS, DRAINS, STOPS, Check, Foreign, Seen
from iotpipe.provision.foreign.statements import Document, Policy, parsed, statements
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.run import Run

MAXIMUM_MESSAGE_SIZE = 262_144
"""AWS's default until it became 1,048,576; more than the pipeline ever sends."""


def _policy(run: Run, queue: Queue) -> Document:
    sqs = run.client("sqs")
    try:
        found = sqs.get_queue_attributes(QueueUrl=queue.url(run), AttributeNames=["All"])
    except sqs.exceptions.QueueDoesNotExist:
        return {}
    return parsed(found.get("Attributes", {}).get("Policy"))


def _put_policy(run: Run, queue: Queue, document: Document) -> None:
    text = json.dumps(document) if statements(document) else ""
    run.client("sqs").set_queue_attributes(QueueUrl=queue.url(run), Attributes={"Policy": text})


POLICY = Policy(
    says={
        "sqs:SendMessage": "send messages to",
        "sqs:ReceiveMessage": "read messages from",
        "sqs:DeleteMessage": "delete messages from",
        "sqs:PurgeQueue": "delete all messages from",
    },
    needed=("sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
    read=_policy,
    write=_put_policy,
    anybody="anybody with the queue's URL",
)


def _judge(seen: Seen) -> Iterator[Foreign]:
    yield from POLICY.judge(seen, parsed(seen.observed.get("Policy")))
    if "KmsMasterKeyId" not in seen.resource.desired(seen.run):
        yield from _encryption(seen)
    yield from _settings(seen)
    yield from _allowed_sources(seen)


def _encryption(seen: Seen) -> Iterator[Foreign]:
    # SQS encrypts either with a key of KMS or with its own, and takes no other order than both in one call.
    remove = partial(_set, seen, KmsMasterKeyId="", SqsManagedSseEnabled="true")
    name, key = seen.resource.name, seen.observed.get("KmsMasterKeyId")
    if key == "alias/aws/sqs":
        told = f"{name} is encrypted with the account's KMS key {key}, and each use of the key costs"
        yield seen.foreign("KmsMasterKeyId", ALTERS, told, remove)
    elif key:
        told = (
            f"{name} is encrypted with the KMS key {key}: "
            "the functions have no right to use it, so no message can be sent or read"
        )
        yield seen.foreign("KmsMasterKeyId", STOPS, told, remove)
    elif seen.observed.get("SqsManagedSseEnabled") == "false":
        told = f"the messages in {name} are stored without encryption"
        yield seen.foreign("SqsManagedSseEnabled", ALTERS, told, partial(_set, seen, SqsManagedSseEnabled="true"))


def _settings(seen: Seen) -> Iterator[Foreign]:
    name = seen.resource.name
    delay, wait = (int(seen.observed.get(each, 0)) for each in ("DelaySeconds", "ReceiveMessageWaitTimeSeconds"))
    size = int(seen.observed.get("MaximumMessageSize", MAXIMUM_MESSAGE_SIZE))
    if delay:
        told = f"every message in {name} is held back for {delay} s before anybody can receive it"
        yield seen.foreign("DelaySeconds", ALTERS, told, partial(_set, seen, DelaySeconds="0"))
    if wait:
        told = f"whoever asks {name} for messages and names no time waits up to {wait} s for the answer"
        remove = partial(_set, seen, ReceiveMessageWaitTimeSeconds="0")
        yield seen.foreign("ReceiveMessageWaitTimeSeconds", ALTERS, told, remove)
    if size < MAXIMUM_MESSAGE_SIZE:
        told = f"{name} refuses every message over {size} bytes"
        remove = partial(_set, seen, MaximumMessageSize=str(MAXIMUM_MESSAGE_SIZE))
        yield seen.foreign("MaximumMessageSize", STOPS, told, remove)


def _allowed_sources(seen: Seen) -> Iterator[Foreign]:
    allowed = parsed(seen.observed.get("RedriveAllowPolicy"))
    permission = allowed.get("redrivePermission", "allowAll")
    if permission == "allowAll":
        return
    run, name = seen.run, seen.resource.name
    named = allowed.get("sourceQueueArns", []) if permission == "byQueue" else []
    shut_out = [queue.name for queue in _sources(seen) if queue.arn(run) not in named]
    remove = partial(_set, seen, RedriveAllowPolicy="")
    if shut_out:
        told = f"{name} takes no dead letters from {', '.join(shut_out)}: what cannot be processed is lost in the end"
        yield seen.foreign("RedriveAllowPolicy", DRAINS, told, remove)
    else:
        told = f"only queues that are named ({', '.join(named) or 'none'}) can have {name} for their dead letters"
        yield seen.foreign("RedriveAllowPolicy", ALTERS, told, remove)


def _sources(seen: Seen) -> list[Queue]:
    queues = (each for each in seen.run.resources if isinstance(each, Queue))
    return [each for each in queues if each.dead_letter and each.dead_letter.address == seen.resource.address]


def _set(seen: Seen, **attributes: Any) -> None:
    sqs = seen.run.client("sqs")
    try:
        sqs.set_queue_attributes(QueueUrl=seen.resource.url(seen.run), Attributes=attributes)
    except sqs.exceptions.QueueDoesNotExist:
        return


CHECK = Check(_judge)
