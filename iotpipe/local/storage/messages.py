"""The messages of SQS's standard queues: in memory, found without looking at each, and in the database.

ministack looks at every message of a queue for each that is received or deleted, and loses one that is sent while its
poller deletes another: it replaces the list then. FIFO queues, which no pipeline has, are left to it.
"""

from __future__ import annotations

import heapq
import json
import math
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any

from iotpipe.local.storage.scoped import Scoped
from iotpipe.local.storage.store import Store

Message = dict[str, Any]
Queue = dict[str, Any]

_LARGEST_BATCH = 6_000_000
"""Bytes: Lambda's limit for what it hands a function, 6 MB, less the names around the bodies."""
_BETWEEN_LOOKS = 1.0
"""Seconds between two looks for messages that are too old."""

_VOID = 1000
"""Void entries that a queue may have besides one for each message."""


def keep_in(store: Store) -> None:
    """Have ministack keep all messages there; before it reads its state."""
    from ministack.services import sqs

    def queue(described: Queue) -> Queue:
        if not described["is_fifo"] and not isinstance(described["messages"], Messages):
            messages = Messages(store, store.collection())
            for message in described["messages"]:
                messages.append(message)
            described["messages"] = messages
        return described

    sqs._queues = Scoped(queue)
    sqs._receive_messages_for_esm = _batch
    sqs._collect_msgs = _unless_fifo(sqs._collect_msgs, _received)
    sqs._dlq_sweep = _unless_fifo(sqs._dlq_sweep, lambda queue: None)
    sqs._expire_retained = _unless_fifo(sqs._expire_retained, _forget_old)
    sqs._delete_messages_for_esm = _deleted_after_processing(sqs._delete_messages_for_esm)
    _answer_by_handle(sqs)


class Messages:
    """The messages of a queue in the order of their sending, with what ministack uses of a list."""

    kind = "messages"

    def __init__(self, store: Store, number: int) -> None:
        self._store = store
        self.number = store.collection(number)
        # One for all queues: a message that moves is in one of the two whenever the store saves.
        self.lock = store.lock
        self._all: dict[str, Message] = {}
        self._by_handle: dict[str, Message] = {}
        self._due: list[tuple[float, int, str]] = []
        """When each can be received, a heap of times, numbers and ids."""
        self._entries: dict[str, int] = {}
        """The number of each message's entry; others with its id are void."""
        self._numbers = count()
        self._looked = 0.0
        saved = [json.loads(row) for key in store.keys(self.number) for row in store.rows(self.number, key).values()]
        for message in sorted(saved, key=lambda each: float(each["sent_at"])):
            self._add(message)

    def _add(self, message: Message) -> None:
        self._all[message["id"]] = message
        if message["receipt_handle"]:
            self._by_handle[message["receipt_handle"]] = message
        self._enter(message)

    def _enter(self, message: Message) -> None:
        number = self._entries[message["id"]] = next(self._numbers)
        heapq.heappush(self._due, (message["visible_at"], number, message["id"]))
        if len(self._due) > 2 * len(self._all) + _VOID:
            # Those of deleted messages would stay until these had been visible again, which may be hours.
            self._due = [(moment, number, name) for moment, number, name in self._due if self._is_valid(number, name)]
            heapq.heapify(self._due)

    def _is_valid(self, number: int, name: str) -> bool:
        return self._entries.get(name) == number

    def _write(self, message: Message, content: bytes | None) -> None:
        self._store.put(self.number, message["id"].encode(), b"", content)

    def _keep(self, message: Message) -> None:
        self._write(message, json.dumps(message, separators=(",", ":")).encode())

    def append(self, message: Message) -> None:
        from ministack.services import sqs

        sqs._ensure_msg_fields(message)
        with self.lock:
            self._add(message)
            self._keep(message)

    def receive(self, most: int, hidden: float, last: float, largest: float) -> tuple[list[Message], list[Message]]:
        """Receive at most so many messages, of `largest` bytes together but for the first, and hide them (s).

        Answers them, and those that have been received `last` times already: these are not in the queue any more.
        """
        received: list[Message] = []
        exhausted: list[Message] = []
        now, size = time.time(), 0
        with self.lock:
            while self._due and self._due[0][0] <= now and len(received) < most:
                _, number, name = self._due[0]
                if self._is_valid(number, name):
                    message = self._all[name]
                    if message["receive_count"] >= last:
                        self.remove(message)
                        exhausted.append(message)
                    elif received and size + len(message["body"]) > largest:
                        break
                    else:
                        received.append(message)
                        size += len(message["body"])
                heapq.heappop(self._due)
            # Afterwards: hidden for no time at all, they would be received again at once.
            for message in received:
                self._hide(message, now, hidden)
        return received, exhausted

    def _hide(self, message: Message, now: float, seconds: float) -> None:
        self._by_handle.pop(message["receipt_handle"] or "", None)
        message["receipt_handle"] = str(uuid.uuid4())
        self._by_handle[message["receipt_handle"]] = message
        message["receive_count"] += 1
        message["first_receive_at"] = message.get("first_receive_at") or now
        self._show_at(message, now + seconds)

    def _show_at(self, message: Message, moment: float) -> None:
        message["visible_at"] = moment
        self._enter(message)
        self._keep(message)

    def delete(self, handle: str) -> bool:
        """Delete the message that was last received with this handle; False if there is none."""
        with self.lock:
            message = self._by_handle.get(handle)
            if message:
                self.remove(message)
            return message is not None

    def change_visibility(self, handle: str, seconds: float) -> bool:
        """Hide the message that was last received with this handle for so long; False if there is none."""
        with self.lock:
            message = self._by_handle.get(handle)
            if message:
                self._show_at(message, time.time() + seconds)
            return message is not None

    def remove(self, message: Message) -> None:
        with self.lock:
            del self._all[message["id"]], self._entries[message["id"]]
            self._by_handle.pop(message["receipt_handle"] or "", None)
            self._write(message, None)

    def forget_old(self, seconds: float) -> None:
        """Delete what was sent longer ago than this, about as often as SQS does."""
        now = time.time()
        if now - self._looked >= _BETWEEN_LOOKS:
            self._looked = now
            # Lambda's poller deletes meanwhile.
            with self.lock:
                for message in self:
                    if message["sent_at"] <= now - seconds:
                        self.remove(message)

    def clear(self) -> None:
        with self.lock:
            for message in self:
                self.remove(message)

    def __iter__(self) -> Iterator[Message]:
        with self.lock:
            return iter(list(self._all.values()))

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, index: int) -> Message:
        # EventBridge looks at the one that it has just sent.
        return list(self)[index]

    def __deepcopy__(self, memo: Any) -> Messages:
        return self


def _unless_fifo(of_ministack: Callable[..., Any], instead: Callable[..., Any]) -> Callable[..., Any]:
    def chosen(queue: Queue, *rest: Any) -> Any:
        return of_ministack(queue, *rest) if queue["is_fifo"] else instead(queue, *rest)

    return chosen


def _received(queue: Queue, most: int, hidden: float, largest: float = math.inf) -> list[Message]:
    """Receive messages; those that were received as often as they may be go to the dead-letter queue instead."""
    from ministack.core.concurrency import esm_wake
    from ministack.services import sqs

    policy = json.loads(queue["attributes"].get("RedrivePolicy") or "{}")
    target = sqs._queue_by_arn(policy.get("deadLetterTargetArn", ""))
    last = int(policy.get("maxReceiveCount", 0)) if target else 0
    messages: Messages = queue["messages"]
    with messages.lock:
        received, exhausted = messages.receive(most, hidden, last or math.inf, largest)
        for message in exhausted:
            source = {"DeadLetterQueueSourceArn": queue["attributes"].get("QueueArn", "")}
            moved = {"receipt_handle": None, "visible_at": time.time(), "sys": source | message.get("sys", {})}
            target["messages"].append(message | moved)
            esm_wake.set()
    return received


def _forget_old(queue: Queue) -> None:
    queue["messages"].forget_old(float(queue["attributes"].get("MessageRetentionPeriod", "345600")))


def _batch(queue_url: str, most: int) -> list[Message]:
    """What Lambda's poller receives: as much as its mapping says, where ministack never takes more than ten."""
    from ministack.services import sqs

    with sqs._queues_lock:
        queue = sqs._get_q(queue_url)
        hidden = float(queue["attributes"].get("VisibilityTimeout", "30"))
        sqs._expire_retained(queue)
        if queue["is_fifo"]:
            sqs._dlq_sweep(queue)
            found: list[Message] = sqs._collect_msgs(queue, min(most or 1, 10), int(hidden))
            return found
        return _received(queue, most or 1, hidden, _LARGEST_BATCH)


def _deleted_after_processing(of_ministack: Callable[..., None]) -> Callable[..., None]:
    from ministack.services import sqs

    def delete(queue_url: str, handles: Iterable[str]) -> None:
        messages = sqs._get_q(queue_url)["messages"]
        if isinstance(messages, Messages):
            for handle in handles:
                messages.delete(handle)
        else:
            of_ministack(queue_url, set(handles))

    return delete


def _answer_by_handle(sqs: Any) -> None:
    """Have the actions that name a message by its receipt handle find it by that."""

    def messages_of(data: Any, url: str, right: str) -> Any:
        found = sqs._get_q(data.get("QueueUrl", url), right)["messages"]
        return found if isinstance(found, Messages) else None

    def delete(messages: Messages, entry: Any) -> bool:
        return messages.delete(entry.get("ReceiptHandle", ""))

    def change(messages: Messages, entry: Any) -> bool:
        seconds = int(entry.get("VisibilityTimeout", 30))
        found = messages.change_visibility(entry.get("ReceiptHandle", ""), seconds)
        if found and not seconds:
            sqs.esm_wake.set()
        return found

    def alone(of_ministack: Any, right: str, act: Callable[[Messages, Any], bool]) -> Any:
        def answer(data: Any, url: str) -> Any:
            messages = messages_of(data, url, right)
            if messages is None or not data.get("ReceiptHandle"):
                return of_ministack(data, url)
            if not act(messages, data):
                raise sqs._Err("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
            return {}

        return answer

    def together(of_ministack: Any, right: str, act: Callable[[Messages, Any], bool], kind: str) -> Any:
        def answer(data: Any, url: str) -> Any:
            messages = messages_of(data, url, right)
            if messages is None:
                return of_ministack(data, url)
            entries = data.get("Entries", [])
            sqs._validate_batch_entries(entries, kind)
            done, failed = [], []
            for entry in entries:
                if act(messages, entry):
                    done.append({"Id": entry.get("Id", "")})
                else:
                    failed.append({"Id": entry.get("Id", ""), **_INVALID})
            return {"Successful": done, "Failed": failed}

        return answer

    sent, changed = "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"
    actions = sqs._HANDLERS
    actions["DeleteMessage"] = alone(actions["DeleteMessage"], sent, delete)
    actions["ChangeMessageVisibility"] = alone(actions["ChangeMessageVisibility"], changed, change)
    for action, right, act in (("DeleteMessageBatch", sent, delete), ("ChangeMessageVisibilityBatch", changed, change)):
        actions[action] = together(actions[action], right, act, f"{action}RequestEntry")


_INVALID = {
    "Code": "ReceiptHandleIsInvalid",
    "Message": "The input receipt handle is invalid.",
    "SenderFault": True,
}
