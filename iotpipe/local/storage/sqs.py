"""The embedded SQS: ministack's, patched to keep the messages of standard queues in `Messages`.

ministack searches a whole queue for each message that is received or deleted. It also loses a message that is sent
while its poller deletes another, because the poller replaces the list. FIFO queues, which no pipeline has, stay as
they are in ministack.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from typing import Any

from iotpipe.local.storage.messages import Message, Messages
from iotpipe.local.storage.scoped import ConvertingScopedDict
from iotpipe.local.storage.store import Store

Queue = dict[str, Any]

_MAX_BATCH_BYTES = 6_000_000
"""Lambda's limit of 6 MB for an event, less room for the fields around the bodies."""


def patch_ministack(store: Store) -> None:
    """Have ministack keep all messages in the store. Call it before ministack reads its state."""
    from ministack.services import sqs

    def convert(queue: Queue) -> Queue:
        if not queue["is_fifo"] and not isinstance(queue["messages"], Messages):
            messages = Messages(store, store.reserve_collection())
            for message in queue["messages"]:
                messages.append(message)
            queue["messages"] = messages
        return queue

    sqs._queues = ConvertingScopedDict(convert)
    sqs._receive_messages_for_esm = _receive_for_poller
    sqs._collect_msgs = _unless_fifo(sqs._collect_msgs, _receive)
    sqs._dlq_sweep = _unless_fifo(sqs._dlq_sweep, lambda queue: None)
    sqs._expire_retained = _unless_fifo(sqs._expire_retained, _expire)
    sqs._delete_messages_for_esm = _delete_for_poller(sqs._delete_messages_for_esm)
    _patch_handle_actions(sqs)


def _unless_fifo(original: Callable[..., Any], replacement: Callable[..., Any]) -> Callable[..., Any]:
    def choose(queue: Queue, *rest: Any) -> Any:
        return original(queue, *rest) if queue["is_fifo"] else replacement(queue, *rest)

    return choose


def _receive(queue: Queue, limit: int, visibility_timeout: float, max_bytes: float = math.inf) -> list[Message]:
    """Receive messages; move those that reached `maxReceiveCount` to the dead-letter queue instead."""
    from ministack.core.concurrency import esm_wake
    from ministack.services import sqs

    policy = json.loads(queue["attributes"].get("RedrivePolicy") or "{}")
    dead_letter_queue = sqs._queue_by_arn(policy.get("deadLetterTargetArn", ""))
    max_receives = int(policy.get("maxReceiveCount", 0)) if dead_letter_queue else 0
    messages: Messages = queue["messages"]
    with messages.lock:
        received, exhausted = messages.receive(limit, visibility_timeout, max_receives or math.inf, max_bytes)
        for message in exhausted:
            source = {"DeadLetterQueueSourceArn": queue["attributes"].get("QueueArn", "")}
            moved = {"receipt_handle": None, "visible_at": time.time(), "sys": source | message.get("sys", {})}
            dead_letter_queue["messages"].append(message | moved)
            esm_wake.set()
    return received


def _expire(queue: Queue) -> None:
    queue["messages"].expire(float(queue["attributes"].get("MessageRetentionPeriod", "345600")))


def _receive_for_poller(queue_url: str, limit: int) -> list[Message]:
    """Receive a batch for Lambda's poller: as many as its mapping's batch size, where ministack stops at ten."""
    from ministack.services import sqs

    with sqs._queues_lock:
        queue = sqs._get_q(queue_url)
        visibility_timeout = float(queue["attributes"].get("VisibilityTimeout", "30"))
        sqs._expire_retained(queue)
        if queue["is_fifo"]:
            sqs._dlq_sweep(queue)
            batch: list[Message] = sqs._collect_msgs(queue, min(limit or 1, 10), int(visibility_timeout))
            return batch
        return _receive(queue, limit or 1, visibility_timeout, _MAX_BATCH_BYTES)


def _delete_for_poller(original: Callable[..., None]) -> Callable[..., None]:
    from ministack.services import sqs

    def delete(queue_url: str, handles: Iterable[str]) -> None:
        messages = sqs._get_q(queue_url)["messages"]
        if isinstance(messages, Messages):
            for handle in handles:
                messages.delete(handle)
        else:
            original(queue_url, set(handles))

    return delete


def _patch_handle_actions(sqs: Any) -> None:
    """Have the actions that name a message by its receipt handle look it up by that handle."""

    def messages_of(data: Any, url: str, permission: str) -> Any:
        messages = sqs._get_q(data.get("QueueUrl", url), permission)["messages"]
        return messages if isinstance(messages, Messages) else None

    def delete(messages: Messages, entry: Any) -> bool:
        return messages.delete(entry.get("ReceiptHandle", ""))

    def change_visibility(messages: Messages, entry: Any) -> bool:
        seconds = int(entry.get("VisibilityTimeout", 30))
        exists = messages.change_visibility(entry.get("ReceiptHandle", ""), seconds)
        if exists and not seconds:
            sqs.esm_wake.set()
        return exists

    def single(original: Any, permission: str, act: Callable[[Messages, Any], bool]) -> Any:
        def answer(data: Any, url: str) -> Any:
            messages = messages_of(data, url, permission)
            if messages is None or not data.get("ReceiptHandle"):
                return original(data, url)
            if not act(messages, data):
                raise sqs._Err("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
            return {}

        return answer

    def batch(original: Any, permission: str, act: Callable[[Messages, Any], bool], kind: str) -> Any:
        def answer(data: Any, url: str) -> Any:
            messages = messages_of(data, url, permission)
            if messages is None:
                return original(data, url)
            entries = data.get("Entries", [])
            sqs._validate_batch_entries(entries, kind)
            successful, failed = [], []
            for entry in entries:
                if act(messages, entry):
                    successful.append({"Id": entry.get("Id", "")})
                else:
                    failed.append({"Id": entry.get("Id", ""), **_INVALID_HANDLE})
            return {"Successful": successful, "Failed": failed}

        return answer

    actions = sqs._HANDLERS
    for action, act in (("DeleteMessage", delete), ("ChangeMessageVisibility", change_visibility)):
        permission = f"sqs:{action}"  # IAM has no permissions of their own for the batch actions
        actions[action] = single(actions[action], permission, act)
        name = f"{action}Batch"
        actions[name] = batch(actions[name], permission, act, f"{name}RequestEntry")


_INVALID_HANDLE = {
    "Code": "ReceiptHandleIsInvalid",
    "Message": "The input receipt handle is invalid.",
    "SenderFault": True,
}
