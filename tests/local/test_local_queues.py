"""The embedded SQS while requests, Lambda's poller and a save work on the same queue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ministack.core.responses import AccountRegionScopedDict
from ministack.services import eventbridge, sqs

from iotpipe.local.storage import sqs as sqs_storage
from iotpipe.local.storage.messages import Messages
from iotpipe.local.storage.store import References, Store

REPLACED = (
    "_queues",
    "_receive_messages_for_esm",
    "_collect_msgs",
    "_dlq_sweep",
    "_expire_retained",
    "_delete_messages_for_esm",
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store in which ministack keeps its queues."""
    for name in REPLACED:
        monkeypatch.setattr(sqs, name, getattr(sqs, name))
    monkeypatch.setattr(sqs, "_HANDLERS", dict(sqs._HANDLERS))
    monkeypatch.setattr(sqs, "_queue_name_to_url", AccountRegionScopedDict())
    store = Store(tmp_path / "engine.db")
    sqs_storage.patch_ministack(store)
    yield store
    store.close()


def queue(name: str, **attributes: str) -> Any:
    url = sqs._act_create_queue({"QueueName": name, "Attributes": attributes}, "")["QueueUrl"]
    return sqs._queues[url]


def send(queue: Any, body: str) -> None:
    sqs._act_send_message({"MessageBody": body}, queue["url"])


def bodies(queue: Any) -> list[str]:
    return [message["body"] for message in queue["messages"]]


def saved_in(path: Path, *queues: Any) -> list[list[str]]:
    """Return the message bodies that a process which starts now would read."""
    store = Store(path)
    found = [[message["body"] for message in Messages(store, queue["messages"].number)] for queue in queues]
    store.close()
    return found


def test_a_message_on_its_way_to_the_dead_letter_queue_is_in_every_save_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = queue("dead")
    redrive = json.dumps({"deadLetterTargetArn": dead["attributes"]["QueueArn"], "maxReceiveCount": 1})
    source = queue("source", RedrivePolicy=redrive, VisibilityTimeout="0")
    used = {source["messages"].number, dead["messages"].number}
    send(source, "poison")
    seen: list[list[list[str]]] = []

    def save_if_unlocked() -> None:
        if store.lock.acquire(blocking=False):
            references = References(store.begin_save(), used)
            store.lock.release()
            store.save({}, references, 1)
            seen.append(saved_in(store.path, source, dead))

    def between(message: Any) -> None:
        with ThreadPoolExecutor(1) as another:
            another.submit(save_if_unlocked).result()

    assert [each["body"] for each in sqs._receive_messages_for_esm(source["url"], 10)] == ["poison"]
    # Called when the message has left one queue and is not in the other yet.
    monkeypatch.setattr(sqs, "_ensure_msg_fields", between)
    assert sqs._receive_messages_for_esm(source["url"], 10) == []
    save_if_unlocked()
    assert seen == [[[], ["poison"]]]


@pytest.mark.parametrize("act", ["_act_purge_queue", "_expire_retained"])
def test_purging_and_expiring_go_on_while_the_poller_deletes(
    store: Store, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    source = queue("source")
    for number in range(2):
        send(source, str(number))
    held: Messages = source["messages"]
    received, _ = held.receive(2, 3600, 99, 1e9)
    remove = held.remove

    def delete_if_unlocked() -> None:
        if held.lock.acquire(blocking=False):
            for message in received:
                held.delete(message["receipt_handle"])
            held.lock.release()

    def remove_while_another_deletes(message: Any) -> None:
        remove(message)
        monkeypatch.setattr(held, "remove", remove)
        with ThreadPoolExecutor(1) as poller:
            poller.submit(delete_if_unlocked).result()

    monkeypatch.setattr(held, "remove", remove_while_another_deletes)
    if act == "_act_purge_queue":
        sqs._act_purge_queue({}, source["url"])
    else:
        source["attributes"]["MessageRetentionPeriod"] = "0"
        sqs._expire_retained(source)
    assert list(held) == []


def test_eventbridge_sends_to_a_queue_without_stumbling(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    target = queue("target")
    sqs.esm_wake.clear()
    arn = target["attributes"]["QueueArn"]
    event = {"Source": "test", "DetailType": "Reading", "Detail": json.dumps({"value": 1})}
    eventbridge._invoke_target({"Id": "1", "Arn": arn}, event, {"Name": "rule"})
    assert len(target["messages"]) == 1
    assert sqs.esm_wake.is_set()
    assert caplog.messages == []
