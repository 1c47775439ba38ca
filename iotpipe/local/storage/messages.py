"""The messages of one standard queue of SQS: in memory with an index, and in the database."""

from __future__ import annotations

import heapq
import json
import time
import uuid
from collections.abc import Iterator
from itertools import count
from typing import Any

from iotpipe.local.storage.store import Store

Message = dict[str, Any]

_EXPIRY_INTERVAL = 1.0
"""Seconds between two searches for expired messages."""

_SPARE_ENTRIES = 1000
"""Outdated heap entries that a queue may have besides two entries per message."""


class Messages:
    """The messages of a queue in the order of sending, with the list methods that ministack uses.

    Receiving and deleting take logarithmic time; ministack's list is searched completely for each message.
    """

    kind = "messages"

    def __init__(self, store: Store, number: int) -> None:
        self._store = store
        self.number = store.reserve_collection(number)
        # One lock for all queues: a message that moves to another queue is in exactly one of them in every save.
        self.lock = store.lock
        self._by_id: dict[str, Message] = {}
        self._by_handle: dict[str, Message] = {}
        self._visibility_heap: list[tuple[float, int, str]] = []
        """Visibility times, entry numbers and message ids."""
        self._entries: dict[str, int] = {}
        """The number of each message's current heap entry; its other entries are outdated."""
        self._numbers = count()
        self._expired_at = 0.0
        saved = [json.loads(row) for key in store.keys(self.number) for row in store.rows(self.number, key).values()]
        for message in sorted(saved, key=lambda each: float(each["sent_at"])):
            self._add(message)

    def _add(self, message: Message) -> None:
        self._by_id[message["id"]] = message
        if message["receipt_handle"]:
            self._by_handle[message["receipt_handle"]] = message
        self._push(message)

    def _push(self, message: Message) -> None:
        number = self._entries[message["id"]] = next(self._numbers)
        heapq.heappush(self._visibility_heap, (message["visible_at"], number, message["id"]))
        if len(self._visibility_heap) > 2 * len(self._by_id) + _SPARE_ENTRIES:
            # Entries of deleted messages would stay until their visibility time, which may be hours away.
            self._visibility_heap = [entry for entry in self._visibility_heap if self._is_current(*entry[1:])]
            heapq.heapify(self._visibility_heap)

    def _is_current(self, number: int, message_id: str) -> bool:
        return self._entries.get(message_id) == number

    def _put_row(self, message: Message, content: bytes | None) -> None:
        self._store.put(self.number, message["id"].encode(), b"", content)

    def _save(self, message: Message) -> None:
        self._put_row(message, json.dumps(message, separators=(",", ":")).encode())

    def append(self, message: Message) -> None:
        from ministack.services import sqs

        sqs._ensure_msg_fields(message)
        with self.lock:
            self._add(message)
            self._save(message)

    def receive(
        self, limit: int, visibility_timeout: float, max_receives: float, max_bytes: float
    ) -> tuple[list[Message], list[Message]]:
        """Receive up to `limit` messages and hide them for the visibility timeout (s).

        Their bodies have at most `max_bytes` together, except that one message is always received. Returns them,
        and the messages that have already been received `max_receives` times: these are removed from the queue.
        """
        received: list[Message] = []
        exhausted: list[Message] = []
        now, size = time.time(), 0
        with self.lock:
            while self._visibility_heap and self._visibility_heap[0][0] <= now and len(received) < limit:
                _, number, message_id = self._visibility_heap[0]
                if self._is_current(number, message_id):
                    message = self._by_id[message_id]
                    if message["receive_count"] >= max_receives:
                        self.remove(message)
                        exhausted.append(message)
                    elif received and size + len(message["body"]) > max_bytes:
                        break
                    else:
                        received.append(message)
                        size += len(message["body"])
                heapq.heappop(self._visibility_heap)
            # After the loop: with a visibility timeout of 0 the loop would receive them again.
            for message in received:
                self._hide(message, now, visibility_timeout)
        return received, exhausted

    def _hide(self, message: Message, now: float, seconds: float) -> None:
        self._by_handle.pop(message["receipt_handle"] or "", None)
        message["receipt_handle"] = str(uuid.uuid4())
        self._by_handle[message["receipt_handle"]] = message
        message["receive_count"] += 1
        message["first_receive_at"] = message.get("first_receive_at") or now
        self._set_visible_at(message, now + seconds)

    def _set_visible_at(self, message: Message, visible_at: float) -> None:
        message["visible_at"] = visible_at
        self._push(message)
        self._save(message)

    def delete(self, handle: str) -> bool:
        """Delete the message that was last received with this handle; False if there is none."""
        with self.lock:
            message = self._by_handle.get(handle)
            if message:
                self.remove(message)
            return message is not None

    def change_visibility(self, handle: str, seconds: float) -> bool:
        """Hide the message that was last received with this handle for `seconds`; False if there is none."""
        with self.lock:
            message = self._by_handle.get(handle)
            if message:
                self._set_visible_at(message, time.time() + seconds)
            return message is not None

    def remove(self, message: Message) -> None:
        with self.lock:
            del self._by_id[message["id"]], self._entries[message["id"]]
            self._by_handle.pop(message["receipt_handle"] or "", None)
            self._put_row(message, None)

    def expire(self, retention: float) -> None:
        """Delete the messages that were sent more than `retention` seconds ago; searches once a second at most."""
        now = time.time()
        if now - self._expired_at >= _EXPIRY_INTERVAL:
            self._expired_at = now
            # Lambda's poller deletes messages in another thread.
            with self.lock:
                for message in self:
                    if message["sent_at"] <= now - retention:
                        self.remove(message)

    def clear(self) -> None:
        with self.lock:
            for message in self:
                self.remove(message)

    def __iter__(self) -> Iterator[Message]:
        with self.lock:
            return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def __getitem__(self, index: int) -> Message:
        # EventBridge reads the message that it has just sent.
        return list(self)[index]

    def __deepcopy__(self, memo: Any) -> Messages:
        return self
