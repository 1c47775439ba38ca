"""What others added to queues."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from iotpipe.provision.foreign.finding import ALTERS, DRAINS, STOPS, Check, CheckedResource, Foreign
from iotpipe.provision.foreign.statements import Document, Policy, parsed, statements
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.run import Run

MAXIMUM_MESSAGE_SIZE = 262_144
"""AWS's former default (now 1,048,576); larger than every message of the pipeline."""


def _policy(run: Run, queue: Queue) -> Document:
    sqs = run.client("sqs")
    try:
        live = sqs.get_queue_attributes(QueueUrl=queue.url(run), AttributeNames=["All"])
    except sqs.exceptions.QueueDoesNotExist:
        return {}
    return parsed(live.get("Attributes", {}).get("Policy"))


def _put_policy(run: Run, queue: Queue, document: Document) -> None:
    text = json.dumps(document) if statements(document) else ""
    run.client("sqs").set_queue_attributes(QueueUrl=queue.url(run), Attributes={"Policy": text})


POLICY = Policy(
    verbs={
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


def _check(checked: CheckedResource) -> Iterator[Foreign]:
    yield from POLICY.judge(checked, parsed(checked.observed.get("Policy")))
    if "KmsMasterKeyId" not in checked.resource.desired(checked.run):
        yield from _encryption(checked)
    yield from _settings(checked)
    yield from _allowed_sources(checked)


def _encryption(checked: CheckedResource) -> Iterator[Foreign]:
    # SQS encrypts with a KMS key or with its own key: a switch must set both attributes in one call.
    remove = partial(_set, checked, KmsMasterKeyId="", SqsManagedSseEnabled="true")
    name, key = checked.resource.name, checked.observed.get("KmsMasterKeyId")
    if key == "alias/aws/sqs":
        text = f"{name} is encrypted with the account's KMS key {key}, and each use of the key costs"
        yield checked.finding("KmsMasterKeyId", ALTERS, text, remove)
    elif key:
        text = (
            f"{name} is encrypted with the KMS key {key}: "
            "the functions have no right to use it, so no message can be sent or read"
        )
        yield checked.finding("KmsMasterKeyId", STOPS, text, remove)
    elif checked.observed.get("SqsManagedSseEnabled") == "false":
        text = f"the messages in {name} are stored without encryption"
        yield checked.finding("SqsManagedSseEnabled", ALTERS, text, partial(_set, checked, SqsManagedSseEnabled="true"))


def _settings(checked: CheckedResource) -> Iterator[Foreign]:
    name = checked.resource.name
    delay, wait = (int(checked.observed.get(each, 0)) for each in ("DelaySeconds", "ReceiveMessageWaitTimeSeconds"))
    size = int(checked.observed.get("MaximumMessageSize", MAXIMUM_MESSAGE_SIZE))
    if delay:
        text = f"every message in {name} is held back for {delay} s before anybody can receive it"
        yield checked.finding("DelaySeconds", ALTERS, text, partial(_set, checked, DelaySeconds="0"))
    if wait:
        text = f"a consumer of {name} that sets no wait time waits up to {wait} s for messages"
        remove = partial(_set, checked, ReceiveMessageWaitTimeSeconds="0")
        yield checked.finding("ReceiveMessageWaitTimeSeconds", ALTERS, text, remove)
    if size < MAXIMUM_MESSAGE_SIZE:
        text = f"{name} refuses every message over {size} bytes"
        remove = partial(_set, checked, MaximumMessageSize=str(MAXIMUM_MESSAGE_SIZE))
        yield checked.finding("MaximumMessageSize", STOPS, text, remove)


def _allowed_sources(checked: CheckedResource) -> Iterator[Foreign]:
    allowed = parsed(checked.observed.get("RedriveAllowPolicy"))
    permission = allowed.get("redrivePermission", "allowAll")
    if permission == "allowAll":
        return
    run, name = checked.run, checked.resource.name
    named = allowed.get("sourceQueueArns", []) if permission == "byQueue" else []
    blocked = [queue.name for queue in _sources(checked) if queue.arn(run) not in named]
    remove = partial(_set, checked, RedriveAllowPolicy="")
    if blocked:
        text = f"{name} takes no dead letters from {', '.join(blocked)}: messages that cannot be processed are lost"
        yield checked.finding("RedriveAllowPolicy", DRAINS, text, remove)
    else:
        text = f"only queues that are named ({', '.join(named) or 'none'}) can have {name} for their dead letters"
        yield checked.finding("RedriveAllowPolicy", ALTERS, text, remove)


def _sources(checked: CheckedResource) -> list[Queue]:
    queues = (each for each in checked.run.resources if isinstance(each, Queue))
    return [each for each in queues if each.dead_letter and each.dead_letter.address == checked.resource.address]


def _set(checked: CheckedResource, **attributes: Any) -> None:
    sqs = checked.run.client("sqs")
    try:
        sqs.set_queue_attributes(QueueUrl=checked.resource.url(checked.run), Attributes=attributes)
    except sqs.exceptions.QueueDoesNotExist:
        return


CHECK = Check(_check)
